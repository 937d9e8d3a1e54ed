import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConnectionError, Pool, Redis } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { array, bulk, ok, queued } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

const echo = (args) => (args[0] === "ECHO" ? bulk(args[1]) : ok);

describe("status and onStateChange", () => {
  test("tell the way of a connection, from first use to the end", async (t) => {
    const { redis, fake } = faked(t, echo);
    const seen = [];
    redis.onStateChange((status, cause) => {
      assert.equal(redis.status, status);
      seen.push([status, cause?.constructor]);
    });
    assert.equal(redis.status, "idle");
    await redis.echo("a");
    assert.equal(redis.status, "ready");
    fake.link.end();
    await until(() => redis.status === "reconnecting");
    await redis.echo("b");
    await redis.close();
    assert.deepEqual(seen, [["connecting", undefined], ["ready", undefined], ["reconnecting", ConnectionError], ["ready", undefined], ["closed", undefined]]);
  });

  test("a stopped listener hears nothing more, the others do", async (t) => {
    const { redis } = faked(t, echo);
    const [one, two] = [[], []];
    const stop = redis.onStateChange((status) => {
      one.push(status);
      stop();
    });
    redis.onStateChange((status) => two.push(status));
    await redis.connect();
    assert.deepEqual([one, two], [["connecting"], ["connecting", "ready"]]);
  });

  test("are heard in order by all, though one of them ends the client", async (t) => {
    for (const end of ["close", "destroy"]) {
      const { redis } = faked(t, echo);
      const seen = [];
      redis.onStateChange((status) => void (status === "ready" && redis[end]()));
      redis.onStateChange((status) => seen.push(status));
      await redis.connect().catch(() => {});
      await until(() => redis.status === "closed");
      assert.deepEqual(seen, ["connecting", "ready", "closed"]);
    }
    const { redis } = faked(t, () => undefined);
    const seen = [];
    redis.onStateChange((status) => status === "closing" && redis.destroy());
    redis.onStateChange((status) => seen.push(status));
    const flying = rejection(redis.get("k"));
    await redis.close();
    await flying;
    assert.deepEqual(seen.slice(-2), ["closing", "closed"]);
  });

  test("a listener that throws or rejects is its own affair", async (t) => {
    const { redis } = faked(t, echo);
    redis.onStateChange(async () => Promise.reject(new Error("mine")));
    redis.onStateChange(() => {
      throw new Error("mine");
    });
    assert.equal(await redis.echo("a"), "a");
    // unhandled, it would end this process
    await new Promise(setImmediate);
  });

  test("of a client of a pool end with it", async (t) => {
    const { fake } = faked(t, echo);
    const pool = new Pool({ connector: fake.connector });
    t.after(() => pool.destroy());
    const [one, other] = [new Redis({ pool }), new Redis({ pool })];
    const [seen, rest] = [[], []];
    one.onStateChange((status) => {
      assert.equal(one.status, status);
      seen.push(status);
    });
    other.onStateChange((status) => rest.push(status));
    await one.echo("a");
    await one.close();
    fake.link.end();
    await until(() => rest.includes("reconnecting"));
    assert.deepEqual(seen, ["connecting", "ready", "closed"]);
    await pool.close();
    assert.equal(rest.at(-1), "closed");
  });

  test("only functions listen", (t) => {
    const { redis } = faked(t, echo);
    for (const listener of [undefined, null, {}, "x"]) assert.throws(() => redis.onStateChange(listener), /TypeError: onStateChange: parameter 'listener'/);
  });
});

describe("connect and ready", () => {
  test("connect once, whoever asks", async (t) => {
    const { redis, fake } = faked(t, echo);
    await Promise.all([redis.connect(), redis.ready, redis.connect(), redis.echo("a")]);
    await redis.connect();
    await redis.ready;
    assert.equal(fake.links.length, 1);
  });

  test("connect rejects on the first failed attempt, and the next one may succeed", async (t) => {
    let failing = true;
    const { redis, fake } = faked(t, echo);
    const own = new Redis({
      connector: (...args) => {
        if (failing) throw new Error("no way");
        return fake.connector(...args);
      },
    });
    t.after(() => own.destroy());
    for (const attempt of [own.connect(), own.ready]) assert.ok((await rejection(attempt)) instanceof ConnectionError);
    failing = false;
    await within(own.connect());
    assert.equal(own.status, "ready");
    assert.equal(redis.status, "idle");
  });

  test("a ready that nobody looks at is no unhandled rejection", async () => {
    const redis = new Redis({
      connector: () => {
        throw new Error("no way");
      },
    });
    void redis.ready;
    await new Promise(setImmediate);
    redis.destroy();
  });
});

describe("close", () => {
  test("waits for what is in flight, and takes nothing more", async (t) => {
    const { redis, fake } = faked(t, () => undefined);
    const waiting = Promise.all([redis.echo("a"), redis.pipeline({ transaction: false }).echo("b").execute()]);
    await until(() => fake.commands.length === 2);
    const closed = redis.close();
    assert.equal(redis.status, "closing");
    for (const late of [redis.echo("late"), redis.multi().echo("late").execute(), redis.connect(), redis.ready, redis.with({ raw: true }).get("k")]) {
      const error = await rejection(late);
      assert.ok(error instanceof ConnectionError);
      assert.match(error.message, /closed/);
    }
    assert.equal((await rejection(redis.get("k"))).maybeExecuted, false);
    assert.equal((await rejection(redis.get("k"))).command, "GET");
    fake.link.send(Buffer.concat([bulk("a"), bulk("b")]));
    assert.deepEqual(await within(waiting), ["a", ["b"]]);
    await within(closed);
    assert.equal(redis.status, "closed");
    assert.equal(fake.link.closed, true);
  });

  test("waits for commands of this tick, and for a connection that is being made", async (t) => {
    const { redis } = faked(t, (args) => (args[0] === "MULTI" ? ok : args[0] === "EXEC" ? array([ok]) : args[0] === "SET" ? queued : echo(args)));
    const waiting = Promise.all([redis.echo("a"), redis.multi().set("k", "v").execute()]);
    await within(redis.close());
    assert.deepEqual(await within(waiting), ["a", [true]]);
  });

  test("waits no longer than timeout, and says that what was written may have been executed", async (t) => {
    keepAlive(t);
    const { redis, fake } = faked(t, () => undefined);
    const waiting = rejection(redis.echo("a"));
    await until(() => fake.commands.length === 1);
    await within(redis.close({ timeout: 20 }));
    const error = await waiting;
    assert.ok(error instanceof ConnectionError);
    assert.equal(error.maybeExecuted, true);
    assert.equal(error.command, "ECHO");
  });

  test("twice, idle, after destroy and by disposal: all of them resolve", async (t) => {
    const { redis, fake } = faked(t, () => undefined);
    const waiting = redis.echo("a");
    await until(() => fake.commands.length === 1);
    const closes = [redis.close(), redis.close(), redis[Symbol.asyncDispose]()];
    fake.link.send(bulk("a"));
    await within(Promise.all([waiting, ...closes]));
    await within(redis.close());
    redis.destroy();
    await within(redis.close());
    const idle = new Redis();
    await within(idle.close());
    assert.equal(idle.status, "closed");
  });

  test("ends when what was in flight is given up, dropped or timed out", async (t) => {
    keepAlive(t);
    const ends = {
      abort: (fake, controller) => controller.abort(new Error("enough")),
      drop: (fake) => fake.link.end(),
      "time-out": () => {},
      garbage: (fake) => fake.link.send(Buffer.from("garbage\r\n")),
    };
    for (const [title, end] of Object.entries(ends)) {
      const { redis, fake } = faked(t, () => undefined);
      const controller = new AbortController();
      const waiting = rejection(redis.with({ signal: controller.signal, timeout: title === "time-out" ? 20 : 5000 }).echo("a"));
      await until(() => fake.commands.length === 1);
      const closed = redis.close();
      end(fake, controller);
      await within(closed, 2000, `close after ${title}`);
      await within(waiting);
      assert.equal(redis.status, "closed");
    }
  });

  test("takes any time from 0 on, whoever's client it is", async (t) => {
    keepAlive(t);
    const makes = [
      () => faked(t, (args) => (args[0] === "GET" ? undefined : ok)).redis,
      () => new Redis({ pool: new Pool({ connector: faked(t, (args) => (args[0] === "GET" ? undefined : ok)).fake.connector }) }),
    ];
    for (const make of makes) {
      for (const timeout of [-1, NaN, "5", null]) {
        const redis = make();
        assert.match((await rejection(redis.close({ timeout }))).message, /^close: option 'timeout' expected milliseconds, a number from 0, got/);
        assert.equal(redis.status, "idle", "it is open");
        redis.destroy();
      }
      for (const timeout of [0, 0.5, 20]) {
        const redis = make();
        redis.get("k").catch(() => {});
        await within(redis.connect());
        await within(redis.close({ timeout }), 1000);
        assert.equal(redis.status, "closed");
      }
      const redis = make();
      await within(redis.close({ timeout: Infinity }));
      assert.equal(redis.status, "closed");
    }
    assert.match((await rejection(new Pool().close({ timeout: -1 }))).message, /^close: option 'timeout'/);
  });

  test("waits for no other connection, nor for the time of the next attempt", async (t) => {
    const redis = new Redis({
      connector: () => {
        throw new Error("no way");
      },
      retryDelay: 100_000,
      queueTimeout: 0,
    });
    t.after(() => redis.destroy());
    const waiting = rejection(redis.get("k"));
    await until(() => redis.status === "reconnecting");
    await within(redis.close(), 1000);
    assert.match((await waiting).message, /closed/);
    assert.equal(redis.status, "closed");
  });

  test("of a view closes the client", async (t) => {
    const { redis } = faked(t, echo);
    await redis.with({ decodeResponses: false }).close();
    assert.equal(redis.status, "closed");
  });
});

describe("destroy", () => {
  test("rejects everything, in flight, unsent or in a pipeline, and settles it once", async (t) => {
    for (const when of ["this tick", "connecting", "in flight"]) {
      const { redis, fake } = faked(t, () => undefined, when === "connecting" ? { greet: () => undefined } : {});
      const calls = [redis.echo("a"), redis.multi().echo("b").execute(), redis.pipeline({ transaction: false }).echo("c").echo("d").execute(), redis.mset({ k: Buffer.alloc(100_000) })].map((call) => rejection(call));
      if (when === "connecting") await until(() => redis.status === "connecting");
      if (when === "in flight") await until(() => fake.commands.length >= 6);
      redis.destroy();
      assert.equal(redis.status, "closed");
      for (const error of await Promise.all(calls)) {
        assert.ok(error instanceof ConnectionError, `${error}`);
        assert.equal(error.maybeExecuted, when === "in flight");
      }
    }
  });

  test("inside a listener, at every status, settles everything", async (t) => {
    for (const at of ["connecting", "ready", "reconnecting"]) {
      const { redis, fake } = faked(t, (args) => (args[0] === "EXEC" ? array([bulk("b")]) : echo(args)));
      redis.onStateChange((status) => status === at && redis.destroy());
      const calls = [redis.echo("a"), redis.connect(), redis.multi().echo("b").execute()];
      if (at === "reconnecting") {
        await Promise.allSettled(calls.slice(0, 2));
        fake.answer = () => undefined;
        calls.push(redis.echo("c"));
        await until(() => fake.commands.some((args) => args[1] === "c"));
        fake.link.end();
      }
      await within(Promise.allSettled(calls), 2000, `calls when destroyed at ${at}`);
      assert.equal(redis.status, "closed");
    }
  });
});

describe("a link that is lost", () => {
  for (const protocol of [2, 3]) {
    test(`rejects what may have been executed, once and with what is known, and is opened again, protocol ${protocol}`, async (t) => {
      const { redis, fake } = faked(t, () => undefined, { protocol });
      const calls = [redis.incr("a"), redis.multi().echo("b").execute(), redis.pipeline({ transaction: false }).incr("c").execute()].map((call) => rejection(call));
      await until(() => fake.commands.length === 5);
      fake.link.end(new Error("gone"));
      const errors = await Promise.all(calls);
      for (const error of errors) {
        assert.ok(error instanceof ConnectionError);
        assert.equal(error.maybeExecuted, true);
        assert.equal(error.cause.message, "gone");
        assert.match(error.message, /localhost:6379/);
      }
      assert.deepEqual(errors.map((error) => error.command), ["INCR", "EXEC", "INCR"]);
      fake.answer = echo;
      assert.equal(await within(redis.echo("again")), "again");
      assert.equal(fake.links.length, 2);
    });
  }

  test("never sends a command twice", async (t) => {
    const { redis, fake } = faked(t, () => undefined);
    const calls = Array.from({ length: 20 }, (_, index) => rejection(redis.incr(`key ${index}`)));
    await until(() => fake.commands.length === 20);
    fake.link.end();
    await Promise.all(calls);
    fake.answer = echo;
    await redis.echo("again");
    assert.deepEqual(fake.links[1].commands, [["ECHO", "again"]]);
  });
});

for (const server of programs) {
  describe(`clients of ${server.name} in one process`, { skip: missing(server) }, () => {
    let running;
    before(async () => (running = await startServer(server.program)));
    after(() => running?.stop());

    test("are independent: one that is killed or destroyed disturbs no other", async () => {
      const clients = Array.from({ length: 10 }, (_, index) => new Redis({ path: running.path, db: index, clientName: `client-${index}` }));
      await Promise.all(clients.map((client, index) => client.set("k", `${index}`)));
      const ids = await Promise.all(clients.map((client) => client.call("CLIENT ID")));
      assert.equal(new Set(ids).size, 10);
      const seen = [];
      clients[1].onStateChange((status) => seen.push(status));
      await clients[0].call("CLIENT KILL", "ID", ids[1]);
      clients[2].destroy();
      await until(() => seen.join() === "reconnecting,ready");
      const rest = clients.filter((_, index) => index !== 2);
      assert.deepEqual(await Promise.all(rest.map((client) => client.get("k"))), ["0", "1", "3", "4", "5", "6", "7", "8", "9"]);
      await Promise.all(rest.map((client) => client.close()));
    });

    test("a server that goes away and comes back is found again", async (t) => {
      const own = await startServer(server.program);
      t.after(() => own.stop());
      const redis = new Redis({ host: "127.0.0.1", port: own.port, queueTimeout: 300, maxRetryDelay: 50 });
      t.after(() => redis.destroy());
      await redis.ping();
      const blocked = rejection(redis.call("BLPOP", "none", 0));
      await until(async () => (await redis.clientList()).some(({ cmd }) => cmd === "blpop"), "the server blocks");
      await own.stop();
      const error = await blocked;
      assert.ok(error instanceof ConnectionError);
      assert.equal(error.maybeExecuted, true);
      await until(() => redis.status !== "ready", "the shared connection is lost too");
      const refused = await rejection(redis.ping());
      assert.ok(refused instanceof ConnectionError);
      assert.equal(refused.maybeExecuted, false);
      const again = await startServer(server.program, [], undefined, own.port);
      t.after(() => again.stop());
      assert.equal(await redis.ping(), "PONG");
    });
  });
}
