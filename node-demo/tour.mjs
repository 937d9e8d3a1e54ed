// A tour through redwire against a real server: what you type, and what you get.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Redis } from "redwire";
import { compare, key, keys, prefix, show, showError } from "./tour/show.mjs";
import { code, count, fact, shown, table, title } from "./tour/terminal.mjs";

const url = process.env.REDIS_URL || "redis://localhost:6379";

const tour = async (redis) => {
  await meet(redis);

  title("Strings");
  await show(() => redis.set(key`greeting`, "hello"), true);
  await show(() => redis.get(key`greeting`), "hello");
  await show(() => redis.set(key`greeting`, "again", { nx: true }), false);
  await show(() => redis.set(key`greeting`, "good bye", { get: true, ex: 60 }), "hello");
  await show(() => redis.get(key`nothing`), null);
  await show(() => redis.incr(key`visits`), 1);
  await show(() => redis.mset({ [key`a`]: 1, [key`b`]: "two" }), true);
  await show(() => redis.mget(key`a`, key`b`, key`nothing`), ["1", "two", null]);
  await show(() => redis.del(key`a`, key`b`, key`nothing`), 2);

  title("A map");
  await show(() => redis.hset(key`ada`, { name: "Ada", born: 1815 }), 2);
  await show(() => redis.hgetall(key`ada`), { name: "Ada", born: "1815" });
  await show(() => redis.hgetall(key`nothing`), {});

  title("A set");
  await show(() => redis.sadd(key`langs`, "rust", "wasm", "js", "rust"), 3);
  await show(() => redis.smembers(key`langs`), new Set(["rust", "wasm", "js"]));

  title("A sorted set");
  await show(() => redis.zadd(key`race`, { ada: 3.5, bob: 2, eve: Infinity }), 3);
  await show(() => redis.zrange(key`race`, 0, -1), ["bob", "ada", "eve"]);
  const podium = [["eve", Infinity], ["ada", 3.5]];
  await show(() => redis.zrange(key`race`, 0, 1, { rev: true, withscores: true }), podium);
  await show(() => redis.zadd(key`race`, { ada: 1.5 }, { incr: true }), 5);

  title("A list of 10,000 elements");
  const elements = Array.from({ length: 10_000 }, (_, index) => `element ${index}`);
  code("elements = Array.from({ length: 10_000 }, (_, index) => `element ${index}`)");
  await show(() => redis.rpush(key`list`, elements), 10_000);
  await show(() => redis.lrange(key`list`, 0, -1), elements, (list) => [`${count(list.length)} elements`]);
  await show(() => redis.lrange(key`list`, 0, 0), ["element 0"]);
  await show(() => redis.lrange(key`list`, -1, -1), ["element 9999"]);

  title("A value of 1 MiB");
  const bytes = redis.with({ decodeResponses: false });
  const large = new Uint8Array(randomBytes(1 << 20));
  code("bytes = redis.with({ decodeResponses: false })");
  code("large = new Uint8Array(randomBytes(1 << 20))");
  await show(() => redis.set(key`large`, large), true);
  const back = await show(() => bytes.get(key`large`), large);
  fact("sent, SHA-256", digest(large));
  fact("back, SHA-256", digest(back));
  assert.equal(digest(back), digest(large));

  title("Text of all kinds, and bytes");
  await show(() => redis.set(key`text`, "Привет, 世界! 👋🏽"), true);
  await show(() => redis.get(key`text`), "Привет, 世界! 👋🏽");
  await show(() => redis.hset(key`мир`, { "поле 🔑": "значение 🚀" }), 1);
  await show(() => redis.hgetall(key`мир`), { "поле 🔑": "значение 🚀" });
  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  code("every = Uint8Array.from({ length: 256 }, (_, byte) => byte)");
  await show(() => redis.set(key`bytes`, every), true);
  await show(() => bytes.get(key`bytes`), every);

  title("An error");
  const wrongType = { code: "WRONGTYPE", command: "INCR", message: /^WRONGTYPE / };
  const error = await showError(() => redis.incr(key`list`), wrongType);

  title("A transaction, and a pipeline");
  await show(() => redis.multi().incr(key`visits`).get(key`visits`).exec(), [2, "2"]);
  const pipeline = redis.pipeline({ transaction: false });
  code("pipeline = redis.pipeline({ transaction: false })");
  await show(() => pipeline.get(key`greeting`).incr(key`visits`).execute(), ["good bye", 3]);
  await show(() => pipeline.incr(key`list`).incr(key`visits`).execute({ raiseOnError: false }), [error, 4], oneByOne);

  await bothProtocols();
  await measure(redis);
};

const oneByOne = (replies) => replies.map(shown);

/** Shows who is at the other end. */
const meet = async (redis) => {
  title("The server");
  const info = { ...(await redis.info("server")), ...(await redis.info("clients")) };
  const { host, pathname } = new URL(url);
  const version = info.valkey_version ? `Valkey ${info.valkey_version}` : `Redis ${info.redis_version}`;
  fact("address", host || pathname);
  const mode = info.server_mode ?? info.redis_mode;
  fact("version", mode === "standalone" ? version : `${version}, ${mode}`);
  fact("system", `${info.os}, pid ${info.process_id}`);
  fact("clients", `${info.connected_clients} connected, this one speaks RESP${await protocolOf(redis)}`);
  fact("keys", `all begin with ${prefix}, left out below`);
  assert.ok(Number(info.connected_clients) >= 1);
};

/** In RESP2 a map comes as an array. */
const protocolOf = async (redis) => (Array.isArray(await redis.with({ raw: true }).hgetall(key`nothing`)) ? 2 : 3);

const bothProtocols = async () => {
  title("RESP2 and RESP3: two wires, one value");
  code("two = new Redis(url, { protocol: 2 }), three = new Redis(url, { protocol: 3 })");
  const two = new Redis(url, { protocol: 2 });
  const three = new Redis(url, { protocol: 3 });
  const both = [two, three];
  const raw = (redis) => redis.with({ raw: true });
  try {
    assert.deepEqual([await protocolOf(two), await protocolOf(three)], [2, 3]);
    await compare((redis) => redis.hgetall(key`ada`), both, raw, { name: "Ada", born: "1815" });
    await compare((redis) => redis.smembers(key`langs`), both, raw, new Set(["rust", "wasm", "js"]));
    await compare((redis) => redis.zrange(key`race`, 0, 0, { withscores: true }), both, raw, [["bob", 2]]);
  } finally {
    await Promise.all([two.close(), three.close()]);
  }
};

const ROUNDS = 200;
const PER_TICK = 1000;

/** Measures what this machine and this server do now. */
const measure = async (redis) => {
  title("Throughput, here and now: one connection, GET of 16 bytes");
  const name = key`measure`;
  await redis.set(name, "0123456789abcdef");
  const rounds = async (count) => {
    for (let round = 0; round < count; round++) {
      const values = await Promise.all(Array.from({ length: PER_TICK }, () => redis.get(name)));
      assert.ok(values.every((value) => value === "0123456789abcdef"));
    }
  };
  await rounds(ROUNDS / 10);
  const started = performance.now();
  await rounds(ROUNDS);
  const together = performance.now() - started;

  let alone = 0;
  const begun = performance.now();
  for (; performance.now() < begun + 1000; alone++) assert.equal(await redis.get(name), "0123456789abcdef");
  const singly = performance.now() - begun;

  table([
    ["how", "GETs", "ms", "GETs/s"],
    ["1,000 per tick", count(ROUNDS * PER_TICK), count(together), count((ROUNDS * PER_TICK * 1000) / together)],
    ["one after the other", count(alone), count(singly), count((alone * 1000) / singly)],
  ]);
};

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Gives up with one line. */
const stop = (text) => {
  console.error(`tour: ${text}`);
  process.exit(1);
};

let redis;
try {
  redis = new Redis(url);
  await redis.connect();
} catch (error) {
  stop(process.env.REDIS_URL ? `REDIS_URL: ${error.message}` : `${error.message}, or set REDIS_URL`);
}

const tidy = async () => {
  const removed = await redis.del([...keys]);
  await redis.close();
  return removed;
};
process.once("SIGINT", () => void tidy().finally(() => process.exit(130)));

try {
  await tour(redis);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
const removed = await tidy().catch(() => 0);
if (process.exitCode) stop("something was not as it should be, see above");
console.log(`\nEvery reply was as expected. The tour deleted its ${removed} keys.`);
