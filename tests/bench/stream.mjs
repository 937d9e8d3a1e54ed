// `node tests/bench/stream.mjs` runs this on the redwire that `cargo xtask bench` installed: a million SETs, how long they take, and what memory
// they take above an idle client. Each way has a process of its own.
import { fork } from "node:child_process";
import path from "node:path";
import { startServer } from "./server.mjs";

const COUNT = Number(process.env.COUNT ?? 1_000_000);
const WINDOW = 1000;

function* pairs() {
  for (let at = 0; at < COUNT; at++) yield [`key:${at % 10_000}`, `value:${at}`];
}

/** Gives `pairs` in lists of at most `WINDOW`. */
function* lists() {
  let list = [];
  for (const pair of pairs()) {
    if (list.push(pair) === WINDOW) yield list;
    if (list.length === WINDOW) list = [];
  }
  if (list.length > 0) yield list;
}

/** Ways to send them: each connects and gives what sends. */
const ways = {
  "redwire: pipelineStream": async (port) => {
    const [{ Redis }, { set }] = [await import("redwire"), await import("redwire/commands")];
    const redis = new Redis({ port });
    await redis.ping();
    return async () => {
      let stored = 0;
      function* commands() {
        for (const [key, value] of pairs()) yield set(key, value);
      }
      await redis.pipelineStream(commands(), { window: WINDOW, onResult: (result) => void (stored += result === true ? 1 : 0) });
      return stored;
    };
  },
  "ioredis: pipelines of 1 000": async (port) => {
    const { default: Redis } = await import("ioredis");
    const redis = new Redis({ port });
    await redis.ping();
    return async () => {
      let stored = 0;
      for (const list of lists()) {
        const results = await redis.pipeline(list.map(([key, value]) => ["set", key, value])).exec();
        for (const [, result] of results) stored += result === "OK" ? 1 : 0;
      }
      return stored;
    };
  },
  "ioredis: one pipeline": async (port) => {
    const { default: Redis } = await import("ioredis");
    const redis = new Redis({ port });
    await redis.ping();
    return async () => {
      const pipeline = redis.pipeline();
      for (const [key, value] of pairs()) pipeline.set(key, value);
      return (await pipeline.exec()).filter(([, result]) => result === "OK").length;
    };
  },
  "node-redis: pipelines of 1 000": async (port) => {
    const { createClient } = await import("redis");
    const client = await createClient({ socket: { port } }).connect();
    return async () => {
      let stored = 0;
      for (const list of lists()) {
        const multi = client.multi();
        for (const [key, value] of list) multi.set(key, value);
        for (const result of await multi.execAsPipeline()) stored += result === "OK" ? 1 : 0;
      }
      return stored;
    };
  },
  "node-redis: one pipeline": async (port) => {
    const { createClient } = await import("redis");
    const client = await createClient({ socket: { port } }).connect();
    return async () => {
      const multi = client.multi();
      for (const [key, value] of pairs()) multi.set(key, value);
      return (await multi.execAsPipeline()).filter((result) => result === "OK").length;
    };
  },
};

const measure = async (way, port) => {
  const send = await ways[way](port);
  const idle = process.memoryUsage.rss();
  const began = performance.now();
  const stored = await send();
  const seconds = (performance.now() - began) / 1000;
  const peak = process.resourceUsage().maxRSS * 1024;
  process.send({ stored, seconds, above: (peak - idle) / 2 ** 20 }, () => process.exit(0));
};

const compare = async () => {
  const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server", path.join(import.meta.dirname, "../tls"));
  console.log(`${COUNT.toLocaleString("en")} SETs\n\n| | op/s | MiB above idle |\n|---|--:|--:|`);
  for (const way of Object.keys(ways)) {
    const child = fork(import.meta.filename, [way, server.links.plain.port]);
    const result = await new Promise((resolve) => {
      child.once("message", resolve);
      child.once("exit", () => resolve(undefined));
    });
    if (result === undefined || result.stored !== COUNT) console.log(`| ${way} | failed | |`);
    else console.log(`| ${way} | ${Math.round(COUNT / result.seconds).toLocaleString("en")} | ${result.above.toFixed(0)} |`);
  }
  server.stop();
  process.exit(0);
};

await (process.argv[2] === undefined ? compare() : measure(process.argv[2], Number(process.argv[3])));
