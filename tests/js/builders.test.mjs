import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { DecodeError, Redis, ResponseError } from "redwire";
import { bitfield, bitfieldRo, get, set } from "redwire/commands";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection } from "./support/until.mjs";

for (const server of programs) {
  for (const protocol of [2, 3]) {
    describe(`${server.name}, protocol ${protocol}`, { skip: missing(server) }, () => {
      let running;
      let redis;
      before(async () => {
        running = await startServer(server.program);
        redis = new Redis({ path: running.path, protocol });
      });
      beforeEach(() => redis.flushall());
      after(async () => {
        await redis?.close();
        await running?.stop();
      });

      test("bitfield() collects operations and sends them when it is awaited", async () => {
        assert.deepEqual(await redis.bitfield("b").set("u8", 0, 200).get("u8", 0).overflow("sat").incrby("u8", 0, 100).overflow("fail").incrby("u8", "#0", 1), [0, 200, 255, null]);
        assert.deepEqual(await redis.bitfieldRo("b").get("u8", 0).get("u4", 0).execute(), [255, 15]);
        assert.deepEqual(await redis.bitfield("b", [{ get: ["u8", 0] }]), [255]);
        const early = await rejection(redis.execute([bitfield("b").get("u8", 0)]));
        assert.ok(early instanceof TypeError && /^execute: parameter 'commands' expected commands made by redwire\/commands, builders after execute\(\), got \w+$/.test(early.message), `${early}`);
      });

      test("a builder sends what it collected once, however often it is awaited", async () => {
        const builder = redis.bitfield("b").incrby("u8", 0, 1);
        assert.deepEqual([await builder, await builder, await builder.execute()], [[1], [1], [1]]);
        assert.deepEqual(await builder.get("u8", 0), [1]);
        assert.deepEqual(await redis.bitfield("b").overflow("sat").incrby("u8", 0, 200).incrby("u8", 0, 200), [201, 255]);
      });

      test("a pipeline's builder queues one command when it is executed or awaited, in its place", async () => {
        for (const transaction of [true, false]) {
          await redis.flushall();
          const pipe = redis.pipeline({ transaction });
          const chain = pipe.set("a", 1).bitfield("b").set("u8", 0, 200).overflow("sat").incrby("u8", 0, 100).execute().bitfieldRo("b").get("u8", 0).execute();
          assert.equal(chain, pipe);
          assert.deepEqual(await chain.get("a").execute(), [true, [0, 255], [255], "1"]);
          const builder = pipe.bitfield("b").get("u4", 0);
          assert.equal(pipe.length, 0);
          assert.equal(await builder, pipe);
          assert.equal(await builder.execute(), pipe);
          assert.equal(pipe.length, 1);
          builder.get("u8", 0).execute();
          assert.deepEqual(await pipe.execute(), [[15], [255]]);
        }
      });

      test("a pipeline's builder has the view of its pipeline, and errors stand in their places", async () => {
        await redis.set("b", "a");
        assert.deepEqual(await redis.with({ integers: "bigint" }).pipeline().bitfield("b").get("u8", 0).execute().execute(), [[97n]]);
        await redis.lpush("list", 1);
        const [failed, read] = await redis.pipeline().bitfield("list").get("u8", 0).execute().bitfieldRo("b").get("u8", 0).execute().execute({ raiseOnError: false });
        assert.deepEqual([failed instanceof ResponseError, failed.command, read], [true, "BITFIELD", [97]]);
      });

      test("a builder of a pipeline that watches is sent at once, one behind multi is queued", async () => {
        await redis.set("b", "a");
        const watching = await redis.pipeline().watch("b");
        assert.deepEqual(await watching.bitfield("b").get("u8", 0), [97]);
        assert.deepEqual(await watching.multi().bitfield("b").incrby("u8", 0, 1).execute().execute(), [[98]]);
        assert.deepEqual(await redis.transaction((again) => again.multi().bitfield("b").incrby("u8", 0, 1), ["b"]), [[99]]);
      });

      test("builders of inert commands and of leases end in what their methods give", async () => {
        await redis.set("b", "a");
        assert.deepEqual(bitfield("b").get("u8", 0).execute(), bitfield("b", [{ get: ["u8", 0] }]));
        assert.deepEqual(await redis.execute([bitfield("b").incrby("u8", 0, 1).execute(), bitfieldRo("b").get("u8", 0).execute(), get("b"), set("b", 1)]), [[98], [98], "b", true]);
        const lease = await redis.lease();
        assert.deepEqual(await lease.bitfieldRo("b").get("u8", 0), [49]);
        await lease.release();
      });

      test("a builder that cannot be sent says so where it is executed, and queues nothing", async () => {
        const pipe = redis.pipeline();
        const builder = pipe.bitfield("b").get("u8", null);
        for (let time = 0; time < 2; time++) assert.throws(() => builder.execute(), { name: "TypeError", message: /^bitfield: / });
        assert.equal((await rejection(builder)).name, "TypeError");
        assert.equal(pipe.length, 0);
      });

      test("iterators read their pages whatever form the view's replies keep", async () => {
        await redis.hset("h", { f: "v" });
        for (const decodeResponses of [true, false]) {
          const view = redis.with({ raw: true, decodeResponses });
          const [text, keys, fields] = [(value) => (decodeResponses ? value : Uint8Array.from(Buffer.from(value))), [], []];
          for await (const key of view.scanIter()) keys.push(key);
          for await (const field of view.hscanIter("h")) fields.push(field);
          assert.deepEqual([keys, fields], [[text("h")], [[text("f"), text("v")]]]);
        }
      });

      test("hscanIter gives every field under the very name that it has, in the server's order", async () => {
        const names = ["b", "10", "9", "__proto__", "constructor", ""];
        const bytes = [...names.map((name) => Uint8Array.from(Buffer.from(name))), Uint8Array.of(0xff), Uint8Array.of(0xfe)];
        const all = async (iterator) => {
          const seen = [];
          for await (const item of iterator) seen.push(item);
          return seen;
        };
        for (const name of names) await redis.hset("h", [[name, "v"]]);
        for (const maps of ["object", "map", "entries"]) {
          assert.deepEqual(await all(redis.with({ maps }).hscanIter("h")), names.map((name) => [name, "v"]));
        }
        for (const name of bytes.slice(-2)) await redis.hset("h", [[name, "v"]]);
        for (const maps of ["object", "map", "entries"]) {
          const view = redis.with({ decodeResponses: false, maps });
          assert.deepEqual(await all(view.hscanIter("h")), bytes.map((name) => [name, Uint8Array.of(118)]));
        }
        assert.ok((await rejection(all(redis.hscanIter("h")))) instanceof DecodeError);
      });

      test("bitfieldRo() refuses what writes, and sends nothing", () => {
        for (const [name, ...args] of [["set", "u8", 0, 1], ["incrby", "u8", 0, 1], ["overflow", "sat"]]) {
          for (const make of [(key) => redis.bitfieldRo(key), (key) => redis.pipeline().bitfieldRo(key), bitfieldRo]) assert.throws(() => make("b")[name](...args), { name: "TypeError", message: `bitfieldRo: '${name}' writes: use bitfield` });
        }
      });

      test("iterators give everything once where nothing changes, and stop where the loop is left", async () => {
        const names = Array.from({ length: 2500 }, (_, index) => `k:${index}`);
        await redis.mset(Object.fromEntries(names.map((name) => [name, "v"])));
        await redis.hset("h", Object.fromEntries(names.map((name, index) => [name, index])));
        await redis.sadd("s", names);
        await redis.zadd("z", Object.fromEntries(names.map((name, index) => [name, index])));
        const all = async (iterator) => {
          const seen = [];
          for await (const item of iterator) seen.push(item);
          return seen;
        };
        assert.deepEqual(new Set(await all(redis.scanIter({ match: "k:*", count: 100 }))), new Set(names));
        assert.deepEqual(Object.fromEntries(await all(redis.hscanIter("h"))), Object.fromEntries(names.map((name, index) => [name, `${index}`])));
        assert.deepEqual(new Set(await all(redis.sscanIter("s"))), new Set(names));
        assert.deepEqual(Object.fromEntries(await all(redis.zscanIter("z"))), Object.fromEntries(names.map((name, index) => [name, index])));
        for (const maps of ["map", "entries"]) assert.equal(Object.fromEntries(await all(redis.with({ maps }).hscanIter("h")))["k:7"], "7");
        assert.ok((await all(redis.with({ decodeResponses: false }).scanIter())).every((name) => name instanceof Uint8Array));
        assert.deepEqual(await all(redis.sscanIter("missing")), []);
        for await (const name of redis.scanIter({ count: 10 })) {
          assert.equal(typeof name, "string");
          break;
        }
        await redis.set("text", 1);
        assert.equal((await rejection(all(redis.hscanIter("text")))).code, "WRONGTYPE");
      });

      test("defineCommand gives a function for a command, with its keys and its reply", async () => {
        await redis.set("k", "12345");
        const length = redis.defineCommand({ name: "STRLEN", keys: 1, reply: (reply) => ({ length: reply }) });
        assert.deepEqual(await length("k"), { length: 5 });
        assert.equal(await redis.defineCommand({ name: "object encoding", keys: 0 })("k"), "int");
        assert.match((await rejection(length(1))).message, /^strlen: argument 1 is a key and expected string \| Uint8Array, got number$/);
        assert.equal((await rejection(redis.defineCommand({ name: "NO.SUCH" })())).code, "ERR");
        for (const definition of [{ name: "" }, { name: 1 }, { name: "A", keys: -1 }, { name: "A", reply: 1 }]) assert.throws(() => redis.defineCommand(definition), TypeError);
        assert.throws(() => redis.defineCommand(), { name: "TypeError", message: "defineCommand: parameter 'definition' expected an object, got undefined" });
        assert.throws(() => redis.defineCommand({ name: "A", key: 1 }), { name: "TypeError", message: "defineCommand: 'key' expected to be 'name', 'keys' or 'reply', got number" });
      });
    });
  }
}
