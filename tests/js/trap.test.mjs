// What happens when the core itself fails: everything of that instance rejects, and the next command starts a fresh one.
import assert from "node:assert/strict";
import { connect } from "node:net";
import test from "node:test";
import { bulk } from "./support/resp.mjs";
import { Fake } from "./support/fake.mjs";
import { startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

/** The export that fails when it is called next. */
let armed;
const Instance = WebAssembly.Instance;
WebAssembly.Instance = function (module, imports) {
  const { exports } = new Instance(module, imports);
  const failing = (name) => (...args) => {
    if (armed !== name) return exports[name](...args);
    armed = undefined;
    throw new WebAssembly.RuntimeError("unreachable");
  };
  const replaced = ["host_receive", "host_submit", "host_timeout"].map((name) => [name, failing(name)]);
  return { exports: { ...exports, ...Object.fromEntries(replaced) } };
};
const { Redis } = await import("redwire");
// imported behind what it is to use
const { faked, keepAlive } = await import("./support/client.mjs");

const echo = (_, __, raw) => bulk(raw[1]);

test("who listens is told of a trap, and can subscribe again", async (t) => {
  const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
  t.after(() => server.stop());
  const redis = new Redis({ host: "127.0.0.1", port: server.port });
  const publisher = new Redis({ host: "127.0.0.1", port: server.port });
  t.after(() => Promise.all([redis.close(), publisher.close()]));
  const told = [];
  await redis.subscribe("other", () => {}, { onGap: (gap) => told.push(gap) });
  let again;
  const onGap = (gap) => {
    told.push(gap);
    again = redis.subscribe("name", ({ data }) => told.push(data));
  };
  const stop = await redis.subscribe("name", () => {}, { onGap });
  // nobody else reads while it is armed
  armed = "host_receive";
  connect(server.port, "127.0.0.1").end("PUBLISH name lost\r\n");
  await until(() => again !== undefined);
  const stopAgain = await again;
  assert.equal(told.length, 2);
  for (const { channels, to, error } of told) assert.deepEqual([channels.toSorted(), to, error.name], [["name", "other"], Infinity, "ClientError"]);
  await stop();
  assert.equal(await publisher.publish("name", "seen"), 1);
  await until(() => told.at(-1) === "seen");
  await stopAgain();
  assert.equal(await publisher.publish("name", "late"), 0);
});

test("what listens outlives a trap of its client's core, and is counted by the fresh one", async (t) => {
  const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
  t.after(() => server.stop());
  const redis = new Redis({ port: server.port, maxConnections: 2, poolTimeout: 20 });
  t.after(() => redis.destroy());
  const [first, second] = [redis.pubsub(), redis.pubsub()];
  await first.subscribe("a", "b");
  await second.subscribe("a");
  armed = "host_submit";
  assert.equal((await rejection(redis.get("a"))).name, "ClientError");
  assert.deepEqual(redis.inspect().links.map(({ kind, state }) => [kind, state]), [["listening", "ready"], ["listening", "ready"]]);
  assert.match((await rejection(redis.lease())).message, /2 listening/);
  assert.deepEqual(redis.inspect().links.map(({ kind, state }) => [kind, state]), [["shared", "idle"], ["listening", "ready"], ["listening", "ready"]]);
  assert.equal(await redis.publish("a", "still"), 2);
  while ((await within(first.getMessage())).data !== "still");
  await first.close();
  const lease = await within(redis.lease());
  assert.match((await rejection(redis.subscribe("b", () => {}))).message, /1 leased or blocking, 1 listening/);
  armed = "host_submit";
  await rejection(redis.get("a"));
  // not known to any core when it ends
  await second.close();
  await rejection(lease.get("a"));
  const leases = await within(Promise.all([redis.lease(), redis.lease()]));
  await rejection(redis.lease());
  for (const one of leases) await one.release();
});

test("a trap rejects everything of its instance, and the next commands run on a fresh one", async (t) => {
  const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
  t.after(() => server.stop());
  const redis = new Redis({ host: "127.0.0.1", port: server.port });
  t.after(() => redis.destroy());
  await redis.set("a", 1);
  const fake = new Fake(echo);
  const other = new Redis({ connector: fake.connector });
  t.after(() => other.destroy());
  await other.connect();
  armed = "host_receive";
  const all = await Promise.allSettled([redis.ping(), redis.get("a"), redis.pipeline().get("a").execute(), redis.set("large", "x".repeat(1 << 20))]);
  for (const { reason } of all) {
    assert.equal(reason.name, "ClientError");
    assert.equal(reason.maybeExecuted, true);
    assert.ok(reason.cause instanceof WebAssembly.RuntimeError);
  }
  assert.equal(await other.echo("undisturbed"), "undisturbed");
  for (let at = 0; at < 20; at++) {
    assert.equal(await redis.get("a"), "1");
    assert.equal(redis.status, "ready");
    await new Promise(setImmediate);
  }
});

test("a lock that extends itself is kept by the fresh core", async (t) => {
  keepAlive(t);
  const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
  t.after(() => server.stop());
  const redis = new Redis({ port: server.port });
  t.after(() => redis.close());
  const held = await redis.lock("k", { timeout: 600 }).hold({ autoExtend: true });
  const first = held.validUntil;
  armed = "host_receive";
  await rejection(redis.ping());
  await until(() => held.validUntil > first + 600, "it is extended");
  assert.equal(held.signal.aborted, false);
  await held[Symbol.asyncDispose]();
  assert.equal(await redis.exists("k"), 0);
});

test("a trap while bytes are taken, or a time comes, ends a client that is closing", async (t) => {
  keepAlive(t);
  for (const name of ["host_receive", "host_timeout"]) {
    const { redis } = faked(t, name === "host_timeout" ? undefined : echo, { timeout: 20 });
    await redis.connect();
    const given = rejection(redis.echo("a"));
    armed = name;
    await within(redis.close());
    assert.equal((await given).name, "ClientError");
    assert.equal(redis.status, "closed");
  }
});

test("a trap while commands are handed over rejects those of all leases, once, and those that come later have their own replies", async (t) => {
  keepAlive(t);
  const { redis } = faked(t, echo);
  const leases = await Promise.all([redis.lease(), redis.lease(), redis.lease()]);
  armed = "host_submit";
  const failed = [...leases, redis].flatMap((client) => ["a", "b"].map((text) => rejection(client.echo(text))));
  for (const { name } of await Promise.all(failed)) assert.equal(name, "ClientError");
  for (const { name } of await Promise.all(leases.map((lease) => rejection(lease.echo("late"))))) assert.equal(name, "LeaseError");
  const texts = Array.from({ length: 20 }, (_, at) => `text ${at}`);
  assert.deepEqual(await within(Promise.all(texts.map((text) => redis.echo(text)))), texts);
  assert.deepEqual(redis.inspect().waiting, []);
});

test("a trap at the first part of a pipeline rejects that, and what comes later has its own reply", async (t) => {
  keepAlive(t);
  const { redis, fake } = faked(t, echo);
  await redis.connect();
  const pipeline = redis.pipeline({ transaction: false });
  for (let at = 0; at < 600; at++) pipeline.echo(`piped ${at}`);
  armed = "host_submit";
  assert.equal((await rejection(pipeline.execute())).cause.name, "RuntimeError");
  const texts = Array.from({ length: 700 }, (_, at) => `text ${at}`);
  assert.deepEqual(await within(Promise.all(texts.map((text) => redis.echo(text)))), texts);
  assert.ok(fake.commands.length > 700, "the parts behind were sent to a fresh core");
});
