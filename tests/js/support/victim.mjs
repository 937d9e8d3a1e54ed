// A client of a hostile server: asks for each of the attacks, and prints what became of each and how much memory the process came to take.
import { Redis } from "redwire";

const [port, maxReplyBytes, ...attacks] = process.argv.slice(2);
const redis = new Redis({ host: "127.0.0.1", port: Number(port), maxReplyBytes: Number(maxReplyBytes), timeout: 60_000 });
const peak = () => process.resourceUsage().maxRSS / 1024;
await redis.ping();
const results = [];
for (const attack of attacks) {
  const before = peak();
  const started = performance.now();
  const [reply, next] = await Promise.allSettled([redis.call("ATTACK", attack), redis.echo(attack)]);
  const { name, message, maybeExecuted } = reply.reason ?? {};
  results.push({ attack, name, message, maybeExecuted, next: next.value, grown: peak() - before, ms: performance.now() - started });
}
console.log(JSON.stringify(results));
redis.destroy();
