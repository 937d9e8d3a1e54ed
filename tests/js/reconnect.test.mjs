// A link that is lost is opened again; what waits goes on, and what may be repeated is sent again.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { AuthenticationError, ConnectionError, Redis, TimeoutError } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { Fake } from "./support/fake.mjs";
import { bulk, error, integer, ok } from "./support/resp.mjs";
import { freePort, missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

const echo = (args) => (args[0] === "ECHO" || args[0] === "GET" ? bulk(args[1]) : ok);

describe("what is in flight when the link is lost", () => {
  test("is sent again, in order, where it only reads or is said to be idempotent", async (t) => {
    const { redis, fake } = faked(t, () => undefined);
    const view = redis.with({ idempotent: true });
    const large = "L".repeat(100_000);
    const kept = [redis.get("a"), view.incr("b"), view.set("c", large), view.pipeline({ transaction: false }).echo("d").incr("e").execute()];
    const lost = [redis.incr("f"), view.multi().echo("g").execute(), redis.call("APPEND", "h", "i")].map((call) => rejection(call));
    await until(() => fake.commands.length === 10);
    fake.answer = (args) => (args[0] === "INCR" ? integer(1) : echo(args));
    fake.link.end();
    assert.deepEqual(await within(Promise.all(kept)), ["a", 1, true, ["d", 1]]);
    for (const error of await Promise.all(lost)) {
      assert.ok(error instanceof ConnectionError);
      assert.equal(error.maybeExecuted, true);
    }
    assert.deepEqual(fake.link.commands, [["GET", "a"], ["INCR", "b"], ["SET", "c", large], ["ECHO", "d"], ["INCR", "e"]]);
  });

  test("is sent again maxResends times, and then fails", async (t) => {
    for (const maxResends of [0, 1, 3]) {
      const { redis, fake } = faked(t, (_, link) => link.end(), { retryDelay: 1, maxResends });
      const failed = await rejection(redis.get("a"));
      assert.ok(failed instanceof ConnectionError);
      assert.equal(failed.maybeExecuted, true);
      assert.equal(fake.commands.length, 1 + maxResends);
    }
  });

  test("of a reply that had begun nothing is left", async (t) => {
    const { redis, fake } = faked(t, (args) => Buffer.from(args[1] === "whole" ? "$2\r\nok\r\n" : "*3\r\n$3\r\nold\r\n*1\r\n$9\r\nhal"));
    const list = redis.lrange("list", 0, -1);
    await until(() => fake.commands.length === 1);
    await new Promise(setImmediate);
    fake.answer = () => Buffer.from("*1\r\n$3\r\nnew\r\n");
    fake.link.end();
    assert.deepEqual(await within(list), ["new"]);
  });

  test("of large values, in both directions, nothing is lost", async (t) => {
    const large = Buffer.alloc(300_000, "xyz");
    const { redis, fake } = faked(t, (args, link, raw) => {
      if (fake.links.length > 2) return bulk(raw[1]);
      link.send(bulk(raw[1]).subarray(0, 200_000));
      link.end();
    }, { retryDelay: 1 });
    const view = redis.with({ decodeResponses: false });
    const [one, two] = await within(Promise.all([view.echo(large), view.echo("small")]));
    assert.ok(Buffer.from(one).equals(large));
    assert.equal(String(Buffer.from(two)), "small");
  });

  test("a command that was sent again can be given up, before and after", async (t) => {
    for (const when of ["away", "again"]) {
      const { redis, fake } = faked(t, () => undefined, { retryDelay: 50 });
      const controller = new AbortController();
      const given = rejection(redis.with({ signal: controller.signal, idempotent: true }).set("k", Buffer.alloc(100_000)));
      await until(() => fake.commands.length === 1);
      fake.link.end();
      await until(() => redis.status === "reconnecting");
      if (when === "again") await until(() => fake.commands.length === 2);
      controller.abort(new Error("enough"));
      assert.equal((await given).message, "enough");
      fake.answer = (args, link) => (when === "again" && link.commands.length === 2 ? Buffer.concat([ok, bulk(args[1])]) : bulk(args[1]));
      assert.equal(await within(redis.echo("next")), "next");
    }
  });
});

describe("what waits for a link", () => {
  test("outlives failed attempts, and is sent in order", async (t) => {
    const { redis, fake } = faked(t, echo);
    let attempts = 0;
    const own = new Redis({
      retryDelay: 1,
      connector: (...args) => {
        if (++attempts < 5) throw new Error("not yet");
        return fake.connector(...args);
      },
    });
    t.after(() => own.destroy());
    const seen = [];
    own.onStateChange((status, cause) => seen.push([status, cause?.cause?.message]));
    const calls = [own.echo("a"), own.incr("b"), own.echo("c")];
    assert.deepEqual(await within(Promise.all(calls)), ["a", "OK", "c"]);
    assert.deepEqual(fake.link.commands.map(([, key]) => key), ["a", "b", "c"]);
    assert.deepEqual(seen, [["connecting", undefined], ["reconnecting", "not yet"], ["ready", undefined]]);
    assert.equal(redis.status, "idle");
  });

  test("of what connect() started: it rejects on the first failed attempt, and a command begins another", async (t) => {
    const { fake } = faked(t, echo);
    let attempts = 0;
    const own = new Redis({
      retryDelay: 20,
      connector: (...args) => {
        if (++attempts < 2) throw new Error("not yet");
        return fake.connector(...args);
      },
    });
    t.after(() => own.destroy());
    const [connected, answer] = [rejection(own.connect()), own.echo("a")];
    assert.ok((await connected) instanceof ConnectionError);
    assert.equal(await within(answer, 1000), "a");
  });

  test("fails after queueTimeout, with the last attempt's error as its cause, and then nothing is tried", async (t) => {
    keepAlive(t);
    let attempts = 0;
    const redis = new Redis({
      queueTimeout: 60,
      retryDelay: 5,
      maxRetryDelay: 10,
      connector: () => {
        attempts++;
        throw new Error("no way");
      },
    });
    t.after(() => redis.destroy());
    const failed = await rejection(redis.incr("a"));
    assert.ok(failed instanceof ConnectionError);
    assert.equal(failed.maybeExecuted, false);
    assert.equal(failed.command, "INCR");
    assert.match(failed.message, /cannot connect to localhost:6379 \(no way\); the command was not sent/);
    assert.ok(failed.cause instanceof ConnectionError);
    assert.equal(failed.cause.cause.message, "no way");
    await until(() => redis.status === "idle");
    const before = attempts;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(attempts, before);
    assert.ok(attempts > 3);
  });

  test("fails after queueTimeout while the first attempt is being made", async (t) => {
    keepAlive(t);
    const redis = new Redis({ queueTimeout: 20, connector: () => new Promise(() => {}) });
    t.after(() => redis.destroy());
    const failed = await rejection(redis.get("a"));
    assert.ok(failed instanceof TimeoutError);
    assert.match(failed.message, /not ready within 20 ms.*queueTimeout/);
  });

  test("fails at once when the password is wrong, and then no attempt is made before maxRetryDelay", async (t) => {
    keepAlive(t);
    const greet = (args) => (args[0] === "HELLO" ? error("WRONGPASS invalid username-password pair") : ok);
    const { redis, fake } = faked(t, echo, { greet, password: "secret", maxRetryDelay: 80 });
    const started = performance.now();
    for (const failed of await Promise.all([rejection(redis.get("a")), rejection(redis.incr("b"))])) assert.ok(failed instanceof AuthenticationError);
    assert.equal(redis.status, "idle");
    assert.ok((await rejection(redis.get("a"))) instanceof AuthenticationError);
    assert.ok(performance.now() - started >= 75);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(fake.links.length, 2, "nothing is tried while nothing waits");
  });
});

test("nobody is held up: a process ends while its client is connecting again, but not while a command waits", async () => {
  const port = await freePort();
  const run = (script) => spawnSync(process.execPath, ["--input-type=module", "--eval", `import { Redis } from "redwire"; ${script}`], { encoding: "utf8", timeout: 10_000, cwd: import.meta.dirname });
  const waits = run(`const redis = new Redis({ host: "127.0.0.1", port: ${port}, queueTimeout: 200 }); await redis.get("a").catch((error) => console.log(error.name, error.maybeExecuted));`);
  assert.equal(waits.stdout, "ConnectionError false\n", waits.stderr);
  const idle = run(`import net from "node:net";
    const server = net.createServer((socket) => { socket.write("+OK\\r\\n"); setTimeout(() => { server.close(); socket.destroy(); console.log("gone"); }, 50); });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const redis = new Redis({ host: "127.0.0.1", port: server.address().port, protocol: 2 });
    redis.connect().catch(() => {});`);
  assert.equal(idle.status, 0, idle.stderr);
  assert.match(idle.stdout, /gone/);
});

test("nobody is held up by a socket that never opens: a process ends meanwhile, but not while a command waits", async (t) => {
  const folder = process.env.REDWIRE_TLS ?? fileURLToPath(new URL("../tls", import.meta.url));
  const [key, cert] = ["server.key", "server.crt"].map((name) => readFileSync(`${folder}/${name}`));
  for (const [last, ends] of [["", "0"], ["redis.get('a').catch(({ name }) => console.log(name))", "ConnectionError"]]) {
    const sockets = [];
    // the first connection is TLS, those behind it are met with silence
    const server = net.createServer((raw) => {
      sockets.push(raw);
      if (sockets.length > 1) return void (child.connected && child.send("silence"));
      const socket = new tls.TLSSocket(raw, { isServer: true, key, cert });
      socket.on("error", () => {});
      socket.on("data", (bytes) => socket.write(bytes.includes("SETINFO") ? "+OK\r\n+OK\r\n+PONG\r\n" : "+PONG\r\n"));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.after(() => (server.close(), sockets.forEach((socket) => socket.destroy())));
    const script = `import { Redis } from "redwire";
      const redis = new Redis({ host: "127.0.0.1", port: ${server.address().port}, protocol: 2, verifyVersion: false, retryDelay: 1, queueTimeout: 3000, connectTimeout: ${last ? 2000 : 60_000}, tls: { dangerouslyAcceptAnyCertificate: true } });
      process.once("message", () => { process.disconnect(); ${last} });
      process.send(await redis.ping());`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit", "ipc"], cwd: import.meta.dirname });
    t.after(() => child.kill("SIGKILL"));
    let said = "";
    child.stdout.on("data", (bytes) => (said += bytes));
    child.once("message", () => sockets[0].destroy());
    const [status] = await within(once(child, "close"), 20_000, "the process");
    assert.ok(sockets.length > 1);
    assert.equal(said.trim() || String(status), ends);
  }
});

for (const server of programs) {
  describe(`${server.name}`, { skip: missing(server) }, () => {
    test("killed in a loop: no error reaches a reader, and no increment is counted twice", async (t) => {
      const running = await startServer(server.program);
      t.after(() => running.stop());
      const options = { host: "127.0.0.1", port: running.port, retryDelay: 5, maxRetryDelay: 20 };
      const [redis, killer] = [new Redis({ ...options, maxResends: 100 }), new Redis(options)];
      t.after(() => redis.destroy());
      t.after(() => killer.destroy());
      await redis.mset({ a: "1", b: "x".repeat(100_000) });
      let stop = false;
      let reads = 0;
      let [done, doubtful] = [0, 0];
      const reader = async (key, length) => {
        for (; !stop; reads++) assert.equal((await redis.get(key)).length, length);
      };
      const writer = async () => {
        while (!stop) {
          try {
            await redis.incr("n");
            done++;
          } catch (error) {
            assert.ok(error instanceof ConnectionError);
            if (error.maybeExecuted) doubtful++;
          }
        }
      };
      const loops = [...Array.from({ length: 16 }, (_, at) => reader(at % 4 ? "a" : "b", at % 4 ? 1 : 100_000)), writer(), writer()];
      let kills = 0;
      for (let at = 0; at < 20; at++) {
        kills += await killer.call("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes");
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      stop = true;
      await within(Promise.all(loops));
      const count = Number(await redis.get("n"));
      assert.ok(count >= done && count <= done + doubtful, `${done} <= ${count} <= ${done + doubtful}`);
      assert.ok(kills >= 10 && reads > 100, `${kills} kills, ${reads} reads`);
    });

    test("restarted: what reads waits for it, and goes on", async (t) => {
      const first = await startServer(server.program);
      t.after(() => first.stop());
      const redis = new Redis({ host: "127.0.0.1", port: first.port, queueTimeout: 10_000 });
      t.after(() => redis.destroy());
      assert.equal(await redis.ping(), "PONG");
      await first.stop();
      await until(() => redis.status === "reconnecting");
      const waiting = [redis.get("k"), redis.incr("n"), redis.multi().incr("n").execute()];
      const again = await startServer(server.program, [], undefined, first.port);
      t.after(() => again.stop());
      assert.deepEqual(await within(Promise.all(waiting), 10_000), [null, 1, [2]]);
    });

    test("an INCR whose reply is lost is executed once, and says that it may have been", async (t) => {
      const running = await startServer(server.program);
      t.after(() => running.stop());
      const net = await import("node:net");
      let lose = false;
      const proxy = net.createServer((front) => {
        const back = net.connect(running.port, "127.0.0.1");
        for (const end of [front, back]) end.on("error", () => {});
        front.pipe(back);
        back.on("data", (bytes) => (lose ? (lose = false, front.destroy(), back.destroy()) : front.write(bytes)));
        front.on("close", () => back.destroy());
        back.on("close", () => front.destroy());
      });
      await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
      t.after(() => proxy.close());
      const redis = new Redis({ host: "127.0.0.1", port: proxy.address().port });
      t.after(() => redis.destroy());
      await redis.ping();
      lose = true;
      const failed = await rejection(redis.incr("n"));
      assert.ok(failed instanceof ConnectionError);
      assert.equal(failed.maybeExecuted, true);
      assert.equal(await redis.get("n"), "1");
      lose = true;
      assert.equal(await redis.get("n"), "1", "a read is asked again");
      lose = true;
      assert.equal(await redis.with({ idempotent: true }).incr("n"), 3, "as is what was said to be idempotent");
    });
  });
}

test("500 clients that lose their server at once do not come back at once", async (t) => {
  keepAlive(t);
  const fake = new Fake(() => ok);
  const came = [];
  const connector = (...args) => {
    came.push(performance.now());
    return fake.connector(...args);
  };
  const window = 1_000;
  const clients = Array.from({ length: 500 }, () => new Redis({ connector, retryDelay: window }));
  t.after(() => clients.forEach((redis) => redis.destroy()));
  await within(Promise.all(clients.map((redis) => redis.connect())));
  const lost = performance.now();
  for (const link of fake.links) link.end();
  await until(() => came.length === 1_000);
  const slots = new Array(10).fill(0);
  for (const at of came.slice(500)) slots[Math.min(9, Math.floor(((at - lost) / window) * 10))]++;
  assert.ok(slots.every((count) => count < 150), `no tenth of the time has more than its share: ${slots}`);
});
