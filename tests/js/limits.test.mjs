// What waits is bounded, and a server that is silent is given up.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionError, QueueFullError, Redis } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { bulk, ok } from "./support/resp.mjs";
import { outcome, rejection, until, within } from "./support/until.mjs";

const echo = (args) => (args[0] === "ECHO" ? bulk(args[1]) : ok);

test("what does not fit the offline queue rejects, the new or the old", async (t) => {
  for (const [onFull, expected] of [["reject", "0,1,2"], ["drop-oldest", "2,3,4"]]) {
    const { redis } = faked(t, echo, { offlineQueue: { maxCommands: 3, onFull } });
    const calls = await Promise.all(Array.from({ length: 5 }, (_, at) => outcome(redis.echo(`${at}`))));
    assert.equal(calls.flatMap(({ value }) => value ?? []).join(), expected);
    for (const { error } of calls.filter(({ error }) => error)) {
      assert.ok(error instanceof QueueFullError);
      assert.equal(error.maybeExecuted, false);
      assert.match(error.message, /offlineQueue/);
    }
  }
  const { redis } = faked(t, echo, { offlineQueue: { maxBytes: 150_000 } });
  const large = "x".repeat(100_000);
  const [one, two] = await Promise.all([outcome(redis.echo(large)), outcome(redis.echo(large))]);
  assert.equal(one.value, large);
  assert.ok(two.error instanceof QueueFullError, "large arguments count, wherever they are");
});

test("offlineQueue: false waits for the first attempt, and fails at once while there is no connection after that", async (t) => {
  keepAlive(t);
  let away = false;
  const { fake } = faked(t, echo);
  const redis = new Redis({
    offlineQueue: false,
    retryDelay: 40,
    connector: (...args) => {
      if (away) throw new Error("away");
      return fake.connector(...args);
    },
  });
  t.after(() => redis.destroy());
  assert.equal(await redis.echo("a"), "a");
  away = true;
  fake.link.end();
  await until(() => redis.status === "reconnecting");
  const started = performance.now();
  assert.ok((await rejection(redis.echo("b"))) instanceof ConnectionError);
  assert.ok(performance.now() - started < 500);
  away = false;
  await until(() => redis.status === "ready");
  assert.equal(await redis.echo("c"), "c");
});

test("maxAge is how long a command waits", async (t) => {
  keepAlive(t);
  const redis = new Redis({ offlineQueue: { maxAge: 20 }, connector: () => new Promise(() => {}) });
  t.after(() => redis.destroy());
  assert.match((await rejection(redis.get("a"), 1000)).message, /not ready within 20 ms/);
});

test("what is beyond highWater rejects, and what is not goes on", async (t) => {
  const { redis, fake } = faked(t, () => undefined, { highWater: { maxCommands: 2 } });
  await redis.connect();
  const calls = ["a", "b", "c"].map((text) => outcome(redis.echo(text)));
  const { error } = await calls[2];
  assert.ok(error instanceof QueueFullError);
  assert.match(error.message, /highWater/);
  fake.link.send(Buffer.concat([bulk("a"), bulk("b")]));
  assert.deepEqual(await within(Promise.all(calls.slice(0, 2))), [{ value: "a" }, { value: "b" }]);
});

test("a server that is silent is asked, and then given up", async (t) => {
  keepAlive(t);
  const { redis, fake } = faked(t, () => undefined, { keepAlive: 30 });
  const seen = [];
  redis.onStateChange((status, cause) => seen.push([status, cause?.message]));
  const read = redis.echo("a");
  await until(() => fake.link?.commands.some(([name]) => name === "PING"));
  fake.answer = echo;
  assert.equal(await within(read), "a");
  assert.equal(fake.links.length, 2);
  assert.match(seen.find(([status]) => status === "reconnecting")[1], /localhost:6379 answers nothing any more/);
});

test("no timer is asked for more time than timers know, which would be none", async (t) => {
  const asked = t.mock.method(globalThis, "setTimeout");
  const { redis } = faked(t, () => undefined, { keepAlive: 0, connectTimeout: 0, queueTimeout: 0, poolTimeout: 0, retryDelay: 1 });
  await redis.connect();
  const month = 31 * 86_400;
  const popped = outcome(redis.blpop(["q"], month));
  await until(() => redis.inspect().waiting.some(({ command, written }) => command === "BLPOP" && written));
  const closed = redis.close({ timeout: month * 1_000 });
  const delays = asked.mock.calls.map(({ arguments: [, delay] }) => delay);
  assert.ok(Math.max(...delays) > 86_400_000 && delays.every((delay) => delay < 2 ** 31), `${delays}`);
  await within(closed);
  await popped;
});
