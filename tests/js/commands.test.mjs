import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { Redis } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { groups, matches, method, revive, skeleton, table } from "./support/scenarios.mjs";
import { allPrograms, missing, startServer } from "./support/servers.mjs";
import { outcome, within } from "./support/until.mjs";

const protocols = [2, 3];
const short = (value) => inspect(value, { depth: 12, breakLength: Infinity, maxArrayLength: 20, maxStringLength: 300 });

/** What a server knows, by the names of the table: no mere first words of others. */
const knownTo = async (redis) => {
  const names = [...(await redis.call("COMMAND LIST"))].map((name) => name.toUpperCase().replace("|", " "));
  const first = new Set(names.filter((name) => name.includes(" ")).map((name) => name.split(" ")[0]));
  return new Set(names.filter((name) => !first.has(name) || name === "COMMAND").sort());
};

const call = (redis, words) => redis.call(...words.map(revive));

/** Runs one scenario; gives why it failed, or nothing. */
const run = async (redis, scenario, seen) => {
  const { command, setup = [], args = [], call: words, expect, then = [] } = scenario;
  const send = words === undefined ? method(redis, command) : (...args) => redis.call(...args);
  if (send === undefined) return "no such method";
  await call(redis, ["FLUSHALL"]);
  for (const words of setup) await call(redis, words);
  const { value, error } = await outcome((async () => send(...(words ?? args).map(revive)))(), 10_000);
  const code = expect?.$error;
  if (code !== undefined && error?.code !== code) return `expected an error ${code}, got ${short(error ?? value)}`;
  if (code === undefined && error !== undefined) return String(error);
  if (code === undefined && !matches(value, expect)) return `expected ${JSON.stringify(expect)}, got ${short(value)}`;
  const before = seen.get(scenario);
  seen.set(scenario, skeleton(value));
  if (before !== undefined) assert.deepEqual(skeleton(value), before, "differs between the protocols");
  for (const [words, wanted] of then) {
    const value = await call(redis, words);
    if (!matches(value, wanted)) return `then ${short(words)}: expected ${JSON.stringify(wanted)}, got ${short(value)}`;
  }
};

const runsOn = (server, known, { command, needs, why, servers, since }) =>
  known.has(command) && needs === undefined && why === undefined && (servers?.includes(server.id) ?? true) && (since === undefined || atLeast(server.version, since));

const atLeast = (version, wanted) => {
  const [ours, theirs] = [version, wanted].map((text) => text.split(".").map(Number));
  for (let index = 0; index < theirs.length; index++) if (ours[index] !== theirs[index]) return ours[index] > theirs[index];
  return true;
};

for (const server of allPrograms) {
  describe(server.name, { skip: missing(server) }, () => {
    const running = {};
    const covered = new Map(protocols.map((protocol) => [protocol, new Set()]));
    const seen = new Map();
    before(async () => {
      running.server = await startServer(server.program, ["--enable-debug-command", "yes", "--enable-module-command", "yes"]);
      running.clients = protocols.map((protocol) => new Redis({ port: running.server.port, protocol }));
      running.known = await knownTo(running.clients[0]);
      const info = await running.clients[0].call("INFO", "server");
      Object.assign(server, { version: String(info.redis_version) });
    });
    after(async () => {
      for (const redis of running.clients ?? []) redis.destroy();
      await running.server?.stop();
    });

    for (const [index, protocol] of protocols.entries()) {
      for (const { name, scenarios } of groups) {
        test(`[promises 1, 37, 38, 39] every command of ${name}, protocol ${protocol}`, async (t) => {
          keepAlive(t);
          const redis = running.clients[index];
          const failures = [];
          for (const scenario of scenarios.filter((scenario) => runsOn(server, running.known, scenario))) {
            const { value = undefined, error } = await outcome(run(redis, scenario, seen), 30_000);
            const failure = error === undefined ? value : String(error);
            if (failure !== undefined) failures.push(`${scenario.command} ${JSON.stringify(scenario.call ?? scenario.args ?? [])}: ${failure}`);
            else if (scenario.expect?.$error === undefined) covered.get(protocol).add(scenario.command);
          }
          assert.equal(failures.length, 0, `${failures.length} of ${scenarios.length} failed:\n${failures.join("\n")}`);
        });
      }
    }

    test("[promise 39] at least 95 % of the commands that it knows", () => {
      const whys = new Map(groups.flatMap(({ scenarios }) => scenarios).map(({ command, why, needs }) => [command, why ?? (needs && `needs ${needs}`)]));
      const without = [...running.known].filter((name) => !protocols.every((protocol) => covered.get(protocol).has(name)));
      const reason = (name) => whys.get(name) ?? table.get(name)?.internal ?? (table.has(name) ? "no scenario passed" : "not in the table");
      const share = 1 - without.length / running.known.size;
      console.log(`${server.name} ${server.version}: ${running.known.size} commands, ${running.known.size - without.length} covered on both protocols (${(share * 100).toFixed(1)} %)`);
      for (const name of without) console.log(`  not covered: ${name}: ${reason(name)}`);
      assert.ok(share >= 0.95, `${(share * 100).toFixed(1)} %`);
    });
  });
}
