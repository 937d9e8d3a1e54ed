// Who calls back while results are worked through or bytes are written - listeners, signals, sockets - gets and takes nobody else's reply.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Redis } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { handshake } from "./support/fake.mjs";
import { array, bulk, Commands, simple } from "./support/resp.mjs";
import { outcome, rejection, until, within } from "./support/until.mjs";

const reason = new Error("enough");
/** Answers what it is asked to echo, but for `held`, and each BLPOP with the name of its list. */
const answer = ([name, text]) => (name === "ECHO" && text !== "held" ? bulk(text) : name === "BLPOP" ? array([bulk(text), bulk("popped")]) : name === "PING" ? simple("PONG") : undefined);
const highWater = { maxCommands: 1 };

describe("a signal that aborts", () => {
  test("a command that is about to be told that it was refused, takes nothing of the next one's", async (t) => {
    const { redis } = faked(t, answer, { highWater });
    await redis.connect();
    const held = outcome(redis.echo("held"));
    const controller = new AbortController();
    const given = redis.with({ signal: controller.signal }).echo("refused");
    controller.abort(reason);
    const popped = redis.blpop(["q"], 0);
    assert.equal(await rejection(given), reason);
    assert.deepEqual(await within(popped), ["q", "popped"]);
    redis.destroy();
    await held;
  });

  test("in a listener, before the command is told that its link is lost: neither", async (t) => {
    const { redis, fake } = faked(t, answer, { maxResends: 0 });
    await redis.connect();
    const controller = new AbortController();
    const given = redis.with({ signal: controller.signal }).echo("held");
    await until(() => fake.commands.length === 1);
    let next;
    redis.onStateChange((status) => {
      if (status !== "reconnecting") return;
      controller.abort(reason);
      next = Promise.all([redis.echo("a"), redis.echo("b"), redis.echo("c")]);
    });
    fake.link.end();
    assert.equal(await rejection(given), reason);
    assert.deepEqual(await within(next), ["a", "b", "c"]);
    assert.deepEqual(redis.inspect().waiting, []);
  });

  test("behind a lease that was there at once, gives up nothing on it", async (t) => {
    const { redis } = faked(t, ([name, text]) => (text === "q" ? undefined : answer([name, text])));
    const controller = new AbortController();
    const lease = await redis.lease({ signal: controller.signal });
    const popped = outcome(lease.blpop(["q"], 0));
    controller.abort(reason);
    assert.equal(await within(redis.echo("a")), "a");
    redis.destroy();
    assert.notEqual((await popped).error, reason);
  });

  test("behind commands that were refused as they were sent, gives up nobody else's", async (t) => {
    const { redis, fake } = faked(t, answer, { highWater });
    await redis.connect();
    for (const ask of [
      (view) => Array.from({ length: 128 }, () => view.echo("refused")),
      (view) => [Array.from({ length: 50 }).reduce((pipeline) => pipeline.echo("refused"), view.pipeline({ transaction: false })).execute()],
      (view) => [Array.from({ length: 50 }).reduce((pipeline) => pipeline.echo("refused"), view.pipeline()).execute()],
    ]) {
      const held = redis.echo("held");
      await until(() => fake.commands.at(-1)?.[1] === "held");
      const controller = new AbortController();
      const refused = ask(redis.with({ signal: controller.signal })).map((promise) => rejection(promise));
      for (const error of await Promise.all(refused)) assert.notEqual(error, reason);
      fake.links[0].send(bulk("held"));
      await within(held);
      const popped = Array.from({ length: 130 }, (_, at) => redis.blpop([`q${at}`], 0));
      controller.abort(reason);
      assert.deepEqual(await within(Promise.all(popped)), popped.map((_, at) => [`q${at}`, "popped"]));
    }
  });
});

/** Gives a connector whose sockets answer a handshake, call `wrote` with each command of their `write`, and send what that gives. */
const socketOf =
  (wrote) =>
  (_, sink) => {
    const parser = new Commands();
    const greet = handshake(3);
    return {
      write: (bytes) => {
        for (const raw of parser.take(bytes)) {
          const args = raw.map(String);
          const reply = greet(args) ?? (args[0] === "PING" ? simple("PONG") : wrote(args));
          if (reply !== undefined) setImmediate(() => sink.onData(reply));
        }
      },
      close: () => {},
    };
  };

describe("a socket that calls back while it is being written to", () => {
  test("may end the client: what waits rejects", async (t) => {
    keepAlive(t);
    const redis = new Redis({ connector: socketOf(() => redis.destroy()) });
    await redis.connect();
    const errors = await Promise.all([redis.echo("a"), redis.echo("b")].map((promise) => rejection(promise)));
    for (const { name } of errors) assert.equal(name, "ConnectionError");
    assert.equal(redis.status, "closed");
    assert.deepEqual(redis.inspect().waiting, []);
    assert.equal((await rejection(redis.echo("c"))).maybeExecuted, false);
  });

  test("may ask for a connection of its own", async (t) => {
    keepAlive(t);
    let lease;
    const redis = new Redis({ connector: socketOf((args) => ((lease ??= redis.lease()), answer(args))) });
    t.after(() => redis.destroy());
    await redis.connect();
    await new Promise(setImmediate);
    redis.echo("held").catch(() => {});
    await until(() => lease);
    assert.equal(await within((await within(lease, 1000)).echo("a")), "a");
  });

  test("may give back the lease of a pipeline: what was not sent rejects, with its place and what became of the rest", async (t) => {
    keepAlive(t);
    let lease;
    const redis = new Redis({ connector: socketOf((args) => (args[0] === "ECHO" && lease.release(), answer(args))) });
    t.after(() => redis.destroy());
    lease = await redis.lease();
    await lease.ping();
    const pipeline = Array.from({ length: 300 }).reduce((pipeline, _, at) => pipeline.echo(`${at}`), lease.pipeline({ transaction: false }));
    const { name, command, position, results } = await rejection(pipeline.execute());
    // the first part of a pipeline was sent
    assert.deepEqual([name, command, position, results.length], ["LeaseError", "ECHO", 64, 300]);
    assert.deepEqual(results.slice(0, 64), Array.from({ length: 64 }, (_, at) => `${at}`));
  });

  test("may give up what it is being given", async (t) => {
    keepAlive(t);
    const controller = new AbortController();
    const redis = new Redis({ connector: socketOf((args) => (controller.abort(reason), answer(args))) });
    t.after(() => redis.destroy());
    await redis.connect();
    const given = redis.with({ signal: controller.signal }).echo("given");
    assert.equal(await rejection(given), reason);
    assert.deepEqual(await within(Promise.all([redis.echo("a"), redis.echo("b")])), ["a", "b"]);
  });
});
