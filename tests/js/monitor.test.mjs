// MONITOR: what the server executes, as values.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ConnectionError, PubSubError, Redis } from "redwire";
import { faked } from "./support/client.mjs";
import { bulk, ok } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

for (const program of programs) {
  for (const protocol of [2, 3]) {
    describe(`MONITOR on ${program.name}, RESP${protocol}`, { skip: missing(program) }, () => {
      let server;
      let redis;
      before(async () => {
        server = await startServer(program.program);
        redis = new Redis({ port: server.port, protocol, db: 3 });
      });
      after(async () => {
        await redis?.close();
        await server?.stop();
      });

      /** Begins to monitor, and gives what comes from then on but for what makes sure of that. */
      const begun = async (t, client, options) => {
        await redis.connect();
        const entries = client.monitor(options);
        t.after(() => entries.return());
        const first = entries.next();
        const beat = setInterval(() => redis.echo("begun"), 5);
        await within(first);
        clearInterval(beat);
        return entries;
      };
      /** Gives the next command that is not part of making sure. */
      const next = async (entries) => {
        for (;;) {
          const { value } = await within(entries.next());
          if (String(value.args[0]) !== "ECHO") return value;
        }
      };

      test("tells when, where, who and what", async (t) => {
        const entries = await begun(t, redis);
        await redis.set("key", 'a "quoted" \\ value\n\t\x07\x00ä');
        const before = Date.now() / 1000;
        const { time, db, address, args } = await next(entries);
        assert.ok(Math.abs(time - before) < 5);
        assert.deepEqual([db, args], [3, ["SET", "key", 'a "quoted" \\ value\n\t\x07\x00ä']]);
        assert.match(address, /^127\.0\.0\.1:\d+$/);
        await redis.eval("return redis.call('GET', 'key')", [], []);
        assert.equal((await next(entries)).args[0], "EVAL");
        assert.equal((await next(entries)).address, "lua");
        assert.deepEqual(await entries.return(), { value: undefined, done: true });
        assert.deepEqual(await entries.next(), { value: undefined, done: true });
        await until(async () => (await redis.clientList()).length === 1);
      });

      test("gives bytes where nothing is decoded, and lines of any length", async (t) => {
        const entries = await begun(t, redis.with({ decodeResponses: false }));
        const odd = Uint8Array.from({ length: 256 }, (_, at) => at);
        await redis.set("odd", odd);
        assert.deepEqual((await next(entries)).args, [Uint8Array.from(Buffer.from("SET")), Uint8Array.from(Buffer.from("odd")), odd]);
        await redis.set("long", "x".repeat(3_000_000));
        assert.equal((await next(entries)).args[2].length, 3_000_000);
        await redis.del("odd", "long");
        assert.equal((await next(entries)).args.length, 3);
      });

      test("ends with its signal, and when the link is lost", async (t) => {
        const controller = new AbortController();
        const entries = await begun(t, redis, { signal: controller.signal });
        const waiting = rejection((async () => { for (;;) await entries.next(); })());
        controller.abort(new Error("enough"));
        assert.equal((await waiting).message, "enough");
        const others = await begun(t, redis);
        const lost = rejection((async () => { for (;;) if ((await others.next()).done) return; })());
        for (const { id, cmd } of await redis.clientList()) if (cmd === "monitor") await redis.clientKill({ id: Number(id) });
        assert.ok((await lost) instanceof ConnectionError);
        assert.deepEqual(await others.next(), { value: undefined, done: true });
      });
    });
  }
}

test("a line of MONITOR is read in no time, and whatever it holds", async (t) => {
  const nasty = '+1700000000.5 [7 unix:/tmp/a "b] c"] "SET" "' + '\\\\'.repeat(5_000) + " [".repeat(2_500) + '\\x"\r\n';
  const { redis, fake } = faked(t, (args, link) => {
    if (args[0] !== "MONITOR") return bulk("");
    setImmediate(() => link.send(Buffer.from(`${nasty}+1700000001.000001 [0 [::1]:5] "PING"\r\n+1700000002.0 nonsense\r\n`)));
    return ok;
  });
  const entries = redis.monitor();
  const before = performance.now();
  const { value } = await within(entries.next());
  assert.ok(performance.now() - before < 1000);
  assert.deepEqual([value.time, value.db, value.address], [1700000000.5, 7, 'unix:/tmp/a "b] c"']);
  assert.deepEqual((await within(entries.next())).value, { time: 1700000001.000001, db: 0, address: "[::1]:5", args: ["PING"] });
  assert.deepEqual((await within(entries.next())).value.args, []);
  await entries.return();
  assert.equal(fake.links.length, 1);
});

test("who reads MONITOR too slowly is told", async (t) => {
  const { redis } = faked(t, (args, link) => {
    if (args[0] !== "MONITOR") return bulk("");
    setImmediate(() => link.send(Buffer.from('+1700000000.5 [0 lua] "PING"\r\n'.repeat(12))));
    return ok;
  });
  const entries = redis.monitor({ bufferLimit: 10 });
  await within(entries.next());
  await new Promise(setImmediate);
  for (let n = 0; n < 9; n++) assert.equal((await entries.next()).value.args[0], "PING");
  assert.ok((await rejection((async () => { for (;;) if ((await entries.next()).done) return; })())) instanceof PubSubError);
  assert.throws(() => redis.monitor({ bufferLimit: 0 }), TypeError);
  assert.throws(() => redis.monitor({ signal: 1 }), TypeError);
});

test("what MONITOR's reader has not read is bounded by bytes too", async (t) => {
  const line = Buffer.from(`+1700000000.5 [0 lua] "SET" "${"x".repeat(4 << 20)}"\r\n`);
  const { redis } = faked(t, (args, link) => {
    if (args[0] !== "MONITOR") return bulk("");
    for (let n = 0; n < 30; n++) link.send(line);
    return ok;
  });
  const entries = redis.monitor();
  const first = entries.next();
  let count = 1;
  await within(first);
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const error = await rejection((async () => { for (;; count++) if ((await entries.next()).done) return; })());
  assert.ok(error instanceof PubSubError);
  assert.match(error.message, /64 MiB/);
  assert.ok(count >= 16 && count <= 18, `${count} of 4 MiB`);
});

test("what MONITOR's reader has read is let go, though it never catches up", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  let monitor;
  const { redis } = faked(t, (args, link) => {
    if (args[0] !== "MONITOR") return bulk("");
    monitor = link;
    return ok;
  });
  const entries = redis.monitor();
  const line = Buffer.from(`+1700000000.5 [0 lua] "SET" "${"x".repeat(100_000)}"\r\n`);
  const first = entries.next();
  await until(() => monitor);
  monitor.send(line);
  monitor.send(line);
  await within(first);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let n = 0; n < 900; n++) {
    monitor.send(line);
    assert.equal((await within(entries.next())).value.args[0], "SET");
  }
  collect();
  const grown = (process.memoryUsage().heapUsed - before) / (1 << 20);
  assert.ok(grown < 20, `${grown.toFixed(1)} MiB are kept of 90`);
  await entries.return();
});
