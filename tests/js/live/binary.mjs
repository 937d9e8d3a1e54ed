import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeError } from "redwire";
import { rejection } from "../support/until.mjs";

const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);

/** Text that is not ASCII, and bytes that are not text. */
export const binary = (world) => {
  test("[promises 3, 4] text is UTF-8 unless told otherwise", async () => {
    const { redis, bytes } = world;
    for (const text of ["é", "日本語", "😀", "a\u0000b", "\ufeffbom", "\r\n$3\r\nabc\r\n", "mixed é 😀 ascii", "\u{10ffff}", "e\u0301", "\ud83d\ude00x".repeat(100)]) {
      await redis.set(text, text);
      assert.equal(await redis.get(text), text);
      assert.equal(await redis.echo(text), text);
      assert.deepEqual(await bytes.get(text), new Uint8Array(Buffer.from(text)));
      assert.deepEqual(await redis.mget(text, "missing", text), [text, null, text]);
    }
  });

  test("[promise 1] encoding says how text is written and read", async () => {
    const { redis, bytes } = world;
    const latin1 = redis.with({ encoding: "latin1" });
    await latin1.hset("käse", { fläche: "ø" });
    assert.deepEqual(await latin1.hgetall("käse"), { fläche: "ø" });
    assert.deepEqual(await bytes.hget(Buffer.from("käse", "latin1"), Buffer.from("fläche", "latin1")), Uint8Array.of(0xf8));
    assert.deepEqual([await latin1.keys("k\u00e4*"), await redis.exists("käse")], [new Set(["käse"]), 0]);
    const ascii = redis.with({ encoding: "ascii" });
    assert.deepEqual([await ascii.set("plain", "text"), await ascii.get("plain")], [true, "text"]);
    assert.ok((await rejection(ascii.set("plain", "ø"))) instanceof TypeError);
    await bytes.set("plain", Uint8Array.of(0x61, 0xf8));
    assert.equal(await ascii.get("plain"), "a\ufffd");
  });

  test("[promise 2] bytes come back as they were sent", async () => {
    const { redis, bytes } = world;
    await redis.set(every, every);
    assert.deepEqual(await bytes.get(every), every);
    assert.deepEqual(await bytes.echo(every), every);
    await bytes.del("l");
    await bytes.rpush("l", every, new Uint8Array(0), every.subarray(100, 200));
    assert.deepEqual(await bytes.lrange("l", 0, -1), [every, new Uint8Array(0), every.slice(100, 200)]);
  });

  test("bytes that are not UTF-8 become U+FFFD in text, as values", async () => {
    const { redis } = world;
    await redis.set("invalid", Uint8Array.of(0x61, 0xff, 0x62));
    assert.equal(await redis.get("invalid"), "a\ufffdb");
  });

  test("field names and members that would merge as text are a DecodeError, and come apart as bytes", async () => {
    const { redis, bytes } = world;
    await redis.del("merge", "fields");
    await redis.sadd("merge", Uint8Array.of(0xff), Uint8Array.of(0xfe));
    const error = await rejection(redis.smembers("merge"));
    assert.ok(error instanceof DecodeError);
    assert.equal(error.command, "SMEMBERS");
    assert.equal((await bytes.smembers("merge")).length, 2);
    await redis.hset("fields", [[Uint8Array.of(0xff), "1"], [Uint8Array.of(0xfe), "2"]]);
    assert.ok((await rejection(redis.hgetall("fields"))) instanceof DecodeError);
    assert.ok((await rejection(bytes.hgetall("fields"))) instanceof DecodeError);
    assert.equal(await redis.ping(), "PONG");
  });

  test("a real U+FFFD in a name is a name", async () => {
    const { redis } = world;
    await redis.del("fields");
    await redis.hset("fields", { "\ufffd": "1" });
    assert.deepEqual(await redis.hgetall("fields"), { "\ufffd": "1" });
  });

  test("lone surrogates become U+FFFD, each argument on its own", async () => {
    const { redis } = world;
    const [high, low] = ["\ud83d", "\ude00"];
    await redis.del("l");
    const sent = [`a${high}`, `${low}b`, high, low, `${low}${high}`, `${high}${low}`, "plain", high];
    await redis.rpush("l", sent);
    assert.deepEqual(await redis.lrange("l", 0, -1), sent.map((text) => text.toWellFormed()));
    await Promise.all([redis.set(`k${high}`, `${low}v`), redis.set(`${low}k`, high), redis.set("after", "é")]);
    assert.deepEqual(await redis.mget("k\ufffd", "\ufffdk", "after"), ["\ufffdv", "\ufffd", "é"]);
  });
};
