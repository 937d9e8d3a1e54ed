// node tests/js/soak.mjs [seconds [load]]: whether memory stays flat. Each load runs for so long, with one in a hundred results kept
// for a while; resident memory of the last sixth is compared with that of the first sixth after warm-up.
import { Redis } from "redwire";
import { startServer } from "./support/servers.mjs";

const seconds = Number(process.argv[2] ?? 60);
const only = process.argv[3];
const KEPT = 50;

const loads = {
  "LRANGE 10 000": {
    seed: (redis) => redis.rpush("list", Array.from({ length: 10_000 }, (_, at) => `item:${String(at).padStart(11, "0")}`)),
    run: (redis) => redis.lrange("list", 0, -1),
    keep: (value) => value[5000],
  },
  "HGETALL 1 000": {
    seed: (redis) => redis.hset("hash", Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`field:${at}`, `value:${at}`]))),
    run: (redis) => redis.hgetall("hash"),
    keep: (value) => value["field:500"],
  },
  "GET 1 MiB": {
    seed: (redis) => redis.set("large", "x".repeat(1 << 20)),
    run: (redis) => redis.get("large"),
    keep: (value) => value,
  },
};

const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
const redis = new Redis(`redis://127.0.0.1:${server.port}`);
let failed = false;
for (const [name, { seed, run, keep }] of Object.entries(loads)) {
  if (only !== undefined && name !== only) continue;
  await seed(redis);
  const kept = [];
  const part = (seconds * 1000) / 6;
  const samples = [[], [], [], [], [], [], []];
  const started = performance.now();
  let count = 0;
  for (let sampled = 0; ; count++) {
    const value = await run(redis);
    if (count % 100 === 0) kept[(count / 100) % KEPT] = keep(value);
    const at = performance.now() - started;
    if (at - sampled < 100) continue;
    sampled = at;
    const sixth = Math.floor(at / part);
    if (sixth > 6) break;
    samples[sixth].push(process.memoryUsage.rss());
  }
  const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length / (1 << 20);
  // the first part is warm-up
  const [first, last] = [average(samples[1]), average(samples[6])];
  failed ||= last - first > 5;
  console.log(`${name}: ${count} replies; RSS ${first.toFixed(1)} MB at first, ${last.toFixed(1)} MB at last (${(last - first).toFixed(1)} MB)`);
}
await redis.close();
await server.stop();
process.exitCode = failed ? 1 : 0;
