// The memory of large texts is used again: never before it was written, and its command has settled.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { Fake } from "./support/fake.mjs";
import { ok } from "./support/resp.mjs";
import { outcome, until } from "./support/until.mjs";

const MIB = 1 << 20;
const LARGE = 1 << 19;
const text = (letter, size = MIB) => letter.repeat(size);
const isAll = (bytes, letter) => bytes.every((byte) => byte === letter.charCodeAt(0));

/** A client of a fake server whose socket keeps what it was given, without a copy, until `pass` says that it is written. */
const slow = (t, answer, { blocks = false, ...options } = {}) => {
  keepAlive(t);
  const fake = new Fake(answer);
  const kept = [];
  let holds = false;
  const connector = (endpoint, sink) => {
    const socket = fake.connector(endpoint, sink);
    const pass = (bytes, written) => (socket.write(bytes), written?.());
    const write = (bytes, written) => {
      holds ||= bytes.length >= LARGE;
      if (!holds) return pass(bytes, written);
      kept.push({ bytes, write: () => (pass(bytes, written), blocks && sink.onDrain()) });
      return !blocks;
    };
    return { ...socket, write };
  };
  const redis = new Redis({ connector, retryDelay: 1, maxRetryDelay: 1, ...options });
  t.after(() => redis.destroy());
  const pass = () => {
    while (kept.length > 0) kept.shift().write();
    holds = false;
  };
  const pieces = () => kept.filter(({ bytes }) => bytes.length >= LARGE).map(({ bytes }) => bytes);
  return { fake, redis, pass, pieces };
};

test("an early reply takes no memory away from a socket that has not written it", async (t) => {
  const { fake, redis, pass, pieces } = slow(t, ([, key]) => (key === "a" ? undefined : ok));
  await redis.connect();
  const first = redis.set("a", text("a"));
  await until(() => pieces().length === 1);
  fake.link.send(ok);
  assert.equal(await first, true);
  const second = redis.set("b", text("b"));
  await until(() => pieces().length === 2);
  const [a, b] = pieces();
  assert.ok(isAll(a, "a") && isAll(b, "b"));
  pass();
  assert.equal(await second, true);
  assert.deepEqual(fake.commands, [["SET", "a", text("a")], ["SET", "b", text("b")]]);
  const third = redis.set("c", text("c"));
  await until(() => pieces().length === 1);
  assert.ok([a.buffer, b.buffer].includes(pieces()[0].buffer), "what was written and settled is used again");
  pass();
  assert.equal(await third, true);
});

test("a command that is given up half written is written as it was", async (t) => {
  const { fake, redis, pass, pieces } = slow(t, () => ok, { blocks: true });
  await redis.connect();
  const abort = new AbortController();
  const first = outcome(redis.with({ signal: abort.signal }).set("d", text("d", 3 * MIB)));
  await until(() => pieces().length === 1);
  abort.abort();
  assert.equal((await first).error, abort.signal.reason);
  const others = ["e", "f", "g"].map((key) => redis.set(key, text(key)));
  const drain = setInterval(pass, 1);
  t.after(() => clearInterval(drain));
  assert.deepEqual(await Promise.all(others), [true, true, true]);
  assert.deepEqual(fake.commands.map(([, key, value]) => [key, value === text(key, value.length), value.length / MIB]), [["d", true, 3], ["e", true, 1], ["f", true, 1], ["g", true, 1]]);
});

test("what is sent again on another link is what was sent first", async (t) => {
  let lost = false;
  const { fake, redis, pass, pieces } = slow(t, () => (lost ? ok : undefined));
  await redis.connect();
  const keys = ["h", "i", "j"];
  const all = keys.map((key) => redis.with({ idempotent: true }).set(key, text(key)));
  await until(() => pieces().length === keys.length);
  pass();
  lost = true;
  fake.link.end();
  await until(() => fake.links.length === 2);
  const drain = setInterval(pass, 1);
  t.after(() => clearInterval(drain));
  assert.deepEqual(await Promise.all(all), [true, true, true]);
  assert.deepEqual(fake.link.commands.map(([, key, value]) => [key, value === text(key)]), keys.map((key) => [key, true]));
});
