// A fresh process: prints the milliseconds from before the import to after it, and to the first reply.
import { KEYS, VALUES } from "./data.mjs";

const [adapter, link] = process.argv.slice(2);
const options = JSON.parse(link);
// what an adapter imports itself is imported with it
const begin = performance.now();
const { connect } = await import(adapter);
if (options.from !== undefined || adapter.endsWith("/redwire.mjs")) await import(options.from ?? "redwire");
const imported = performance.now();
const client = await connect(options);
if ((await client.get(KEYS[0])) !== VALUES[0]) throw new Error("wrong answer");
const replied = performance.now();
const { user, system } = process.cpuUsage();
const rss = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ imported: imported - begin, replied: replied - begin, cpu: (user + system) / 1000, rss }));
process.exit(0);
