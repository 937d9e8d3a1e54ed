import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Redis } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { ok } from "./support/resp.mjs";
import { freePort, missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until } from "./support/until.mjs";

test("a client that did nothing yet", () => {
  const redis = new Redis("redis://user:secret@h:1/2");
  assert.deepEqual(redis.inspect(), { status: "idle", server: "h:1", links: [], waiting: [], lastErrors: [] });
  redis.destroy();
});

test("who waits for what, written or not, and for how long", async (t) => {
  keepAlive(t);
  const { redis, fake } = faked(t, (args) => (args[0] === "PING" ? Buffer.from("+PONG\r\n") : undefined));
  await redis.ping();
  const calls = [redis.get("k"), redis.set("large", "x".repeat(10_000)), redis.multi().incr("n").get("n").execute()].map((call) => rejection(call));
  assert.deepEqual(redis.inspect().waiting.map(({ command, written, link }) => [command, written, link]), [["GET", false, 0], ["SET", false, 0], ["EXEC", false, 0]]);
  assert.ok(redis.inspect().links[0].unsentBytes > 10_000);
  await until(() => fake.commands.length === 7);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const { status, version, links, waiting, lastErrors } = redis.inspect();
  assert.deepEqual([status, version, lastErrors], ["ready", "7.0.15", []]);
  assert.deepEqual(links, [{ kind: "shared", state: "ready", queued: 0, inFlight: 3, unsentBytes: 0 }]);
  assert.deepEqual(waiting.map(({ command, written }) => [command, written]), [["GET", true], ["SET", true], ["EXEC", true]]);
  for (const { since } of waiting) assert.ok(since >= 25 && since < 5_000, `${since}`);
  redis.destroy();
  await Promise.all(calls);
  assert.deepEqual([redis.inspect().status, redis.inspect().waiting], ["closed", []]);
});

test("what is tried, and the last eight errors", async (t) => {
  keepAlive(t);
  const redis = new Redis({ host: "127.0.0.1", port: await freePort(), queueTimeout: 300, retryDelay: 1, maxRetryDelay: 5 });
  t.after(() => redis.destroy());
  const failed = rejection(redis.incr("n"));
  await until(() => redis.inspect().lastErrors.length === 8);
  const { status, links, waiting, lastErrors } = redis.inspect();
  assert.equal(status, "reconnecting");
  assert.ok(["waiting", "opening"].includes(links[0].state));
  assert.deepEqual(waiting.map(({ command, written }) => [command, written]), [["INCR", false]]);
  for (const { at, name, message } of lastErrors) {
    assert.ok(at instanceof Date && Date.now() - at < 10_000);
    assert.equal(name, "ConnectionError");
    assert.match(message, /ECONNREFUSED/);
  }
  await failed;
});

test("a link that is being left", async (t) => {
  const { redis, fake } = faked(t, () => undefined);
  const calls = [redis.set("a", "1"), redis.set("b", "2")];
  await until(() => fake.commands.length === 2);
  fake.link.send(Buffer.from("-READONLY You can't write against a read only replica.\r\n"));
  await until(() => redis.inspect().links[0].state === "leaving");
  assert.deepEqual(redis.inspect().waiting.map(({ written }) => written), [false, true]);
  fake.answer = () => ok;
  fake.link.send(ok);
  assert.deepEqual(await Promise.all(calls), [true, true]);
});

test("connections that listen, who waits for them, and why they were lost", async (t) => {
  keepAlive(t);
  let away = false;
  const { redis, fake } = faked(t, ([name]) => (name === "ECHO" ? ok : undefined), {
    maxConnections: 1,
    retryDelay: 1,
    maxRetryDelay: 5,
    connector: (...args) => {
      if (away) throw new Error("away");
      return fake.connector(...args);
    },
  });
  await redis.connect();
  const pubsub = redis.pubsub();
  const subscribed = rejection(pubsub.subscribe("a"));
  await until(() => redis.inspect().waiting.some(({ written }) => written));
  const { links, waiting } = redis.inspect();
  assert.deepEqual(links.map(({ kind, state, inFlight }) => [kind, state, inFlight]), [["shared", "ready", 0], ["listening", "ready", 1]]);
  assert.deepEqual(waiting.map(({ command, link }) => [command, link]), [["SUBSCRIBE", 1]]);
  away = true;
  fake.link.end();
  await until(() => redis.inspect().lastErrors.some(({ message }) => message.includes("away")));
  assert.equal(redis.status, "ready");
  await pubsub.close();
  await subscribed;
  assert.deepEqual(redis.inspect().links.map(({ kind, state }) => [kind, state]), [["shared", "ready"], ["leased", "idle"]]);
});

describe("leases", { skip: missing(programs[0]) }, () => {
  let running;
  before(async () => (running = await startServer(programs[0].program)));
  after(() => running?.stop());

  test("who blocks, and who waits for a connection", async (t) => {
    const redis = new Redis({ path: running.path, maxConnections: 1 });
    t.after(() => redis.destroy());
    const blocked = redis.blpop(["list"], 0);
    await until(() => redis.inspect().links[1]?.inFlight === 1);
    const [other, lease] = [redis.blpop(["other"], 1), redis.lease()];
    const { links, waiting } = redis.inspect();
    assert.deepEqual(links.map(({ kind }) => kind), ["shared", "leased"]);
    assert.deepEqual(waiting.map(({ command, link, written }) => [command, link, written]).sort(), [["BLPOP", undefined, false], ["BLPOP", 1, true], ["lease()", undefined, false]]);
    await redis.rpush("list", "x");
    await redis.rpush("other", "y");
    await (await lease).release();
    assert.deepEqual([await blocked, await other], [["list", "x"], ["other", "y"]]);
    assert.deepEqual(redis.inspect().waiting, []);
  });
});
