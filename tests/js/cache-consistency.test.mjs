// I-8: what is read is never older than what the client had been told, whoever writes, and whatever is killed or flushed meanwhile.
//
// Every key has one writer at a time, and its values grow, so of two of them the older is known. What was written when a PING was sent
// has been told of when its reply comes: the server writes both to one connection, in order. Reads from then on must not be older.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectionError, LeaseError, Redis } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { allPrograms, missing, startServer } from "./support/servers.mjs";
import { within } from "./support/until.mjs";

const KEYS = 24;
/** Operations in each mode on each server. */
const OPERATIONS = 60_000;
/** A script, and the same as a function, that writes a key which it does not declare. */
const SCRIPT = "return redis.call('SET', ARGV[1], ARGV[2])";
const LIBRARY = `#!lua name=writers
redis.register_function('put', function(keys, args) return redis.call('SET', args[1], args[2]) end)`;
const modes = [{}, { mode: "broadcast" }, { mode: "broadcast", prefixes: ["key:1", "key:2"] }, { mode: "optin" }, { maxKeys: 10 }];

/** Any number below `limit`, the same in each run. */
const dice = (seed) => (limit) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 0x1_0000_0000) * limit);
};

const check = async (t, program, cache, seed) => {
  keepAlive(t);
  const server = await startServer(program);
  t.after(() => server.stop());
  const options = { host: "127.0.0.1", port: server.port, retryDelay: 1, maxRetryDelay: 5, maxResends: 100 };
  const [redis, beside, killer] = [new Redis({ ...options, cache }), new Redis(options), new Redis(options)];
  for (const client of [redis, beside, killer]) t.after(() => client.destroy());
  await beside.functionLoad(LIBRARY);
  const kept = redis.with({ cache: true });
  const random = dice(seed);

  /** The last value given out, and by key what is written, what the client was told of, and who holds it. */
  let clock = 0;
  const written = new Array(KEYS).fill(0);
  const told = new Array(KEYS).fill(0);
  const locks = new Array(KEYS).fill(undefined);
  let flushed = 0;
  let operations = 0;
  const count = { reads: 0, leased: 0, writes: 0, untold: 0, news: 0, kills: 0, flushes: 0 };
  const going = () => operations++ < OPERATIONS;

  const holding = async (keys, work) => {
    for (const key of [...new Set(keys)].sort((a, b) => a - b)) {
      while (locks[key] !== undefined) await locks[key];
      let release;
      locks[key] = new Promise((resolve) => (release = () => ((locks[key] = undefined), resolve())));
      locks[key].release = release;
    }
    try {
      await work();
    } finally {
      for (const key of new Set(keys)) locks[key].release();
    }
  };

  const name = (key) => `key:${key}`;
  // nothing is there after a flush at the earliest
  const age = (value) => (value === null ? flushed : Number(value));
  const assertFresh = (key, value, least, how) =>
    assert.ok(age(value) >= least, `${how} gave ${value} for key ${key}, and ${least} had been written when it was asked for`);

  const read = async () => {
    const [one, two] = [random(KEYS), random(KEYS)];
    const reader = await readers();
    const least = [told[one], told[two]];
    count.reads++;
    if (reader !== kept) count.leased++;
    switch (random(4)) {
      case 0: {
        const [first, second] = await reader.mget([name(one), name(two)]);
        assertFresh(one, first, least[0], "MGET");
        assertFresh(two, second, least[1], "MGET");
        break;
      }
      case 1: {
        const [first, second] = await reader.pipeline({ transaction: false }).get(name(one)).get(name(two)).execute();
        assertFresh(one, first, least[0], "a pipeline");
        assertFresh(two, second, least[1], "a pipeline");
        break;
      }
      default:
        assertFresh(one, await reader.get(name(one)), least[0], "GET");
    }
  };

  let lease;
  /** Gives a lease, which is lost with its connection. */
  const leased = () => (lease ??= redis.lease());
  /** Gives who reads next: the client, or a lease of it. */
  const readers = async () => (random(3) === 0 ? (await leased()).with({ cache: true }) : kept);

  /** Gives who writes next: the client, a lease of it, or somebody else. */
  const writer = async () => {
    switch (random(4)) {
      case 0:
        return redis;
      case 1:
        return leased();
      default:
        return beside;
    }
  };

  const write = async () => {
    const key = random(KEYS);
    const client = await writer();
    await holding([key], async () => {
      const value = ++clock;
      count.writes++;
      const how = random(3);
      if (how === 0) await client.mset({ [name(key)]: String(value) });
      else if (how === 1) await client.multi().set(name(key), String(value)).execute();
      else await client.set(name(key), String(value));
      written[key] = value;
      // its own writes a client knows at once
      if (client !== beside) told[key] = value;
    });
  };

  /** The same by a script or a function that does not declare the key, on a connection that is not the shared one. */
  const writeUntold = async () => {
    const key = random(KEYS);
    const client = await leased();
    await holding([key], async () => {
      const value = ++clock;
      count.untold++;
      const call = [random(2) === 0 ? [] : [name(random(KEYS))], [name(key), String(value)]];
      const pick = (calls) => calls[random(calls.length)]();
      await pick([
        () => client.eval(SCRIPT, ...call),
        () => client.fcall("put", ...call),
        () => client.pipeline({ transaction: false }).get(name(key)).eval(SCRIPT, ...call).execute(),
        () => client.multi().fcall("put", ...call).execute(),
        () => redis.transaction((pipe) => pipe.multi().eval(SCRIPT, ...call), [name(key)]),
        () => redis.ignoreReplies((silent) => silent.eval(SCRIPT, ...call)),
      ]);
      told[key] = written[key] = value;
      // the next read is likely to come before the news
      assertFresh(key, await kept.get(name(key)), value, "GET");
    });
  };

  /** Waits until the client was told of what is written now. */
  const hear = async () => {
    const now = [...written];
    await redis.ping();
    count.news++;
    for (const [key, value] of now.entries()) told[key] = Math.max(told[key], value);
  };

  const flush = async () => {
    const all = Array.from({ length: KEYS }, (_, key) => key);
    await holding(all, async () => {
      const value = ++clock;
      count.flushes++;
      flushed = value;
      const client = [redis, await leased(), beside][random(3)];
      await client.flushall();
      written.fill(value);
      if (client !== beside) told.fill(value);
    });
  };

  /** A write whose connection was lost may have happened, or not: its key is written again by whoever comes next. */
  const forgiving = async (work) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ConnectionError || error instanceof LeaseError)) throw error;
      const lost = lease;
      lease = undefined;
      await (await lost)?.release();
    }
  };

  const loop = async (work) => {
    while (going()) await work();
  };
  const loops = [
    ...Array.from({ length: 12 }, () => loop(() => forgiving(read))),
    ...Array.from({ length: 2 }, () => loop(() => forgiving(write))),
    // rarely, since each ends everything that is kept
    loop(() => forgiving(random(10) === 0 ? writeUntold : hear)),
    loop(hear),
    loop(async () => {
      if (random(40) === 0) await forgiving(flush);
      else await forgiving(hear);
    }),
    loop(async () => {
      if (random(60) === 0) count.kills += await killer.call("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes");
      else await killer.ping();
    }),
  ];
  await within(Promise.all(loops), 110_000, "the checker");
  const stats = redis.cacheStats;
  t.diagnostic(`${JSON.stringify(count)} ${JSON.stringify(stats)}`);
  assert.ok(stats.hits > count.reads / 20, "it kept something");
  for (const [what, times] of Object.entries(count)) assert.ok(times >= 10, `${what}: ${times}`);
};

for (const server of allPrograms.slice(0, 3)) {
  describe(`${server.name}`, { skip: missing(server), concurrency: false }, () => {
    for (const [at, cache] of modes.entries()) {
      test(`${JSON.stringify(cache)}: no read is older than what was told`, (t) => check(t, server.program, cache, at + 1));
    }
  });
}
