// Publish/subscribe: the documented messages on both protocols, what handlers do to each other, and loss that is told.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { AuthorizationError, ConnectionError, PubSubError, Redis, RedisError } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { startProxy } from "./support/proxy.mjs";
import { array, bulk, error, integer } from "./support/resp.mjs";
import { freePort, missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

const bytes = (text) => new Uint8Array(Buffer.from(text));
const subscribed = (channel, data) => ({ type: "subscribe", channel, pattern: null, data });
const unsubscribed = (channel, data) => ({ type: "unsubscribe", channel, pattern: null, data });
const message = (channel, data) => ({ type: "message", channel, pattern: null, data });

/** Reads `count` messages. */
const read = async (pubsub, count, options) => {
  const messages = [];
  while (messages.length < count) messages.push(await within(pubsub.getMessage(options)));
  return messages;
};

for (const program of programs) {
  for (const protocol of [2, 3]) {
    describe(`${program.name}, RESP${protocol}`, { skip: missing(program) }, () => {
      let server;
      let redis;
      before(async () => {
        server = await startServer(program.program);
        redis = new Redis({ port: server.port, protocol });
      });
      after(async () => {
        await redis?.close();
        await server?.stop();
      });
      const opened = (t, options, client = redis) => {
        const pubsub = client.pubsub(options);
        t.after(() => pubsub.close());
        return pubsub;
      };

      test("confirmations are messages of four fields, with the count [promises 96, 98, 99, 100, 101, 102, 106]", async (t) => {
        const pubsub = opened(t);
        assert.equal(pubsub.subscribed, false);
        const asked = pubsub.subscribe("my-first-channel", "my-second-channel");
        assert.equal(pubsub.subscribed, true);
        assert.equal(await asked, undefined);
        await pubsub.psubscribe("my-*");
        assert.deepEqual(await read(pubsub, 3), [subscribed("my-first-channel", 1), subscribed("my-second-channel", 2), { type: "psubscribe", channel: "my-*", pattern: "my-*", data: 3 }]);
        assert.deepEqual(pubsub.channels, new Set(["my-first-channel", "my-second-channel"]));
        assert.deepEqual(pubsub.patterns, new Set(["my-*"]));
        await pubsub.unsubscribe("my-first-channel");
        await pubsub.punsubscribe("my-*");
        assert.equal(pubsub.patterns.size, 1);
        assert.deepEqual(await read(pubsub, 2), [unsubscribed("my-first-channel", 2), { type: "punsubscribe", channel: "my-*", pattern: "my-*", data: 1 }]);
        assert.deepEqual([pubsub.channels, pubsub.patterns, pubsub.subscribed], [new Set(["my-second-channel"]), new Set(), true]);
      });

      test("what is published comes once per channel and per pattern [promises 103, 104]", async (t) => {
        const pubsub = opened(t, { ignoreSubscribeMessages: true });
        await pubsub.subscribe("my-channel");
        await pubsub.psubscribe("my-*");
        assert.equal(await redis.publish("my-channel", "some data"), 2);
        const all = [await pubsub.getMessage(), await pubsub.getMessage()];
        assert.deepEqual(all, [null, null], "the confirmations");
        assert.deepEqual(await read(pubsub, 2), [message("my-channel", "some data"), { type: "pmessage", channel: "my-channel", pattern: "my-*", data: "some data" }]);
      });

      test("without names, everything is ended [promises 105, 106]", async (t) => {
        const pubsub = opened(t);
        await pubsub.subscribe(["a", "b"]);
        await pubsub.psubscribe("c*", "d*");
        await read(pubsub, 4);
        await pubsub.unsubscribe();
        const first = await read(pubsub, 2);
        assert.deepEqual(new Set(first.map(({ channel }) => channel)), new Set(["a", "b"]));
        assert.deepEqual(first.map(({ type, data }) => [type, data]), [["unsubscribe", 3], ["unsubscribe", 2]]);
        await pubsub.punsubscribe();
        assert.deepEqual((await read(pubsub, 2)).map(({ type, data }) => [type, data]), [["punsubscribe", 1], ["punsubscribe", 0]]);
        assert.equal(pubsub.subscribed, false);
        await pubsub.unsubscribe();
        await pubsub.unsubscribe("never");
        assert.deepEqual(await read(pubsub, 2), [unsubscribed(null, 0), unsubscribed("never", 0)]);
      });

      test("a handler takes the messages of its name while they are read [promises 107, 108, 109]", async (t) => {
        const pubsub = opened(t);
        const taken = [];
        await pubsub.subscribe({ "my-channel": (...given) => void taken.push(given) }, ...[]);
        await pubsub.psubscribe(new Map([["other*", async (given) => void taken.push(given)]]));
        await pubsub.subscribe("plain");
        await read(pubsub, 3);
        for (const channel of ["my-channel", "other-1", "plain"]) await redis.publish(channel, `to ${channel}`);
        assert.equal(taken.length, 0, "nobody reads");
        assert.deepEqual(await read(pubsub, 3), [null, null, message("plain", "to plain")]);
        assert.deepEqual(taken, [[message("my-channel", "to my-channel")], { type: "pmessage", channel: "other-1", pattern: "other*", data: "to other-1" }]);
      });

      test("a confirmation that is left out gives null, as does time that is up [promises 110, 111]", async (t) => {
        const pubsub = opened(t, { ignoreSubscribeMessages: true });
        await pubsub.subscribe("a");
        assert.equal(await pubsub.getMessage({ timeout: 0 }), null);
        assert.equal(await pubsub.getMessage({ timeout: 0 }), null, "nothing is there");
        const before = performance.now();
        assert.equal(await pubsub.getMessage({ timeout: 30 }), null);
        assert.ok(performance.now() - before >= 29);
        await pubsub.subscribe("b");
        assert.deepEqual(await pubsub.getMessage({ ignoreSubscribeMessages: false }), subscribed("b", 2));
        const late = pubsub.getMessage();
        await redis.publish("b", "x");
        assert.deepEqual(await within(late), message("b", "x"));
        const controller = new AbortController();
        const given = rejection(pubsub.getMessage({ signal: controller.signal }));
        controller.abort(new Error("enough"));
        assert.equal((await given).message, "enough");
        await redis.publish("b", "y");
        assert.deepEqual(await within(pubsub.getMessage({ timeout: 5000 })), message("b", "y"), "who gave up takes nothing");
      });

      test("a loop that polls sees everything in order [promise 112]", async (t) => {
        const pubsub = opened(t, { ignoreSubscribeMessages: true });
        await pubsub.subscribe("a");
        for (let n = 0; n < 500; n++) redis.publish("a", n);
        const seen = [];
        await until(async () => {
          const got = await pubsub.getMessage({ timeout: 0 });
          if (got !== null) seen.push(Number(got.data));
          return seen.length === 500;
        });
        assert.deepEqual(seen, [...seen.keys()]);
      });

      test("for await gives what no handler takes, until it is closed", async (t) => {
        const pubsub = opened(t);
        await pubsub.subscribe({ a: () => {} });
        await pubsub.subscribe("b");
        const seen = [];
        const reading = (async () => {
          for await (const { type, channel, data } of pubsub) {
            seen.push([type, channel, data]);
            if (data === "last") await pubsub.close();
          }
        })();
        await redis.publish("a", "taken");
        await redis.publish("b", "seen");
        await redis.publish("b", "last");
        await within(reading);
        assert.deepEqual(seen, [["subscribe", "a", 1], ["subscribe", "b", 2], ["message", "b", "seen"], ["message", "b", "last"]]);
        assert.equal(await pubsub.getMessage(), null);
      });

      test("run() reads by itself until it is stopped [promises 113, 114, 116, 119]", async (t) => {
        const pubsub = opened(t);
        const taken = [];
        await pubsub.subscribe({ "my-channel": ({ data }) => void taken.push(data) });
        const worker = pubsub.run();
        for (let n = 0; n < 3; n++) await redis.publish("my-channel", n);
        await until(() => taken.length === 3);
        assert.ok((await rejection(pubsub.getMessage())) instanceof PubSubError);
        assert.ok((await rejection(pubsub.subscribe("bare"))) instanceof PubSubError);
        assert.throws(() => pubsub.run(), PubSubError);
        await worker.stop();
        await within(worker.done);
        assert.deepEqual([pubsub.subscribed, await redis.publish("my-channel", "late"), taken], [false, 0, ["0", "1", "2"]]);
        assert.ok((await rejection(pubsub.subscribe("again"))) instanceof ConnectionError);
      });

      test("run() is refused where a name has no handler [promise 115]", async (t) => {
        const pubsub = opened(t);
        await pubsub.subscribe({ handled: () => {} });
        await pubsub.subscribe("bare");
        assert.throws(() => pubsub.run(), (error) => error instanceof PubSubError && error.message.includes("'bare'"));
      });

      test("after the link is lost, everything is subscribed again, and what was missed is told [promises 117, 118]", async (t) => {
        const gaps = [];
        const pubsub = opened(t, { onGap: (gap) => gaps.push(gap) });
        await pubsub.subscribe("a", "b");
        await pubsub.psubscribe("c*");
        await read(pubsub, 3);
        const began = Date.now();
        const [{ id }] = (await redis.clientList()).filter(({ sub, psub }) => Number(sub) === 2 && Number(psub) === 1);
        await redis.clientKill({ id: Number(id) });
        await redis.publish("a", "missed");
        const again = await read(pubsub, 3);
        assert.deepEqual(new Set(again.map(({ channel }) => channel)), new Set(["a", "b", "c*"]));
        assert.deepEqual(again.map(({ data }) => data), [1, 2, 3]);
        await redis.publish("a", "seen");
        assert.deepEqual(await read(pubsub, 1), [message("a", "seen")]);
        const [{ from, to, ...gap }] = gaps;
        assert.deepEqual([gaps.length, gap], [1, { channels: ["a", "b"], patterns: ["c*"], dropped: 0 }]);
        assert.ok(from <= began && from > began - 60_000 && to >= began && to <= Date.now() + 2, `${from} ${began} ${to}`);
      });

      test("close() ends everything, as leaving a block does [promise 119]", async (t) => {
        const pubsub = opened(t);
        await pubsub.subscribe("closed");
        await pubsub.getMessage();
        const waiting = pubsub.getMessage();
        await pubsub.close();
        assert.equal(await within(waiting), null);
        assert.equal(await redis.publish("closed", "x"), 0);
        const other = redis.pubsub();
        await other.subscribe("disposed");
        await other[Symbol.asyncDispose]();
        assert.deepEqual(await redis.pubsubNumsub("disposed"), { disposed: 0 });
        await redis.pubsub().close();
      });

      test("the server tells who is subscribed [promises 120, 121, 122]", async (t) => {
        const pubsub = opened(t);
        await pubsub.subscribe("told:a", "told:b");
        await pubsub.psubscribe("told:*", "x*");
        assert.deepEqual(await redis.pubsubChannels("told:*"), new Set(["told:a", "told:b"]));
        assert.deepEqual(await redis.pubsubNumsub("told:a", "nobody"), { "told:a": 1, nobody: 0 });
        assert.equal(await redis.pubsubNumpat(), 2);
      });

      test("shard channels work where there is no cluster [promise 125]", async (t) => {
        const pubsub = opened(t);
        await pubsub.ssubscribe("shard");
        assert.equal(await redis.spublish("shard", "x"), 1);
        assert.deepEqual(await redis.pubsubShardchannels(), new Set(["shard"]));
        assert.deepEqual(await redis.pubsubShardnumsub("shard"), { shard: 1 });
        assert.deepEqual(await read(pubsub, 2), [{ type: "ssubscribe", channel: "shard", pattern: null, data: 1 }, message("shard", "x")]);
        await pubsub.sunsubscribe();
        assert.deepEqual(await read(pubsub, 1), [{ type: "sunsubscribe", channel: "shard", pattern: null, data: 0 }]);
        assert.equal(pubsub.subscribed, false);
      });

      test("names and data are bytes where nothing is decoded", async (t) => {
        const raw = opened(t, {}, redis.with({ decodeResponses: false }));
        const name = Uint8Array.of(0xff, 0, 0x61);
        const taken = [];
        await raw.subscribe(new Map([[name, (given) => void taken.push(given)]]));
        await raw.subscribe("ä");
        assert.deepEqual(raw.channels, [name, bytes("ä")]);
        assert.deepEqual(await read(raw, 2), [subscribed(name, 1), subscribed(bytes("ä"), 2)]);
        await redis.publish(name, Uint8Array.of(1, 0xfe));
        await redis.publish("ä", "ö");
        await redis.publish("ä", "ü");
        const [handled, first, second] = await read(raw, 3);
        assert.deepEqual([handled, first, second], [null, message(bytes("ä"), bytes("ö")), message(bytes("ä"), bytes("ü"))]);
        assert.notEqual(first.channel, second.channel, "who changes one changes no other");
        assert.deepEqual(taken, [message(name, Uint8Array.of(1, 0xfe))]);
        const latin = opened(t, { ignoreSubscribeMessages: true }, redis.with({ encoding: "latin1" }));
        await latin.subscribe("\xe4");
        await latin.getMessage();
        assert.equal(await redis.publish(Uint8Array.of(0xe4), Uint8Array.of(0xf6)), 1);
        assert.deepEqual(await latin.getMessage(), message("\xe4", "\xf6"));
      });

      test("names are told apart by their bytes, whatever they are shown as", async (t) => {
        const [ff, fe] = [0xff, 0xfe].map((byte) => Uint8Array.of(byte));
        const [text, encoded] = ["\ufffd", bytes("\ufffd")];
        const large = new Uint8Array(20_000).fill(0xff);
        const names = [ff, fe, text, large, large.slice(1)];
        const shown = names.map((name) => (typeof name === "string" ? name : "\ufffd".repeat(name.length)));
        const taken = [];
        const note = (who) => ({ channel, pattern, data }) => void taken.push([who, channel, pattern, data]);
        const told = async (publish, who, channel, pattern = null) => {
          taken.length = 0;
          assert.equal(await publish(), 1);
          await until(() => taken.length > 0);
          assert.deepEqual(taken, [[who, channel, pattern, "x\ufffd"]]);
        };
        const data = Uint8Array.of(0x78, 0xff);
        // on the connection that callers share
        const stops = [];
        for (const [at, name] of names.entries()) stops.push(await redis.subscribe(name, note(at)));
        for (let turn = 0; turn < 2; turn++) {
          for (const [at, name] of names.entries()) await told(() => redis.publish(name, data), at, shown[at]);
        }
        const same = await redis.subscribe(encoded, note("same"));
        await stops[2]();
        await told(() => redis.publish(text, data), "same", text);
        for (const stop of [stops[0], stops[3], stops[4], same]) await stop();
        assert.deepEqual(await Promise.all(names.map((name) => redis.publish(name, "x"))), [0, 1, 0, 0, 0]);
        await told(() => redis.publish(fe, data), 1, text);
        await stops[1]();
        // patterns and shard channels, and a reader's own
        const [one, other] = [opened(t), opened(t)];
        await one.subscribe(new Map(names.map((name, at) => [name, note(at)])));
        await other.ssubscribe(new Map([[ff, note("shard ff")], [fe, note("shard fe")]]));
        const star = (name) => new Uint8Array(Buffer.from([...name, 0x2a]));
        await other.psubscribe(new Map([[star(Uint8Array.of(0xfd)), note("fd*")], [star(Uint8Array.of(0xfc)), note("fc*")]]));
        one.run();
        other.run();
        for (const [at, name] of names.entries()) await told(() => redis.publish(name, data), at, shown[at]);
        await told(() => redis.spublish(ff, data), "shard ff", text);
        await told(() => redis.spublish(fe, data), "shard fe", text);
        await told(() => redis.publish(Uint8Array.of(0xfd), data), "fd*", text, "\ufffd*");
        await told(() => redis.publish(Uint8Array.of(0xfc), data), "fc*", text, "\ufffd*");
        assert.deepEqual([one.channels, other.channels, other.patterns], [new Set(shown), new Set([text]), new Set(["\ufffd*"])]);
        await one.unsubscribe(ff);
        await one.unsubscribe(encoded);
        await other.punsubscribe(Uint8Array.of(0xfd, 0x2a));
        assert.deepEqual(await Promise.all([ff, fe, text].map((name) => redis.publish(name, "x"))), [0, 1, 0]);
        await one.unsubscribe(fe, large, large.slice(1));
        await other.sunsubscribe(ff);
        await until(() => !one.subscribed);
        await told(() => redis.spublish(fe, data), "shard fe", text);
        await told(() => redis.publish(Uint8Array.of(0xfc), data), "fc*", text, "\ufffd*");
        await other.sunsubscribe();
        await other.punsubscribe();
        await until(() => !other.subscribed);
      });

      test("what is read of a name that is no text is text, and its bytes are its name", async (t) => {
        const pubsub = opened(t);
        const name = Uint8Array.of(0x61, 0xff);
        const asked = pubsub.subscribe(name, "\ud800");
        name[0] = 0x62;
        await asked;
        assert.deepEqual(pubsub.channels, new Set(["a\ufffd", "\ufffd"]));
        assert.throws(() => pubsub.run(), /'a\ufffd' has no handler/);
        assert.deepEqual(await read(pubsub, 2), [subscribed("a\ufffd", 1), subscribed("\ufffd", 2)]);
        await redis.publish(Uint8Array.of(0x61, 0xff), Uint8Array.of(0xff));
        assert.deepEqual(await read(pubsub, 1), [message("a\ufffd", "\ufffd")]);
        await pubsub.unsubscribe("\ufffd");
        assert.deepEqual(await read(pubsub, 1), [unsubscribed("\ufffd", 1)]);
        await pubsub.unsubscribe(Uint8Array.of(0x61, 0xff));
        assert.deepEqual(await read(pubsub, 1), [unsubscribed("a\ufffd", 0)]);
        assert.equal(pubsub.subscribed, false);
        // text and bytes are one name, whatever the text's encoding
        for (const [encoding, given, wire] of [["utf-8", "ÿ", [0xc3, 0xbf]], ["latin1", "ÿ", [0xff]], ["ascii", "y", [0x79]]]) {
          const own = opened(t, { ignoreSubscribeMessages: true }, redis.with({ encoding }));
          await own.subscribe(given);
          await own.subscribe(Uint8Array.from(wire));
          assert.deepEqual(own.channels, new Set([given]));
          await own.unsubscribe(Uint8Array.from(wire));
          await read(own, 3);
          assert.equal(own.subscribed, false, encoding);
          // and what is none is told apart by it
          const taken = [];
          await own.subscribe(new Map([0xfe, 0xff].map((byte) => [Uint8Array.of(byte), ({ channel }) => void taken.push([byte, channel])])));
          await read(own, 2);
          for (const byte of [0xff, 0xfe]) assert.equal(await redis.publish(Uint8Array.of(byte), "x"), 1);
          await read(own, 2);
          const shown = (byte) => (encoding === "latin1" ? String.fromCharCode(byte) : "\ufffd");
          assert.deepEqual(taken, [0xff, 0xfe].map((byte) => [byte, shown(byte)]), encoding);
          await own.close();
        }
      });

      test("a gap tells of names that are no text, each its own listeners", async (t) => {
        const user = `binary${protocol}`;
        const [ff, fe] = [0xff, 0xfe].map((byte) => Uint8Array.of(byte));
        const channel = (byte) => Uint8Array.of(0x26, byte);
        const allow = (...bytes) => redis.call("ACL SETUSER", user, "on", ">secret", "+@all", "~*", "resetchannels", ...bytes.map(channel));
        await allow(0xff, 0xfe);
        const narrow = new Redis({ port: server.port, protocol, username: user, password: "secret", retryDelay: 1 });
        t.after(() => narrow.destroy());
        const [told, gaps] = [[], []];
        for (const name of [ff, fe]) {
          const who = name[0];
          await narrow.subscribe(name, ({ data }) => void told.push([who, data]), { onGap: ({ channels, error }) => told.push([who, channels, error?.code]) });
        }
        const watcher = opened(t, { onGap: ({ channels, error }) => gaps.push([channels, error?.code]) }, narrow);
        await watcher.subscribe(ff, fe);
        await read(watcher, 2);
        await allow(0xfe);
        await until(() => told.length === 2);
        assert.deepEqual(told.splice(0), [[0xff, ["\ufffd"], "NOPERM"], [0xfe, ["\ufffd"], undefined]]);
        await until(async () => (await watcher.getMessage({ timeout: 0 }), gaps.length === 2));
        assert.deepEqual(gaps, [[["\ufffd"], "NOPERM"], [["\ufffd"], undefined]]);
        await allow(0xff, 0xfe);
        await narrow.subscribe(ff, ({ data }) => void told.push([0xff, data]));
        for (const name of [ff, fe]) await redis.publish(name, "x");
        await until(() => told.length === 2);
        assert.deepEqual(told.splice(0), [[0xff, "x"], [0xfe, "x"]]);
        // who reads too slowly is told of each name
        const slow = opened(t, { bufferLimit: 1, ignoreSubscribeMessages: true, onGap: ({ channels, dropped }) => gaps.push([channels, dropped]) });
        await slow.subscribe(ff, fe);
        for (const name of [ff, fe, ff]) await redis.publish(name, "x");
        // its confirmation comes behind them
        await slow.subscribe("last");
        gaps.length = 0;
        assert.equal(await slow.getMessage(), null);
        assert.deepEqual(gaps, [[["\ufffd", "\ufffd"], 3]]);
      });

      test("large messages come whole, among small ones", async (t) => {
        const pubsub = opened(t, { ignoreSubscribeMessages: true });
        await pubsub.subscribe("large");
        await pubsub.getMessage();
        const sent = ["small", "L".repeat(5_000_000), "ü".repeat(40_000), "", "end"];
        for (const data of sent) await redis.publish("large", data);
        assert.deepEqual((await read(pubsub, sent.length)).map(({ data }) => data), sent);
      });

      test("a refused subscription rejects, and is none", async (t) => {
        await redis.call("ACL SETUSER", `narrow${protocol}`, "on", ">secret", "+@all", "~*", "resetchannels", "&allowed");
        const narrow = new Redis({ port: server.port, protocol, username: `narrow${protocol}`, password: "secret" });
        t.after(() => narrow.destroy());
        const pubsub = opened(t, {}, narrow);
        const error = await rejection(pubsub.subscribe("forbidden"));
        assert.ok(error instanceof AuthorizationError);
        assert.equal(error.command, "SUBSCRIBE");
        assert.equal(pubsub.subscribed, false);
        await pubsub.subscribe("allowed");
        assert.deepEqual(await pubsub.getMessage(), subscribed("allowed", 1));
      });

      test("a refused subscription takes no name from those that are there, nor its handler", async (t) => {
        await redis.call("ACL SETUSER", `narrow${protocol}`, "on", ">secret", "+@all", "~*", "resetchannels", "&allowed");
        const narrow = new Redis({ port: server.port, protocol, username: `narrow${protocol}`, password: "secret" });
        t.after(() => narrow.destroy());
        const pubsub = opened(t, { ignoreSubscribeMessages: true }, narrow);
        const taken = [];
        const first = pubsub.subscribe({ allowed: ({ data }) => void taken.push(data) });
        const other = rejection(pubsub.subscribe({ allowed: () => taken.push("another"), forbidden: () => {} }));
        await first;
        assert.ok((await other) instanceof AuthorizationError);
        assert.ok((await rejection(pubsub.subscribe("allowed", "forbidden"))) instanceof AuthorizationError);
        assert.deepEqual(pubsub.channels, new Set(["allowed"]));
        assert.equal(await pubsub.getMessage(), null, "the confirmation");
        assert.ok((await rejection(pubsub.subscribe("allowed", "forbidden"))) instanceof AuthorizationError);
        assert.deepEqual(pubsub.channels, new Set(["allowed"]));
        await redis.publish("allowed", "x");
        assert.equal(await within(pubsub.getMessage()), null);
        assert.deepEqual(taken, ["x"]);
      });

      test("a name that is not allowed any more when the link is made again is told, and the others are subscribed to", async (t) => {
        const user = `revoked${protocol}`;
        const allow = (...names) => redis.call("ACL SETUSER", user, "on", ">secret", "+@all", "~*", "resetchannels", ...names.map((name) => `&${name}`));
        await allow("kept", "gone", "gone*");
        const narrow = new Redis({ port: server.port, protocol, username: user, password: "secret", retryDelay: 1 });
        t.after(() => narrow.destroy());
        const [reader, gaps, told] = [opened(t, { ignoreSubscribeMessages: true }, narrow), [], []];
        await reader.subscribe("kept", "gone");
        await reader.getMessage();
        await reader.getMessage();
        const late = opened(t, { ignoreSubscribeMessages: true }, narrow);
        await late.subscribe("gone");
        const watcher = opened(t, { onGap: (gap) => gaps.push(gap) }, narrow);
        await watcher.subscribe("kept", "gone");
        await watcher.psubscribe("gone*");
        await read(watcher, 3);
        const worker = opened(t, {}, narrow);
        await worker.subscribe({ gone: () => {} });
        const running = worker.run();
        await narrow.subscribe("kept", ({ data }) => void told.push(data), { onGap: ({ error }) => told.push(error) });
        const stop = await narrow.subscribe("gone", () => {}, { onGap: (gap) => told.push(gap) });
        // the server ends the links of those who listen to what they may not any more
        await allow("kept");
        assert.ok((await rejection(running.done)) instanceof AuthorizationError);
        assert.ok((await rejection(reader.getMessage())) instanceof AuthorizationError, "who takes no gaps");
        await until(async () => (await redis.pubsubNumsub("kept")).kept === 3);
        await redis.publish("kept", "x");
        assert.deepEqual(await read(reader, 1), [message("kept", "x")]);
        assert.equal((await read(watcher, 2)).at(-1).data, "x");
        assert.deepEqual([reader.channels, watcher.channels, watcher.patterns], [new Set(["kept"]), new Set(["kept"]), new Set()]);
        assert.equal(await late.getMessage(), null, "the confirmation");
        assert.ok((await rejection(late.getMessage())) instanceof AuthorizationError);
        assert.deepEqual([late.channels, late.subscribed], [new Set(), false]);
        const ended = gaps.filter(({ error }) => error !== undefined);
        assert.deepEqual(ended.map(({ channels, patterns, to }) => [channels, patterns, to]), [[["gone"], [], Infinity], [[], ["gone*"], Infinity]]);
        assert.ok(ended.every(({ error }) => error instanceof AuthorizationError));
        const [own] = gaps.filter(({ error }) => error === undefined);
        assert.deepEqual([gaps.length, own.channels, own.patterns], [3, ["kept"], []]);
        await until(() => told.length === 3);
        assert.ok(told.some((gap) => gap?.error instanceof AuthorizationError) && told.includes(undefined) && told.includes("x"));
        await allow("kept", "gone");
        const again = await narrow.subscribe("gone", ({ data }) => void told.push(data));
        await stop();
        await redis.publish("gone", "y");
        await until(() => told.at(-1) === "y");
        await again();
      });

      test("many callers share the subscription to a channel", async () => {
        const taken = [];
        const stops = await Promise.all(["one", "two", "three"].map((who) => redis.subscribe("shared", ({ data }) => void taken.push([who, data]))));
        assert.deepEqual(await redis.pubsubNumsub("shared"), { shared: 1 });
        const links = (await redis.clientList()).filter(({ sub }) => Number(sub) > 0).length;
        const other = await redis.psubscribe("sha*", ({ pattern }) => void taken.push(["pattern", pattern]));
        assert.equal((await redis.clientList()).filter(({ sub, psub }) => Number(sub) + Number(psub) > 0).length, links, "one connection");
        await redis.publish("shared", "x");
        await until(() => taken.length === 4);
        assert.deepEqual(taken, [["one", "x"], ["two", "x"], ["three", "x"], ["pattern", "sha*"]]);
        await stops[0]();
        await stops[0]();
        await stops[1]();
        await redis.publish("shared", "y");
        await until(() => taken.length === 6);
        assert.deepEqual(taken.slice(4), [["three", "y"], ["pattern", "sha*"]]);
        await stops[2]();
        assert.deepEqual(await redis.pubsubNumsub("shared"), { shared: 0 });
        await other();
        await until(async () => (await redis.clientList()).length === 1);
        const stop = await redis.subscribe("shared", () => {});
        assert.deepEqual(await redis.pubsubNumsub("shared"), { shared: 1 });
        await stop();
      });

      test("handlers that fail, never return or end themselves leave the others be", async () => {
        const taken = [];
        const errors = [];
        const note = (who) => ({ data }) => void taken.push([who, data]);
        const onError = (error, { data }) => errors.push([error.message, data]);
        const stops = [
          await redis.subscribe("crowd", () => { throw new Error("thrown"); }, { onError }),
          await redis.subscribe("crowd", () => new Promise(() => {})),
          await redis.subscribe("crowd", async () => { throw new Error("rejected"); }, { onError }),
          await redis.subscribe("crowd", (given) => { note("leaver")(given); stops[3](); }),
          await redis.subscribe("crowd", note("stayer")),
        ];
        for (const data of ["1", "2"]) await redis.publish("crowd", data);
        await until(() => taken.length === 3 && errors.length === 4);
        assert.deepEqual(taken, [["leaver", "1"], ["stayer", "1"], ["stayer", "2"]]);
        assert.deepEqual(errors.map(String).sort(), ["rejected,1", "rejected,2", "thrown,1", "thrown,2"]);
        await Promise.all(stops.map((stop) => stop()));
      });
    });
  }
}

const [plain] = programs;
describe("subscriptions", { skip: missing(plain) }, () => {
  let server;
  let redis;
  before(async () => {
    server = await startServer(plain.program);
    redis = new Redis({ port: server.port });
  });
  after(async () => {
    await redis?.close();
    await server?.stop();
  });

  test("what a handler of run() throws goes to onError, else rejects done; reading goes on", async (t) => {
    for (const given of [true, false]) {
      const pubsub = redis.pubsub();
      t.after(() => pubsub.close());
      const taken = [];
      const errors = [];
      await pubsub.subscribe({ a: ({ data }) => { taken.push(data); if (data !== "3") throw new Error(data); } });
      const worker = pubsub.run(given ? { onError: (error, { data }) => errors.push([error.message, data]) } : {});
      for (const data of ["1", "2", "3"]) await redis.publish("a", data);
      await until(() => taken.length === 3);
      if (given) assert.deepEqual(errors, [["1", "1"], ["2", "2"]]);
      else assert.equal((await rejection(worker.done)).message, "1");
      await worker.stop();
    }
  });

  test("what a handler throws is the reader's otherwise", async (t) => {
    const pubsub = redis.pubsub({ ignoreSubscribeMessages: true });
    t.after(() => pubsub.close());
    await pubsub.subscribe({ a: ({ data }) => { throw new Error(data); }, b: async ({ data }) => { throw new Error(data); } });
    await read(pubsub, 2);
    await redis.publish("a", "1");
    await redis.publish("b", "2");
    assert.equal((await rejection(pubsub.getMessage())).message, "1");
    assert.equal(await pubsub.getMessage(), null);
    assert.equal((await rejection(pubsub.getMessage())).message, "2");
  });

  test("who reads too slowly meets bufferLimit, and is told what was let go", async (t) => {
    for (const onOverflow of ["drop-oldest", "drop-newest", "close"]) {
      const gaps = [];
      const pubsub = redis.pubsub({ bufferLimit: 10, onOverflow, ignoreSubscribeMessages: true, onGap: (gap) => gaps.push(gap) });
      t.after(() => pubsub.close());
      await pubsub.subscribe("a");
      await pubsub.getMessage();
      const began = Date.now();
      for (let n = 0; n < 25; n++) await redis.publish("a", n);
      const marker = redis.pubsub();
      await marker.subscribe("a");
      await marker.close();
      await new Promise(setImmediate);
      if (onOverflow === "close") {
        const seen = (await read(pubsub, 10)).map(({ data }) => Number(data));
        assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert.ok((await rejection(pubsub.getMessage())) instanceof PubSubError);
        assert.ok((await rejection(pubsub.subscribe("b"))) instanceof PubSubError);
        continue;
      }
      const seen = (await read(pubsub, 10)).map(({ data }) => Number(data));
      await redis.publish("a", "after");
      assert.deepEqual(await read(pubsub, 1), [message("a", "after")]);
      assert.deepEqual(seen, onOverflow === "drop-oldest" ? [15, 16, 17, 18, 19, 20, 21, 22, 23, 24] : [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      const [{ from, to, ...gap }] = gaps;
      assert.deepEqual([gaps.length, gap], [1, { channels: ["a"], patterns: [], dropped: 15 }]);
      assert.ok(from >= began && to >= from && to <= Date.now());
    }
  });

  test("a signal gives up what waits to be subscribed to, and nothing of it stays", async (t) => {
    const proxy = await startProxy(t, server.port);
    const client = new Redis({ port: proxy.port });
    t.after(() => client.destroy());
    const reason = new Error("enough");
    const controller = new AbortController();
    const view = client.with({ signal: controller.signal });
    const pubsub = view.pubsub({ ignoreSubscribeMessages: true });
    t.after(() => pubsub.close());
    const taken = [];
    const kept = ({ data }) => taken.push(data);
    await client.subscribe("given:kept", kept);
    await pubsub.subscribe("given:own");
    let [held, ended] = [0, 0];
    proxy.onRequest = ([name]) => (name === "SUBSCRIBE" ? { delay: 20, held: held++ } : undefined);
    proxy.onReply = (reply) => void (reply.includes("unsubscribe") && ended++);
    const waiting = [view.subscribe("given:up", () => assert.fail()), pubsub.subscribe("given:up", "given:own")];
    await until(() => held === 2);
    controller.abort(reason);
    for (const given of waiting) assert.equal(await rejection(given), reason);
    await until(() => ended === 2, "both were unsubscribed");
    assert.deepEqual(await redis.pubsubNumsub("given:up", "given:own", "given:kept"), { "given:up": 0, "given:own": 1, "given:kept": 1 });
    assert.deepEqual(pubsub.channels, new Set(["given:own"]));
    assert.equal(await rejection(pubsub.subscribe("given:up")), reason);
    await redis.publish("given:kept", "x");
    await until(() => taken.length === 1);
    // of a connection that is not there yet, nothing is asked
    const early = new AbortController();
    const unasked = client.duplicate().with({ signal: early.signal });
    t.after(() => unasked.destroy());
    const given = [unasked.subscribe("given:up", () => assert.fail()), unasked.pubsub().subscribe("given:up")];
    early.abort(reason);
    for (const promise of given) assert.equal(await rejection(promise), reason);
    await unasked.close();
    assert.equal((await redis.pubsubNumsub("given:up"))["given:up"], 0);
  });

  test("what is left in an outage is not subscribed to for ever", async (t) => {
    const proxy = await startProxy(t, server.port);
    const client = new Redis({ port: proxy.port, queueTimeout: 50, timeout: 50, retryDelay: 1, maxRetryDelay: 5 });
    t.after(() => client.destroy());
    const pubsub = client.pubsub({ ignoreSubscribeMessages: true });
    t.after(() => pubsub.close());
    const [gaps, taken] = [[], []];
    await client.subscribe("outage:kept", ({ data }) => taken.push(data), { onGap: (gap) => gaps.push(gap) });
    const stop = await client.subscribe("outage:left", ({ data }) => taken.push(data));
    await pubsub.subscribe("outage:one", "outage:other");
    await pubsub.psubscribe("outage:p*");
    const numbers = () => redis.pubsubNumsub("outage:kept", "outage:left", "outage:one", "outage:other");
    assert.deepEqual(await numbers(), { "outage:kept": 1, "outage:left": 1, "outage:one": 1, "outage:other": 1 });
    proxy.target = await freePort();
    for (const link of proxy.links) link.cut();
    // nobody waits for ever, and nobody has to ask again
    assert.ok((await rejection(within(stop()))) instanceof RedisError);
    assert.ok((await rejection(within(pubsub.unsubscribe("outage:one")))) instanceof RedisError);
    assert.ok((await rejection(within(pubsub.punsubscribe()))) instanceof RedisError);
    proxy.target = server.port;
    const reading = pubsub.getMessage({ timeout: 5_000 });
    await until(() => gaps.length === 1);
    await until(async () => {
      const { "outage:left": left, "outage:one": one, ...kept } = await numbers();
      return left === 0 && one === 0 && kept["outage:kept"] === 1 && kept["outage:other"] === 1 && (await redis.pubsubNumpat()) === 0;
    });
    await redis.publish("outage:other", "x");
    await redis.publish("outage:kept", "y");
    let came = await reading;
    while (came === null) came = await within(pubsub.getMessage());
    assert.deepEqual(came, message("outage:other", "x"));
    await until(() => taken.length === 1);
    assert.deepEqual([taken, pubsub.channels, pubsub.patterns], [["y"], new Set(["outage:other"]), new Set()]);
  });

  test("a large message makes as many small ones go as it must", async (t) => {
    const [gaps, count] = [[], 20_000];
    const pubsub = redis.pubsub({ bufferLimit: 1_000_000, ignoreSubscribeMessages: true, onGap: (gap) => gaps.push(gap) });
    t.after(() => pubsub.close());
    await redis.configSet({ "client-output-buffer-limit": "pubsub 0 0 0" });
    t.after(() => redis.configSet({ "client-output-buffer-limit": "pubsub 33554432 8388608 60" }));
    await pubsub.subscribe("large");
    await pubsub.getMessage();
    await redis.eval(`for i = 1, ${count} do redis.call('PUBLISH', 'large', i) end redis.call('PUBLISH', 'large', string.rep('x', ${64 << 20}))`, []);
    await redis.publish("large", "last");
    // confirmed behind all of that
    await pubsub.subscribe("end");
    assert.deepEqual(await read(pubsub, 2), [message("large", "last"), null]);
    assert.deepEqual(gaps.map(({ dropped }) => dropped), [count + 1]);
  });

  test("names count among the bytes of what waits", async (t) => {
    const gaps = [];
    const pubsub = redis.pubsub({ ignoreSubscribeMessages: true, onGap: (gap) => gaps.push(gap) });
    t.after(() => pubsub.close());
    await redis.configSet({ "client-output-buffer-limit": "pubsub 0 0 0" });
    t.after(() => redis.configSet({ "client-output-buffer-limit": "pubsub 33554432 8388608 60" }));
    await pubsub.psubscribe("named:*");
    await pubsub.getMessage();
    for (let n = 0; n < 20; n++) await redis.publish(`named:${n}:${"x".repeat(4 << 20)}`, "");
    await pubsub.subscribe("end");
    assert.equal((await within(pubsub.getMessage())).channel.slice(0, 8), "named:5:");
    // what was confirmed had to have room too
    assert.deepEqual(gaps.map(({ dropped }) => dropped), [5]);
  });

  test("times of gaps are those of Date.now(), wherever that was set to", async (t) => {
    const { now } = Date;
    t.after(() => (Date.now = now));
    Date.now = () => now() + 3_600_000;
    const gaps = [];
    const began = Date.now();
    const stop = await redis.subscribe("clock", () => {}, { onGap: (gap) => gaps.push(gap) });
    const [{ id }] = (await redis.clientList()).filter(({ sub }) => Number(sub) === 1);
    await redis.clientKill({ id: Number(id) });
    await until(() => gaps.length === 1);
    const [{ from, to }] = gaps;
    assert.ok(from >= began - 2 && from <= to && to <= Date.now() + 3, `${began} ${from} ${to}`);
    await stop();
  });

  test("memory stays flat under a consumer that never reads", async (t) => {
    const pubsub = redis.pubsub({ bufferLimit: 1000 });
    t.after(() => pubsub.close());
    await pubsub.subscribe("flood");
    const flood = async (count) => {
      for (let n = 0; n < count; n += 500) await Promise.all(Array.from({ length: 500 }, () => redis.publish("flood", "x".repeat(1000))));
    };
    await flood(5_000);
    const before = process.memoryUsage().heapUsed;
    await flood(30_000);
    const grown = process.memoryUsage().heapUsed - before;
    assert.ok(grown < 25_000_000, `grown by ${grown}`);
  });

  test("the server's kill for a full output buffer is a gap", async (t) => {
    const gaps = [];
    const pubsub = redis.pubsub({ ignoreSubscribeMessages: true, onGap: (gap) => gaps.push(gap) });
    t.after(() => pubsub.close());
    await redis.configSet({ "client-output-buffer-limit": "pubsub 1000000 500000 1" });
    t.after(() => redis.configSet({ "client-output-buffer-limit": "pubsub 33554432 8388608 60" }));
    await pubsub.subscribe("full");
    const large = "x".repeat(200_000);
    // one script, so that the server writes nothing until it has published everything
    await redis.eval("for i = 1, 20 do redis.call('PUBLISH', 'full', ARGV[1]) end", [], [large]);
    const reading = (async () => {
      for await (const { data } of pubsub) if (data === "after") return;
    })();
    await until(async () => (await redis.pubsubNumsub("full")).full === 1 && gaps.length + (await redis.publish("full", "after")) > 1);
    await within(reading);
    assert.deepEqual(gaps.map(({ channels }) => channels), [["full"]]);
  });

  test("nothing but what is meant is taken, and the error says what is", async (t) => {
    const pubsub = redis.pubsub();
    t.after(() => pubsub.close());
    for (const options of [{ ignoreSubscribeMessages: 1 }, { bufferLimit: 0 }, { bufferLimit: 1.5 }, { onOverflow: "explode" }, { onGap: true }]) {
      assert.throws(() => redis.pubsub(options), (error) => error instanceof TypeError && error.message.includes(Object.keys(options)[0]));
    }
    assert.ok((await rejection(pubsub.getMessage())) instanceof PubSubError);
    for (const names of [[], [1], [null], [{ a: "no function" }], [{}], ["a".repeat(65_537)], ["ä".repeat(40_000)]]) {
      const error = await rejection(pubsub.subscribe(...names));
      assert.ok(error instanceof TypeError && /^subscribe: /.test(error.message), String(error));
    }
    assert.equal(pubsub.subscribed, false);
    assert.ok((await rejection(pubsub.unsubscribe(7))) instanceof TypeError);
    assert.ok((await rejection(redis.subscribe("a"))) instanceof TypeError);
    assert.ok((await rejection(redis.subscribe("a", () => {}, { onError: 1 }))) instanceof TypeError);
    await pubsub.subscribe("a");
    assert.ok((await rejection(pubsub.getMessage({ timeout: -1 }))) instanceof TypeError);
    assert.throws(() => pubsub.run({ onError: 1 }), TypeError);
    assert.match((await rejection(redis.call("SUBSCRIBE", "a"))).message, /redis\.pubsub\(\)/);
  });

  test("a client that is closed ends its subscriptions, and takes no more", async () => {
    const own = new Redis({ port: server.port });
    const pubsub = own.pubsub();
    await pubsub.subscribe("a");
    await pubsub.getMessage();
    const waiting = pubsub.getMessage();
    const stop = await own.subscribe("b", () => {});
    await own.close();
    assert.equal(await within(waiting), null);
    await stop();
    assert.throws(() => own.pubsub(), ConnectionError);
    assert.ok((await rejection(own.subscribe("b", () => {}))) instanceof ConnectionError);
    assert.deepEqual(await redis.pubsubNumsub("a", "b"), { a: 0, b: 0 });
  });

  test("subscriptions alone do not hold the process, who reads them does", () => {
    const script = (body) => `
      import { Redis } from "redwire";
      const redis = new Redis({ port: ${server.port} });
      const pubsub = redis.pubsub({ ignoreSubscribeMessages: true });
      await pubsub.subscribe("held");
      ${body}`;
    const run = (body) => spawnSync(process.execPath, ["--input-type=module", "-e", script(body)], { encoding: "utf8", timeout: 20_000, cwd: import.meta.dirname });
    assert.deepEqual([run("").status, run("").stderr], [0, ""]);
    const read = run(`
      const first = pubsub.getMessage();
      setTimeout(() => redis.publish("held", "x"), 100).unref();
      await first;
      console.log((await pubsub.getMessage()).data);
      const stop = await redis.subscribe("held", async () => { console.log("handled"); await stop(); });
      setTimeout(() => redis.publish("held", "y"), 100).unref();`);
    assert.deepEqual([read.status, read.stdout], [0, "x\nhandled\n"]);
  });
});

for (const protocol of [2, 3]) {
  test(`what was refused holds no place, and may be subscribed to later, RESP${protocol}`, async (t) => {
    keepAlive(t);
    let refused = true;
    const { redis, fake } = faked(t, ([name, channel]) => (name !== "SUBSCRIBE" ? bulk("x") : refused ? error("NOPERM no access to a channel") : array([bulk("subscribe"), bulk(channel), integer(1)])), { protocol, maxConnections: 1, poolTimeout: 50 });
    const pubsub = redis.pubsub();
    for (let round = 0; round < 3; round++) {
      assert.equal((await rejection(pubsub.subscribe("c"))).code, "NOPERM");
      const lease = await within(redis.lease());
      assert.equal(await within(lease.echo("x")), "x");
      await lease.release();
      await until(() => fake.links.filter(({ closed }) => !closed).length <= 2);
    }
    refused = false;
    const second = faked(t, fake.answer, { protocol, maxConnections: 1 }).redis.pubsub();
    await rejection(second.subscribe());
    await within(second.subscribe("c"));
    refused = true;
    assert.equal((await rejection(second.subscribe("d"))).code, "NOPERM");
    assert.deepEqual([...second.channels], ["c"], "what was confirmed stays");
    await second.close();
    for (const closed of [second, redis.pubsub()]) {
      await closed.close();
      assert.ok((await rejection(closed.subscribe("c"))) instanceof RedisError);
    }
  });
}

test("subscriptions that were never used are let go", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const { redis } = faked(t, () => bulk("x"));
  await redis.ping();
  const made = Array.from({ length: 50 }, () => new WeakRef(redis.pubsub()));
  await until(() => {
    collect();
    return made.every((one) => one.deref() === undefined);
  });
});
