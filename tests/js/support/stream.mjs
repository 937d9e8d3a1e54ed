// Sends SETs through `pipelineStream`, and prints how many and what memory that took above an idle client's at most, in MiB.
import { Redis } from "redwire";
import { set } from "redwire/commands";

const [port, count] = process.argv.slice(2).map(Number);
const redis = new Redis({ port });
await redis.ping();
const idle = process.memoryUsage.rss();
function* commands() {
  for (let at = 0; at < count; at++) yield set(`key:${at % 10_000}`, `value:${at}`);
}
let stored = 0;
await redis.pipelineStream(commands(), { onResult: (result) => void (stored += Number(result)) });
const peak = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ stored, above: (peak - idle) / 2 ** 20 }));
await redis.close();
