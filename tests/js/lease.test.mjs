// A lease: a connection of one's own, for what changes a connection, or is about one.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConnectionError, LeaseError, Redis, TimeoutError, WrongTypeError } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { bulk, error, ok } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

for (const program of programs) {
  for (const protocol of [2, 3]) {
    describe(`a lease with ${program.name}, protocol ${protocol}`, { skip: missing(program) }, () => {
      let server;
      let port;
      before(async () => {
        server = await startServer(program.program);
        ({ port } = server);
      });
      after(() => server?.stop());

      const client = (t, options) => {
        keepAlive(t);
        const redis = new Redis({ port, protocol, ...options });
        t.after(() => redis.destroy());
        return redis;
      };
      const idOf = (redis) => redis.call("CLIENT ID");

      test("changes its own connection and nobody else's", async (t) => {
        const redis = client(t);
        await redis.set("k", "zero");
        const lease = await redis.lease();
        assert.equal(await lease.select(1), true);
        assert.equal(await lease.set("k", "one"), true);
        assert.deepEqual([await lease.get("k"), await redis.get("k")], ["one", "zero"]);
        assert.deepEqual(await lease.with({ decodeResponses: false }).get("k"), new Uint8Array(Buffer.from("one")));
        assert.deepEqual(await lease.pipeline().get("k").execute(), ["one"]);
        assert.equal(await lease.clientSetname("mine"), true);
        assert.deepEqual(await redis.clientList().then((list) => list.map(({ name }) => name).sort()), ["", "mine"]);
        assert.equal(await lease.wait(0, 10), 0);
        assert.equal(await lease.call("SELECT", 0), true);
        assert.equal(await lease.get("k"), "zero");
        await lease.release();
      });

      test("goes back as it was, and is used again only then", async (t) => {
        const redis = client(t);
        await redis.set("text", "no number");
        const used = async (task) => {
          const lease = await redis.lease();
          const id = await idOf(lease);
          await task(lease);
          await lease.release();
          const next = await redis.lease();
          const same = (await idOf(next)) === id;
          await next.release();
          return same;
        };
        const clean = {
          get: (lease) => lease.get("k"),
          "an error": (lease) => rejection(lease.incr("text")),
          "watch and a transaction": async (lease) => (await lease.watch("k"), lease.multi().set("k", 1).execute()),
          "watch and unwatch": async (lease) => (await lease.watch("k"), lease.unwatch()),
          "replies off and on": async (lease) => (await lease.clientReply("off"), await lease.set("k", 1), lease.clientReply("on")),
        };
        const left = {
          watch: (lease) => lease.watch("k"),
          "watch and an unwatch that failed": async (lease) => (await lease.watch("k"), await rejection(lease.call("UNWATCH", "x")), 0),
          select: (lease) => lease.select(1),
          name: (lease) => lease.clientSetname("x"),
          tracking: (lease) => (protocol === 3 ? lease.clientTracking("on") : lease.clientNoEvict("on")),
          "a transaction that is open": (lease) => lease.call("MULTI"),
          "a transaction that failed": async (lease) => (await lease.watch("k"), rejection(lease.call("EXEC"))),
          reset: (lease) => lease.reset(),
          "replies off": (lease) => lease.clientReply("off"),
          "an unknown command": (lease) => rejection(lease.call("NOSUCHCOMMAND")),
        };
        for (const [name, task] of Object.entries(clean)) assert.equal(await used(task), true, name);
        for (const [name, task] of Object.entries(left)) assert.equal(await used(task), false, name);
      });

      test("over rejects, and so does what comes after its release", async (t) => {
        const redis = client(t);
        const lease = await redis.lease();
        const [before, after] = [lease.echo("before"), lease.release().then(() => rejection(lease.echo("after")))];
        assert.equal(await before, "before");
        assert.ok((await after) instanceof LeaseError);
        assert.equal((await after).maybeExecuted, false);
        await lease.release();
        await lease[Symbol.asyncDispose]();
        assert.equal(await redis.echo("shared"), "shared");
      });

      test("that watches and is killed never sends EXEC on another connection", async (t) => {
        const redis = client(t);
        await redis.set("watched", "old");
        const lease = await redis.lease();
        await lease.watch("watched");
        const id = await idOf(lease);
        await redis.call("CLIENT KILL", "ID", id);
        await until(() => lease.echo("gone?").then(() => false, () => true), "the connection is lost");
        await redis.set("watched", "new");
        const error = await rejection(lease.multi().set("watched", "lost update").execute());
        assert.ok(error instanceof LeaseError, error);
        assert.equal(error.maybeExecuted, false);
        assert.match(error.message, /take another/);
        assert.equal(await redis.get("watched"), "new");
        await lease.release();
        const next = await redis.lease();
        assert.equal(await next.echo("again"), "again");
        await next.release();
      });

      test("blocks as it likes; giving it back ends that", async (t) => {
        const redis = client(t);
        const lease = await redis.lease();
        const waiting = rejection(lease.blpop(["none"], 0));
        await until(async () => (await redis.clientList()).some(({ flags }) => flags.includes("b")), "it blocks");
        await lease.release();
        assert.ok((await waiting) instanceof ConnectionError);
        await until(async () => (await redis.clientList()).length === 1, "its connection is closed");
      });

      test("is waited for no longer than poolTimeout, or until its signal aborts", async (t) => {
        const redis = client(t, { maxConnections: 1, poolTimeout: 40 });
        const lease = await redis.lease();
        const controller = new AbortController();
        const given = redis.lease({ signal: controller.signal });
        controller.abort("enough");
        assert.equal(await given.catch((reason) => reason), "enough");
        const late = await rejection(redis.lease());
        assert.ok(late instanceof TimeoutError);
        assert.match(late.message, /'maxConnections' or 'poolTimeout'/);
        const next = redis.lease();
        await lease.release();
        assert.equal(await (await next).echo("mine"), "mine");
      });

      test("asks in silence: what is not answered settles when it is written, and all of it is executed", async (t) => {
        const redis = client(t);
        await redis.set("text", "no number");
        await redis.ignoreReplies(async (quiet) => {
          const calls = Array.from({ length: 500 }, () => quiet.incr("count"));
          calls.push(quiet.incr("text"), quiet.set("large", "x".repeat(200_000)), quiet.get("large"));
          for (const value of await within(Promise.all(calls))) assert.equal(value, undefined);
        });
        assert.deepEqual([await redis.get("count"), await redis.strlen("large")], ["500", 200_000]);
        await redis.del("count");

        const lease = await redis.lease();
        const replies = [lease.echo("a"), lease.clientReply("skip"), lease.echo("b"), lease.echo("c"), lease.clientReply("off"), lease.echo("d"), lease.multi().echo("e").execute().catch((error) => error), lease.clientReply("on"), lease.echo("f")];
        const got = await within(Promise.all(replies));
        assert.deepEqual([...got.slice(0, 6), ...got.slice(7)], ["a", undefined, undefined, "c", undefined, undefined, true, "f"]);
        await lease.release();
      });

      test("speaks whatever protocol it is told to", async (t) => {
        const redis = client(t);
        const lease = await redis.lease();
        await lease.hset("h", { f: "v" });
        for (const version of [2, 3, 2]) {
          assert.equal((await lease.hello(version)).proto, version);
          assert.deepEqual(await lease.hgetall("h"), { f: "v" });
        }
        await lease.hello(3);
        assert.equal(await lease.reset(), "RESET");
        assert.deepEqual(await lease.hgetall("h"), { f: "v" });
        await lease.release();
      });

      test("takes nothing that ends the conversation", async (t) => {
        const redis = client(t);
        const lease = await redis.lease();
        for (const [name, instead] of [["SUBSCRIBE", /redis\.pubsub/], ["monitor", /redis\.monitor/]]) {
          assert.match((await rejection(lease.call(name, "x"))).message, instead);
        }
        assert.match((await rejection(redis.wait(0, 1))).message, /redis\.lease\(\)/);
        assert.match((await rejection(redis.call("SELECT", 1))).message, /'db'/);
        await lease.release();
      });
    });
  }
}

describe("a lease of a server that fails", () => {
  const echo = (args) => (args[0] === "ECHO" ? bulk(args[1]) : ok);

  test("waits for its first connection as long as any command, and then is a lease of that", async (t) => {
    keepAlive(t);
    const { fake } = faked(t, echo);
    let attempts = 0;
    const redis = new Redis({
      retryDelay: 5,
      connector: (...args) => {
        if (++attempts < 4) throw new Error("not yet");
        return fake.connector(...args);
      },
    });
    t.after(() => redis.destroy());
    const lease = await redis.lease();
    assert.equal(await within(lease.echo("a")), "a");
    await lease.release();
  });

  test("is over when its connection is: nothing of it is sent again, read or not", async (t) => {
    const { redis, fake } = faked(t, (args) => (args[1] === "silent" ? undefined : echo(args)));
    const lease = await redis.lease();
    assert.equal(await lease.echo("a"), "a");
    const lost = [lease.get("silent"), lease.with({ idempotent: true }).echo("silent")].map((call) => rejection(call));
    await until(() => fake.link.commands.length === 3);
    fake.link.end();
    for (const error of await Promise.all(lost)) assert.deepEqual([error instanceof ConnectionError, error.maybeExecuted], [true, true]);
    const error = await rejection(lease.echo("b"));
    assert.deepEqual([error instanceof LeaseError, error.maybeExecuted], [true, false]);
    assert.equal(fake.links.length, 1);
    assert.equal(await redis.echo("c"), "c");
  });

  test("is over when an error comes after silence: nobody knows what it is about", async (t) => {
    const { redis } = faked(t, (args) => (args[0] === "CLIENT" && args[2] === "SKIP" ? error("NOPERM no") : args[0] === "SET" ? undefined : echo(args)));
    const failed = await rejection(redis.ignoreReplies((quiet) => quiet.set("a", 1)));
    assert.ok(failed instanceof ConnectionError, failed);
    assert.equal(await redis.echo("c"), "c");
  });

  test("each silent command has its SKIP, in the same write, and what is wrong with it sends neither", async (t) => {
    let skipped = false;
    const { redis, fake } = faked(t, (args) => {
      const silent = skipped;
      skipped = args[2] === "SKIP";
      if (silent || skipped) return undefined;
      return args[0] === "PING" ? Buffer.from("+PONG\r\n") : echo(args);
    });
    const controller = new AbortController();
    await redis.ignoreReplies(async (quiet) => {
      const wrong = rejection(quiet.set("a", {}));
      const given = rejection(quiet.with({ signal: controller.signal }).set("given", "up"));
      const calls = [quiet.set("b", 1), quiet.call("SET", "c", 2), quiet.set(new Uint8Array(100_000), 3)];
      controller.abort(new Error("enough"));
      assert.ok((await wrong) instanceof TypeError);
      assert.equal((await given).message, "enough");
      assert.deepEqual(await Promise.all(calls), [undefined, undefined, undefined]);
      for (const [name, ...args] of [["MULTI"], ["SELECT", 1], ["CLIENT REPLY", "ON"]]) {
        const error = await rejection(quiet.call(name, ...args));
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /would change the connection.*redis\.lease\(\)/);
      }
    });
    const skip = ["CLIENT", "REPLY", "SKIP"];
    assert.deepEqual(fake.link.commands.map((args) => args.slice(0, 3).map((arg) => arg.slice(0, 5))), [skip, ["SET", "b", "1"], skip, ["SET", "c", "2"], skip, ["SET", "\0".repeat(5), "3"], ["PING"]].map((args) => args.map((arg) => arg.slice(0, 5))));
    assert.equal(fake.link.writes.some((bytes) => String(bytes).endsWith("SKIP\r\n")), false);
    const lease = await redis.lease();
    assert.equal(await lease.echo("next"), "next");
    assert.equal(fake.links.length, 1, "the connection is as new");
    await lease.release();
  });

  test("does not say what an error of another command is, but keeps its own", async (t) => {
    const { redis } = faked(t, (args) => (args[0] === "GET" ? error("WRONGTYPE no") : echo(args)));
    const lease = await redis.lease();
    assert.ok((await rejection(lease.get("a"))) instanceof WrongTypeError);
    assert.equal(await lease.echo("b"), "b");
  });
});

test("a lease says why there is no connection, though no attempt was made for it", async (t) => {
  keepAlive(t);
  const { redis, fake } = faked(t, () => bulk("x"), { queueTimeout: 30, retryDelay: 1_000_000, maxRetryDelay: 1_000_000 });
  await redis.connect();
  const { handshake } = fake;
  fake.handshake = (args) => (args[0] === "HELLO" ? error("ERR max number of clients reached") : handshake(args));
  for (let round = 0; round < 3; round++) {
    const lease = await redis.lease();
    assert.match((await rejection(lease.echo("x"))).message, /has reached its maximum number of clients/);
    await lease.release();
  }
  assert.equal(fake.links.length, 2);
});
