import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeError } from "redwire";
import { rejection } from "../support/until.mjs";

/** Both sides of every border in the code. */
const lengths = [0, 1, 12, 13, 24, 25, 255, 256, 257, 1023, 1024, 1025, 2047, 2048, 2049, 65535, 65536, 65537, 196607, 196608, 262145];
const large = [2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 7];

const pattern = Array.from({ length: 1 << 16 }, (_, index) => index.toString(36).padStart(4, ".")).join("").repeat(16);
/** Gives text whose every part is different. */
const ascii = (length) => pattern.slice(0, length);

/** Values of many sizes, as arguments and as replies. */
export const sizes = (world) => {
  for (const length of [...lengths, ...large]) {
    test(`${length} bytes, as text and as bytes, both ways`, async () => {
      const { redis, bytes } = world;
      const ending = `${ascii(Math.max(0, length - 2))}é`;
      for (const text of [ascii(length), ending, `é${ascii(length)}`]) {
        const encoded = new Uint8Array(Buffer.from(text));
        const [, , asText, asBytes, several, echoed] = await Promise.all([
          redis.set("text", text),
          redis.set("bytes", encoded),
          redis.get("bytes"),
          redis.with({ decodeResponses: false }).get("text"),
          redis.mget("text", "missing", "bytes"),
          redis.echo(encoded),
        ]);
        // not assert.equal: its message would be megabytes
        assert.ok(asText === text, "sent as bytes, read as text");
        assert.ok(Buffer.compare(asBytes, encoded) === 0, "sent as text, read as bytes");
        assert.ok(several[0] === text && several[1] === null && several[2] === text, "inside an array");
        assert.ok(echoed === text, "echoed");
        assert.ok(Buffer.compare(await bytes.get("text"), encoded) === 0, "read by a client of bytes");
      }
    });
  }

  test("values of all sizes together", async () => {
    const { redis } = world;
    const values = lengths.flatMap((length) => [ascii(length), `${ascii(length)}é`]);
    await Promise.all(values.map((value, index) => redis.set(`size ${index}`, value)));
    const got = await Promise.all(values.map((_, index) => redis.get(`size ${index}`)));
    values.forEach((value, index) => assert.ok(got[index] === value, `value ${index} of ${value.length} chars`));
    const again = await redis.mget(values.map((_, index) => `size ${index}`));
    values.forEach((value, index) => assert.ok(again[index] === value, `element ${index} of ${value.length} chars`));
  });

  test("what is larger than maxReplyBytes rejects, and the connection goes on", async () => {
    const redis = world.redis.duplicate({ maxReplyBytes: 1 << 16 });
    await redis.set("large", ascii(1 << 20));
    await redis.del("list");
    await redis.rpush("list", Array.from({ length: 10_000 }, () => "y"));
    const id = await redis.call("CLIENT ID");
    const calls = [redis.get("large"), redis.lrange("list", 0, -1), redis.mget("none", "large", "none"), redis.eval("return redis.call('GET', KEYS[1])", ["large"])];
    const [next, ...failed] = await Promise.all([redis.echo("next"), ...calls.map((call) => rejection(call))]);
    assert.equal(next, "next");
    for (const error of failed) assert.ok(error instanceof DecodeError && error.maybeExecuted === true, `${error}`);
    assert.equal((await redis.getrange("large", 0, 9)).length, 10);
    assert.equal(await redis.call("CLIENT ID"), id);
    await redis.close();
  });

  test("arguments around the flush limit, in one tick and in order", async () => {
    const { redis } = world;
    await redis.del("order");
    const items = Array.from({ length: 400 }, (_, index) => `${index} ${ascii(index % 3 === 0 ? 300 : 200)}`);
    await Promise.all(items.map((item) => redis.rpush("order", item)));
    assert.deepEqual(await redis.lrange("order", 0, -1), items);
  });
};
