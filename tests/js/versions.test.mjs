import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CommandNotSupportedError, QueueFullError, Redis, TimeoutError, UnknownCommandError } from "redwire";
import { get, hexpire, incr, jsonGet, set, zrange } from "redwire/commands";
import { faked, keepAlive } from "./support/client.mjs";
import { handshake } from "./support/fake.mjs";
import { bulk, error, ok } from "./support/resp.mjs";
import { table } from "./support/scenarios.mjs";
import { allPrograms, missing, startServer } from "./support/servers.mjs";
import { outcome, rejection, within } from "./support/until.mjs";

/** The fake server says that it is 7.0.15. */
const names = (fake) => fake.commands.map(([name]) => name);

describe("commands that the server is too old for", () => {
  test("are refused before anything of them is sent, whether its version is known or not", async (t) => {
    const { fake, redis } = faked(t, () => ok);
    for (let round = 0; round < 2; round++) {
      const error = await rejection(redis.hexpire("h", 1, ["f"]));
      assert.ok(error instanceof CommandNotSupportedError);
      assert.match(error.message, /HEXPIRE needs version 7\.4 of the server, which is 7\.0\.15/);
      assert.deepEqual([error.command, error.maybeExecuted], ["HEXPIRE", false]);
    }
    assert.deepEqual(names(fake), []);
  });

  test("so are options, by name, and words of an option", async (t) => {
    const { redis } = faked(t, () => ok);
    assert.match((await rejection(redis.set("k", "v", { ifeq: "x" }))).message, /SET with 'ifeq' needs version 8\.4/);
    assert.match((await rejection(redis.hscan("h", "0", { novalues: true }))).message, /HSCAN with 'novalues' needs version 7\.4/);
    assert.match((await rejection(redis.zunion(["a"], { aggregate: "count" }))).message, /ZUNION with 'aggregate: "count"' needs version 8\.8/);
  });

  test("of Redis 6 too, on a server that does not know HELLO", async (t) => {
    const { fake, redis } = faked(t, () => ok, { protocol: 2, greet: handshake(2, "5.0.14") });
    assert.match((await rejection(redis.migrate("host", 1, "k", 0, 10, { auth2: ["u", "p"] }))).message, /MIGRATE with 'auth2' needs version 6/);
    assert.match((await rejection(redis.aclWhoami())).message, /ACL WHOAMI needs version 6/);
    assert.equal(await redis.migrate("host", 1, "k", 0, 10, { auth: "p" }), true);
    assert.deepEqual(names(fake), ["MIGRATE"]);
  });

  test("what waits for the version keeps its place in the order", async (t) => {
    const { fake, redis } = faked(t, () => ok);
    const { signal } = new AbortController();
    await Promise.all([redis.set("a", 1), redis.with({ signal }).getex("a", { ex: 1 }), redis.with({ signal }).del("a"), redis.call("ECHO", "x"), redis.pipeline({ transaction: false }).get("a").execute()]);
    assert.deepEqual(names(fake), ["SET", "GETEX", "DEL", "ECHO", "GET"]);
  });

  test("a pipeline with one is refused as a whole, says which, and can be used again", async (t) => {
    for (const transaction of [true, false]) {
      const { fake, redis } = faked(t, () => ok);
      const pipe = redis.pipeline({ transaction });
      // when its version is not known yet, and when it is
      for (let round = 0; round < 2; round++) {
        const refused = await rejection(pipe.get("a").hexpire("h", 1, ["f"]).execute());
        assert.ok(refused instanceof CommandNotSupportedError);
        assert.match(refused.message, /^Command # 2 \(HEXPIRE\) of pipeline caused error: HEXPIRE needs version/);
        assert.deepEqual([refused.position, refused.command, refused.maybeExecuted], [1, "HEXPIRE", false]);
      }
      assert.deepEqual(fake.commands, []);
      if (transaction) continue;
      await pipe.get("b").execute();
      assert.deepEqual(fake.commands, [["GET", "b"]]);
    }
  });

  test("are refused on a lease too, by what its own connection says", async (t) => {
    for (const protocol of [2, 3]) {
      const { fake, redis } = faked(t, () => ok, { protocol });
      const lease = await redis.lease();
      assert.ok((await rejection(lease.hexpire("h", 1, ["f"]))) instanceof CommandNotSupportedError);
      assert.ok((await rejection(lease.multi().get("a").hexpire("h", 1, ["f"]).execute())) instanceof CommandNotSupportedError);
      assert.deepEqual([fake.links.length, names(fake)], [1, []]);
    }
  });

  test("a stream ends at the first, and what a policy says changes nothing", async (t) => {
    const { fake, redis } = faked(t, () => ok, { retry: { next: ({ attempt }) => (attempt < 5 ? 0 : undefined) } });
    const [stream, retried] = await Promise.all([rejection(redis.pipelineStream([get("a"), hexpire("h", 1, ["f"])])), rejection(redis.hexpire("h", 1, ["f"]))]);
    assert.ok(stream instanceof CommandNotSupportedError && retried instanceof CommandNotSupportedError);
    assert.equal(stream.position, 1);
    assert.deepEqual(names(fake).filter((name) => name !== "GET"), []);
  });

  test("verifyVersion: false sends them", async (t) => {
    const { fake, redis } = faked(t, () => ok, { verifyVersion: false });
    await outcome(redis.hexpire("h", 1, ["f"]));
    assert.deepEqual(names(fake), ["HEXPIRE"]);
  });

  test("are known where the server did not greet with its version, from INFO", async (t) => {
    const { fake, redis } = faked(t, () => ok, { protocol: 2 });
    const [error, value] = await Promise.all([rejection(redis.hexpire("h", 1, ["f"])), redis.set("k", "v")]);
    assert.match(error.message, /^HEXPIRE needs version 7\.4 of the server, which is 7\.0\.15/);
    assert.equal(value, true);
    assert.ok((await rejection(redis.hexpire("h", 1, ["f"]))) instanceof CommandNotSupportedError);
    assert.deepEqual(fake.commands, [["SET", "k", "v"]]);
    assert.equal(redis.inspect().version, "7.0.15");
  });

  test("are sent where nobody says how old the server is", async (t) => {
    for (const answer of [error("NOPERM this user has no permissions to run the 'info' command"), ok, bulk("")]) {
      const { fake, redis } = faked(t, () => ok, { protocol: 2, greet: (args) => (args[0] === "INFO" ? answer : handshake(2)(args)) });
      for (let round = 0; round < 2; round++) await outcome(redis.hexpire("h", 1, ["f"]));
      assert.deepEqual(names(fake), ["HEXPIRE", "HEXPIRE"]);
    }
  });

  test("are sent to forks, whose numbers are their own", async (t) => {
    for (const protocol of [2, 3]) {
      const { fake, redis } = faked(t, () => ok, { protocol, greet: handshake(protocol, "8.1.0", "valkey") });
      for (let round = 0; round < 2; round++) await Promise.all([redis.set("k", "v", { ifeq: "x" }), redis.pipeline().xdelex("s", ["1-0"]).execute().catch(() => {})]);
      assert.equal(redis.inspect().version, "8.1.0");
      assert.deepEqual(names(fake).filter((name) => name !== "MULTI" && name !== "EXEC"), ["SET", "XDELEX", "SET", "XDELEX"]);
    }
  });

  test("supports tells without trying", async (t) => {
    const { redis } = faked(t, () => ok);
    assert.deepEqual([await redis.supports("HEXPIRE"), await redis.supports("get"), await redis.supports("client no-touch")], [false, true, false]);
    assert.deepEqual([await redis.supports("NOSUCH"), await redis.supports("COMMANDLOG GET"), await redis.supports(" ")], [false, false, false]);
    for (const wrong of [undefined, null, 1, ["GET"]]) assert.match((await rejection(redis.supports(wrong))).message, /^supports: parameter 'command' expected the name of a command, got \w+$/);
  });
});

/**
 * What each server has: the first is the only one without HEXPIRE, XDELEX came with Redis 8.2 and to no fork. The table does not know
 * COMMANDLOG, which is Valkey's.
 */
const known = {
  redis70: [true, true, false, false, false, false, false],
  redis82: [true, true, true, true, false, false, false],
  valkey91: [true, true, true, false, false, true, false],
  stack74: [true, true, true, false, true, false, false],
};

for (const server of allPrograms) {
  test(`supports tells what ${server.name} has`, { skip: missing(server) }, async (t) => {
    const running = await startServer(server.program);
    t.after(() => running.stop());
    for (const protocol of [2, 3]) {
      const redis = new Redis({ path: running.path, protocol });
      const names = ["GET", "xinfo stream", "HEXPIRE", "XDELEX", "JSON.GET", "commandlog  get", "NO.SUCH"];
      assert.deepEqual(await Promise.all(names.map((name) => redis.supports(name))), known[server.id]);
      await redis.call("ACL SETUSER", "default", "-command");
      const alone = ["GET", "JSON.GET", "COMMANDLOG GET"];
      assert.deepEqual(await Promise.all(alone.map((name) => redis.supports(name))), [true, false, false], "by the version alone");
      await redis.call("ACL SETUSER", "default", "+command");
      await redis.close();
    }
  });
}

test("a fork refuses by itself what it does not have", { skip: missing(allPrograms.find(({ id }) => id === "valkey91")) }, async (t) => {
  const running = await startServer(process.env.REDWIRE_VALKEY);
  t.after(() => running.stop());
  for (const protocol of [2, 3]) {
    const redis = new Redis({ path: running.path, protocol });
    assert.ok((await rejection(redis.xdelex("s", ["1-0"]))) instanceof UnknownCommandError);
    await redis.set("k", "v");
    assert.equal(await redis.set("k", "w", { ifeq: "v" }), true);
    await redis.close();
  }
});

describe("while the server is not known, a call that needs a version", () => {
  /** A server that hears everything and says nothing until `speak`. */
  const silent = (t, protocol, options = {}) => {
    let heard = () => {};
    const speaking = new Promise((resolve) => (heard = resolve));
    const greet = (args, link) => {
      const reply = handshake(protocol)(args);
      if (reply === undefined && args[0] !== "PING") return undefined;
      void speaking.then(() => link.send(reply ?? Buffer.from("+PONG\r\n")));
      return Buffer.alloc(0);
    };
    return { ...faked(t, (args) => (args[0] === "GET" ? bulk("v") : ok), { protocol, greet, ...options }), speak: heard };
  };

  for (const protocol of [2, 3]) {
    test(`sends what it was given, as do all behind it, over RESP${protocol}`, async (t) => {
      const { fake, redis, speak } = silent(t, protocol);
      const bytes = Buffer.from("first");
      const calls = [redis.getex("a", { ex: 1 }), redis.set("b", bytes, { keepttl: true }), redis.set("c", bytes), redis.call("SET", "d", bytes), redis.multi().getex("e", { ex: 1 }).set("e", bytes).execute().catch(() => {})];
      bytes.write("LATER");
      speak();
      await within(Promise.all(calls));
      assert.deepEqual(fake.commands.filter(([name]) => name === "SET").map(([, key, value]) => `${key} ${value}`), ["b first", "c first", "d first", "e first"]);
    });

    test(`is in time, shown, bounded, given up and answered before the end like any other, over RESP${protocol}`, async (t) => {
      keepAlive(t);
      const late = silent(t, protocol, { queueTimeout: 30 });
      const waiting = [late.redis.getex("a", { ex: 1 }), late.redis.get("b"), late.redis.pipeline({ transaction: false }).getex("a", { ex: 1 }).execute()].map((call) => rejection(call));
      await new Promise(setImmediate);
      assert.deepEqual(late.redis.inspect().waiting.map(({ command }) => command), ["GETEX", "GET", "GETEX"]);
      for (const error of await Promise.all(waiting)) assert.ok(error instanceof TimeoutError, `${error}`);

      const full = silent(t, protocol, { offlineQueue: { maxCommands: 2 } });
      const calls = [full.redis.getex("a", { ex: 1 }), full.redis.get("b"), full.redis.getex("c", { ex: 1 }), full.redis.get("d")];
      const over = [rejection(calls[2]), rejection(calls[3])];
      for (const error of await Promise.all(over)) assert.ok(error instanceof QueueFullError, `${error}`);
      const controller = new AbortController();
      const closing = full.redis.close();
      full.speak();
      assert.deepEqual(await within(Promise.all(calls.slice(0, 2))), ["OK", "v"]);
      await within(closing);

      const given = silent(t, protocol);
      const aborted = rejection(given.redis.with({ signal: controller.signal }).hexpire("h", 1, ["f"]));
      controller.abort(new Error("enough"));
      assert.equal((await aborted).message, "enough");
      const next = given.redis.get("b");
      given.speak();
      assert.equal(await within(next), "v", "its place is another's");
    });
  }
});

describe("inert commands", () => {
  test("are sent by execute, together and in order", async (t) => {
    const { fake, redis } = faked(t, () => ok);
    const commands = [get("a"), set("k", "v", { ex: 10 }), zrange("z", 0, 1, { withscores: true }), jsonGet("j", "$.a"), incr("n")];
    assert.equal(fake.links.length, 0);
    await redis.execute(commands);
    await redis.execute(commands);
    const sent = [["GET", "a"], ["SET", "k", "v", "EX", "10"], ["ZRANGE", "z", "0", "1", "WITHSCORES"], ["JSON.GET", "j", "$.a"], ["INCR", "n"]];
    assert.deepEqual(fake.commands, [...sent, ...sent]);
    assert.deepEqual(await redis.execute([]), []);
  });

  test("are checked as methods are", async (t) => {
    const { fake, redis } = faked(t, () => ok);
    assert.match((await rejection(redis.execute([get("a"), set("k", null)]))).message, /set: parameter 'value' expected/);
    assert.ok((await rejection(redis.execute([hexpire("h", 1, ["f"])]))) instanceof CommandNotSupportedError);
    for (const wrong of [1, null, [1], [{}], [{ command: "NOSUCH", args: [] }]]) assert.ok((await rejection(redis.execute(wrong))) instanceof TypeError);
    assert.deepEqual(fake.commands, []);
  });
});

test("a Date stands for a unix time in the command's unit", async (t) => {
  const { fake, redis } = faked(t, () => ok, { runtimeChecks: true });
  const date = new Date(1_900_000_000_123);
  await Promise.all([redis.expireat("k", date), redis.pexpireat("k", date), redis.set("k", "v", { exat: date }), redis.set("k", "v", { pxat: date })]);
  assert.deepEqual(fake.commands.map((words) => words.at(-1)), ["1900000000", "1900000000123", "1900000000", "1900000000123"]);
});

/** What the arguments of a row are called, and the version that each needs: its own, or that of what it stands in. */
const needed = (args, since) => args.flatMap((arg) => {
  const own = arg.since ?? since;
  return [{ words: [arg.token ?? arg.name, arg.name], optional: arg.optional && arg.token, since: own }, ...needed(arg.arguments ?? [], own)];
});

/** What the documentation of a command says came later: arguments by their `since`, others in its history. */
const additions = ({ arguments: args, history = [] }) => [
  ...needed(args ?? [], undefined).flatMap(({ words: [word], since }) => (since === undefined ? [] : [[since, word]])),
  ...history.filter(([, change]) => /^Added .*\b(option|argument|modifier|filter)|option\.$/.test(change)).flatMap(([since, change]) => [...change.split(" for ")[0].matchAll(/`([^`]+)`/g)].flatMap(([, words]) => words.split("|").map((word) => [since, word]))),
];

const alike = (one, other) => [one, other].map((word) => word.toLowerCase().replace(/[-_]/g, "")).reduce((a, b) => a === b);
const number = (version) => version.split(".").reduce((all, part) => all * 1000 + Number(part), 0);

for (const server of allPrograms.filter(({ id }) => id !== "valkey91")) {
  test(`options have the versions that ${server.name} says that they have`, { skip: missing(server) }, async (t) => {
    const running = await startServer(server.program);
    t.after(() => running.stop());
    const redis = new Redis({ path: running.path });
    const docs = Object.entries(await redis.commandDocs()).flatMap(([name, one]) => [[name, one], ...Object.entries(one.subcommands ?? {})]);
    const { version } = redis.inspect();
    await redis.close();
    const wrong = [];
    let compared = 0;
    for (const [name, one] of docs) {
      const row = table.get(name.toUpperCase().replace("|", " "));
      if (row?.args === undefined || (row.module ?? "vectorset") !== "vectorset") continue;
      const options = needed(row.args, row.since);
      for (const [since, word] of additions(one)) {
        const ours = options.filter(({ words }) => words.some((own) => alike(own, word)));
        compared += ours.length;
        if (ours.length > 0 && ours.every((option) => number(option.since) < number(since))) wrong.push(`${name} with ${word}: ${since}`);
      }
      // what has no documentation of its arguments tells nothing of them
      const theirs = needed(one.arguments ?? [], "").map(({ words: [word] }) => word);
      if (theirs.length > 0) for (const { words: [word], optional, since } of options) {
        if (optional && number(since) <= number(version) && !theirs.some((their) => alike(their, word))) wrong.push(`${name} with ${word}: newer than ${version}`);
      }
    }
    assert.deepEqual(wrong, []);
    assert.ok(compared > 100, `${compared} compared`);
  });
}
