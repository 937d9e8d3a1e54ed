import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import { Redis } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { Raw } from "./support/raw.mjs";
import { groups, matches, method, resolve, revive, skeleton, table } from "./support/scenarios.mjs";
import { allPrograms, missing, startServer } from "./support/servers.mjs";
import { kinds, Topologies } from "./support/topologies.mjs";
import { outcome, until } from "./support/until.mjs";

const protocols = [2, 3];
const short = (value) => inspect(value, { depth: 12, breakLength: Infinity, maxArrayLength: 20, maxStringLength: 300 });

/** What the client does itself, and takes on no lease either. */
const own = new Set(["monitor", "subscribe", "unsubscribe"]);
const isOwn = (command) => own.has(table.get(command)?.conn);

/** What a server knows, by the names of the table: no mere first words of others. */
const knownTo = async (redis) => {
  const names = [...(await redis.call("COMMAND LIST"))].map((name) => name.toUpperCase().replace("|", " "));
  const below = (name, all) => all.filter((other) => other.startsWith(`${name} `));
  const commands = names.flatMap((name) => {
    if (table.has(name)) return name;
    if (below(name, names).length > 0) return [];
    // some servers do not list what is below a first word
    const listed = below(name, [...table.keys()]);
    return listed.length > 0 ? listed : name;
  });
  return commands.sort();
};

const atLeast = (version, wanted) => {
  const [ours, theirs] = [version, wanted].map((text) => text.split(".").map(Number));
  const index = theirs.findIndex((part, index) => part !== ours[index]);
  return index < 0 || ours[index] > theirs[index];
};

/** Where a scenario belongs besides a lease; undefined for any server. */
const placeOf = ({ needs }) => [needs].flat().find((need) => need !== "lease");
const isLeased = ({ needs }) => [needs].flat().includes("lease");

const runsOn = (server, { command, needs, why, servers, since }) =>
  server.known.has(command) &&
  !isOwn(command) &&
  (placeOf({ needs }) === undefined || kinds.includes(placeOf({ needs }))) &&
  why === undefined &&
  (servers === undefined || servers.includes(server.id)) &&
  (since === undefined || command.includes(".") || atLeast(server.version, since));

/** Makes `redis` as good as new. */
const empty = async (redis, { needs, node }) => {
  if (placeOf({ needs }) === "sentinel" || node === "replica") return;
  // a script that was told to end needs a moment
  await until(() => redis.call("FLUSHALL").catch(({ code }) => code !== "BUSY"), "an empty database");
  for (const words of [["SCRIPT FLUSH"], ["FUNCTION FLUSH"]]) await redis.call(...words);
};

/** Runs one scenario; gives what it gave, or fails. */
const play = async (redis, ports, { command, setup = [], beside = [], args, call, expect, then = [] }) => {
  const send = args === undefined && call !== undefined ? (...rest) => redis.call(...rest) : method(redis, command);
  assert.ok(send !== undefined, "there is no such method");
  const others = [];
  const world = { replies: [], beside: others, port: ports.plain };
  const given = (value) => revive(resolve(value, world));
  try {
    for (const words of setup) world.replies.push(await redis.call(...given(words)));
    for (const words of beside) {
      const other = await Raw.open(ports.here);
      others.push(other);
      other.send(words);
    }
    // what blocks on the server must have got there
    if (others.length > 0) await new Promise((resolve) => setTimeout(resolve, 60));

    const { value, error } = await outcome((async () => send(...given(args ?? call ?? [])))(), 10_000);
    const results = [];
    // even after a failure: they tidy up
    for (const [words] of then) results.push(await redis.call(...given(words)));

    if (expect?.$error === undefined && error !== undefined) throw error;
    if (expect?.$error !== undefined) assert.ok(error?.code === expect.$error, `expected an error ${expect.$error}, got ${short(error ?? value)}`);
    else assert.ok(matches(value, resolve(expect, world)), `expected ${JSON.stringify(expect)}, got ${short(value)}`);
    for (const [index, [words, wanted]] of then.entries())
      assert.ok(matches(results[index], resolve(wanted, world)), `then ${short(words)}: expected ${JSON.stringify(wanted)}, got ${short(results[index])}`);
    return value;
  } finally {
    for (const other of others) other.close();
  }
};

/** Runs one scenario on a lease, where it belongs there, or on what everybody shares. */
const playOn = async (redis, ports, scenario) => {
  await empty(redis, scenario);
  if (!isLeased(scenario)) return play(redis, ports, scenario);
  const lease = await redis.lease();
  try {
    return await play(lease, ports, scenario);
  } finally {
    await lease.release();
  }
};

/** Runs one scenario where it belongs. */
const stage = async (server, protocol, scenario) => {
  const { client } = scenario;
  const place = { ...scenario, needs: placeOf(scenario) };
  if (place.needs === undefined && client === undefined) return playOn(server.clients.get(protocol), { here: server.port, plain: server.port }, scenario);
  const { port } = place.needs === undefined ? server : await server.topologies.node(place);
  const redis = new Redis({ port, protocol, ...client });
  try {
    return await playOn(redis, { here: port, plain: server.port }, scenario);
  } finally {
    redis.destroy();
    await server.topologies.leave(place);
  }
};

for (const program of allPrograms) {
  describe(program.name, { skip: missing(program) }, () => {
    const server = { ...program };
    const shapes = new Map();
    const covered = new Map(protocols.map((protocol) => [protocol, new Set()]));
    before(async () => {
      server.topologies = new Topologies(program.program);
      Object.assign(server, await startServer(program.program, ["--enable-debug-command", "yes"]));
      server.clients = new Map(protocols.map((protocol) => [protocol, new Redis({ port: server.port, protocol })]));
      const redis = server.clients.get(3);
      const sentinel = new Redis({ port: (await server.topologies.node({ needs: "sentinel" })).port });
      server.known = new Set([...(await knownTo(redis)), ...(await knownTo(sentinel))]);
      sentinel.destroy();
      const { redis_version, valkey_version } = await redis.call("INFO", "server");
      Object.assign(server, { version: redis_version, about: valkey_version ?? redis_version });
    });
    after(async () => {
      for (const redis of server.clients?.values() ?? []) redis.destroy();
      await Promise.all([server.stop?.(), server.topologies?.stop()]);
    });

    for (const protocol of protocols) {
      for (const { name, scenarios } of groups) {
        test(`[promises 37, 38, 39${name === "scripting" ? ", 41" : ""}] every command of ${name}, protocol ${protocol}`, async (t) => {
          keepAlive(t);
          const failures = [];
          const fitting = scenarios.filter((scenario) => runsOn(server, scenario));
          for (const scenario of fitting) {
            const { value, error } = await outcome(stage(server, protocol, scenario), 30_000);
            const shape = skeleton(value);
            const other = shapes.get(scenario) ?? shape;
            shapes.set(scenario, shape);
            if (error !== undefined) failures.push([scenario, error.message]);
            else if (!scenario.varies && !isDeepStrictEqual(shape, other)) failures.push([scenario, `differs between the protocols: ${short(other)} and ${short(shape)}`]);
            else if (scenario.expect?.$error === undefined) covered.get(protocol).add(scenario.command);
          }
          const lines = failures.map(([{ command, args, call }, why]) => `\n  ${command} ${JSON.stringify(args ?? call)}: ${why}`);
          assert.ok(lines.length === 0, `${lines.length} of ${fitting.length} failed:${lines.join("")}`);
        });
      }
    }

    test("[promise 39] at least 95 % of the commands that it knows", () => {
      const reasons = new Map(groups.flatMap(({ scenarios }) => scenarios).map(({ command, why, needs }) => [command, why ?? (needs && `needs ${needs}`)]));
      const reason = (name) => (isOwn(name) && "redis.subscribe(), pubsub() and monitor() send it, which have suites of their own") || (reasons.get(name) ?? table.get(name)?.internal ?? (table.has(name) ? "no scenario passed" : "not in the table"));
      const without = [...server.known].filter((name) => !protocols.every((protocol) => covered.get(protocol).has(name)));
      const share = (100 * (server.known.size - without.length)) / server.known.size;
      const lines = without.map((name) => `\n  not covered: ${name}: ${reason(name)}`);
      console.log(`${server.name} ${server.about}: ${server.known.size - without.length} of ${server.known.size} commands on both protocols (${share.toFixed(1)} %)${lines.join("")}`);
      assert.ok(share >= 95, `only ${share.toFixed(1)} %`);
    });
  });
}
