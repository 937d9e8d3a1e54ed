// What is measured. A workload says what one turn does on an adapter, how many turns are under way at once, how many operations a
// turn is, and what its answers have to be. `wire` are the commands of a turn, for the limit.
import assert from "node:assert/strict";
import { delivery } from "./delivery.mjs";
import { FIELDS, ITEMS, KEYS, MIB, MIXED_ITEMS, MIXED_KEYS, MIXED_VALUES, SIZES, VALUES } from "./data.mjs";

const ascii = { keys: KEYS, values: VALUES, list: "list", items: ITEMS };
const mixed = { keys: MIXED_KEYS, values: MIXED_VALUES, list: "list:mixed", items: MIXED_ITEMS };

/** SET and GET in turn: half of each. A pair is about one key, so that every GET has a known answer. */
const alternate = ({ keys, values }, count) =>
  Array.from({ length: count }, (_, i) => (i % 2 === 0 ? ["set", keys[i], values[i]] : ["get", keys[i - 1]]));

/** ioredis wraps results of pipelines in pairs of error and value. */
const plain = (results) => results.map((result) => (Array.isArray(result) ? result[1] : result));

const wire = (commands) => commands.map(([name, ...rest]) => [name.toUpperCase(), ...rest]);

const sequential = {
  unit: "op",
  turn: (client, i) => client.get(KEYS[i % 1000]),
  check: async (client) => assert.equal(await client.get(KEYS[7]), VALUES[7]),
  wire: [["GET", KEYS[0]]],
};

/** The same, answered by the client's own cache. */
const kept = {
  unit: "op",
  turn: (client, i) => client.getKept(KEYS[i % 1000]),
  check: async (client) => {
    assert.ok(client.getKept, "has no such way");
    for (const at of [7, 7]) assert.equal(await client.getKept(KEYS[at]), VALUES[at]);
  },
};

const loops = (data) => {
  const commands = alternate(data, 1000);
  return {
    unit: "op",
    loops: 64,
    turn: (client, i) => {
      const [name, key, value] = commands[i % 1000];
      return name === "set" ? client.set(key, value) : client.get(key);
    },
    check: async (client) => {
      await client.set(data.keys[0], data.values[0]);
      assert.equal(await client.get(data.keys[0]), data.values[0]);
      assert.equal(await client.get(data.keys[3]), data.values[3]);
    },
    wire: wire(commands.slice(0, 2)),
    wireOperations: 2,
  };
};

const burst = ({ keys, values }) => ({
  unit: "op",
  operations: 1000,
  turn: (client) => Promise.all(keys.map((key) => client.get(key))),
  check: async (client) => assert.deepEqual(await Promise.all(keys.map((key) => client.get(key))), values),
  wire: keys.map((key) => ["GET", key]),
});

const pipeline = (data) => {
  const commands = alternate(data, 1000);
  return {
    unit: "op",
    operations: 1000,
    turn: (client) => client.pipeline(commands),
    check: async (client) => checkResults(await client.pipeline(commands), data.values),
    wire: wire(commands),
  };
};

const transaction = () => {
  const commands = alternate(ascii, 20);
  return {
    unit: "tx",
    loops: 8,
    turn: (client) => client.multi(commands),
    check: async (client) => checkResults(await client.multi(commands), VALUES.slice(0, 20)),
    wire: [["MULTI"], ...wire(commands), ["EXEC"]],
  };
};

const checkResults = (results, values) => {
  assert.equal(results.length, values.length);
  plain(results).forEach((result, i) => i % 2 === 1 && assert.equal(result, values[i - 1]));
};

const read = (size, count, bytes) => {
  const key = `big:${size}`;
  const turn = bytes ? (client) => client.getBytes(key) : (client) => client.get(key);
  return {
    unit: "op",
    loops: count,
    turn,
    check: async (client) => {
      const value = await turn(client);
      assert.equal(value.length, SIZES[size]);
      assert.ok(bytes ? value instanceof Uint8Array : typeof value === "string");
      assert.equal(bytes ? String.fromCharCode(value.at(-1)) : value.at(-1), "x");
    },
    wire: [["GET", key]],
  };
};

const range = ({ list, items }) => ({
  unit: "op",
  loops: 2,
  turn: (client) => client.lrange(list, 0, -1),
  check: async (client) => assert.deepEqual(await client.lrange(list, 0, -1), items),
  wire: [["LRANGE", list, "0", "-1"]],
});

const members = {
  unit: "op",
  loops: 2,
  turn: (client) => client.smembers("set"),
  check: async (client) => assert.deepEqual([...(await client.smembers("set"))].sort(), ITEMS),
  wire: [["SMEMBERS", "set"]],
};

const hash = {
  unit: "op",
  loops: 4,
  turn: (client) => client.hgetall("hash"),
  check: async (client) => {
    const reply = await client.hgetall("hash");
    // glide gives a list of { field, value }
    const pairs = Array.isArray(reply) ? reply.map(({ field, value }) => [field, value]) : Object.entries(reply);
    assert.deepEqual(pairs.sort(), FIELDS);
  },
  wire: [["HGETALL", "hash"]],
};

const several = {
  unit: "op",
  loops: 4,
  turn: (client) => client.mget(KEYS),
  check: async (client) => assert.deepEqual(await client.mget(KEYS), VALUES),
  wire: [["MGET", ...KEYS]],
};

const write = {
  unit: "op",
  loops: 2,
  turn: (client) => client.set("written", MIB),
  check: async (client) => {
    await client.set("written", MIB);
    assert.equal((await client.get("written")).length, MIB.length);
  },
  wire: [["SET", "written", MIB]],
};

/** Only the small ones count; the large ones go on beside them, one of each kind at a time. */
const crowd = {
  unit: "op",
  loops: 4,
  turn: sequential.turn,
  beside: [(client) => client.get("big:1m"), (client) => client.lrange("list", 0, -1)],
  eventLoop: true,
  check: async (client) => {
    const [small, large, list] = await Promise.all([client.get(KEYS[7]), client.get("big:1m"), client.lrange("list", 0, -1)]);
    assert.equal(small, VALUES[7]);
    assert.equal(large.length, MIB.length);
    assert.equal(list.at(-1), ITEMS.at(-1));
  },
};

const workload = (about, steps, more) => ({ about, link: "plain", loops: 1, operations: 1, ...steps, ...more });

const plainLink = {
  W1: workload("sequential GET 16 B", sequential),
  W2: workload("64 loops GET/SET 16 B, one connection", loops(ascii)),
  W2u: workload("W2, a third Cyrillic or emoji", loops(mixed)),
  W3: workload("Promise.all of 1000 GET", burst(ascii)),
  W3u: workload("W3, a third Cyrillic or emoji", burst(mixed)),
  W4: workload("explicit pipeline of 1000 SET and GET", pipeline(ascii)),
  W4u: workload("W4, a third Cyrillic or emoji", pipeline(mixed)),
  W5: workload("MULTI/EXEC of 20, 8 loops", transaction()),
  "W6.1k.string": workload("GET 1 KiB as string, 8 loops", read("1k", 8, false)),
  "W6.1k.bytes": workload("GET 1 KiB as bytes, 8 loops", read("1k", 8, true)),
  "W6.64k.string": workload("GET 64 KiB as string, 4 loops", read("64k", 4, false)),
  "W6.64k.bytes": workload("GET 64 KiB as bytes, 4 loops", read("64k", 4, true)),
  "W6.1m.string": workload("GET 1 MiB as string, 2 loops", read("1m", 2, false)),
  "W6.1m.bytes": workload("GET 1 MiB as bytes, 2 loops", read("1m", 2, true)),
  W7: workload("LRANGE 10 000 x 16 B, 2 loops", range(ascii)),
  W7u: workload("W7, a third Cyrillic or emoji", range(mixed)),
  W7s: workload("SMEMBERS 10 000 x 16 B, 2 loops", members),
  W8: workload("HGETALL 1000 fields, 4 loops", hash),
  W9: workload("MGET 1000 keys, 4 loops", several),
  W10: workload("messages of a channel, to a handler", delivery("subscribe")),
  "W10.iterated": workload("messages of a channel, by for await", delivery("iterate")),
  W11: workload("SET 1 MiB string, 2 loops", write),
  W13: workload("4 loops of small GETs beside GETs of 1 MiB and LRANGE 10 000", crowd),
  W16: workload("sequential GET 16 B, kept by client-side caching", kept),
};

const over = (prefix, link, name) =>
  ["W2", "W3", "W7"].map((id) => [`${prefix}.${id}`, { ...plainLink[id], link, about: `${plainLink[id].about}, over ${name}` }]);

/** All of them by name; W12, the start, is measured apart. */
export const WORKLOADS = {
  ...plainLink,
  ...Object.fromEntries(over("W14", "resp2", "RESP2")),
  ...Object.fromEntries(over("W15", "tls", "TLS")),
};
