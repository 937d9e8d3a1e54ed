import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { keySlot, Redis } from "redwire";
import { missing, programs, startServer } from "./support/servers.mjs";

/** Keys with hash tags of every kind, and the slots of the specification. */
const vectors = [
  ["", 0],
  ["123456789", 12739],
  ["foo", 12182],
  ["{foo}", 12182],
  ["foo{bar}baz", keySlot("bar")],
  ["foo{}{bar}", keySlot(Buffer.from("foo{}{bar}"))],
  ["foo{{bar}}zap", keySlot("{bar")],
  ["foo{bar}{zap}", keySlot("bar")],
  ["{user1000}.following", keySlot("user1000")],
];

test("slots of the specification", () => {
  for (const [key, slot] of vectors) {
    assert.equal(keySlot(key), slot, JSON.stringify(key));
    assert.equal(keySlot(Buffer.from(key)), slot);
  }
  assert.notEqual(keySlot("foo{}{bar}"), keySlot("bar"));
});

test("only text and bytes have a slot", () => {
  for (const key of [1, null, undefined, {}, ["foo"]]) assert.throws(() => keySlot(key), /^TypeError: keySlot: parameter 'key' expected string \| Uint8Array/);
});

for (const server of programs) {
  describe(`the slots of ${server.name}`, { skip: missing(server) }, () => {
    let running;
    let redis;
    before(async () => {
      running = await startServer(server.program, ["--cluster-enabled", "yes"]);
      redis = new Redis({ host: "127.0.0.1", port: running.port });
    });
    after(async () => {
      redis?.destroy();
      await running?.stop();
    });

    test("500 keys of every length and content", async () => {
      const keys = Array.from({ length: 500 }, (_, index) => `${"é{}x😀"[index % 5] ?? ""}${"k".repeat(index)}${index % 3 ? `{${index}}` : "{"}`);
      const slots = await Promise.all(keys.map((key) => redis.call("CLUSTER KEYSLOT", key)));
      keys.forEach((key, index) => assert.equal(keySlot(key), slots[index], key));
    });
  });
}
