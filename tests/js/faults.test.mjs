// Faults of the network and of real servers, made by a proxy between them and by signals: what each must lead to.
import assert from "node:assert/strict";
import dns from "node:dns";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { AuthenticationError, BusyLoadingError, ConnectionError, Redis, ResponseError, TimeoutError } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { startProxy } from "./support/proxy.mjs";
import { error as reply } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

/** What of every kind of value is asked for, and comes. */
const kinds = async (redis) => {
  await redis.multi().flushall().set("text", "é\u{1f600}x").set("large", "y".repeat(100_000)).hset("hash", { a: 1, __proto: "b" }).rpush("list", ["a", "", "c"]).zadd("zset", { a: 1.5, b: Infinity }).sadd("set", ["m"]).execute();
  const asked = (of) => of.get("text").get("none").get("large").hgetall("hash").lrange("list", 0, -1).zrange("zset", 0, -1, { withscores: true }).smembers("set").strlen("text").incrbyfloat("float", 0.5).del("float").xrange("none", "-", "+");
  return () => asked(redis.pipeline({ transaction: false })).execute();
};

for (const server of programs) {
  describe(`${server.name}`, { skip: missing(server) }, () => {
    let running;
    let aside;
    before(async () => {
      running = await startServer(server.program);
      aside = new Redis({ path: running.path });
    });
    after(async () => {
      aside?.destroy();
      await running?.stop();
    });
    beforeEach(() => aside.flushall());

    /** A proxy in front of the server, and a client behind it. */
    const proxied = async (t, options) => {
      const proxy = await startProxy(t, running.port);
      const redis = new Redis({ host: "127.0.0.1", port: proxy.port, ...options });
      t.after(() => redis.destroy());
      return { proxy, redis };
    };
    /** Does `fault` to the reply to the next command, or to the nth one from now. */
    const toReply = (proxy, fault, nth = 0) => {
      let left = nth;
      proxy.onReply = () => (left-- === 0 ? fault : undefined);
    };

    test("the reply of the nth of many increments is lost: each is executed at most once, and says so", async (t) => {
      for (const then of ["cut", "reset"]) {
        for (const nth of [0, 1, 7, 19]) {
          const { proxy, redis } = await proxied(t);
          await redis.ping();
          await aside.flushall();
          toReply(proxy, { drop: true, then }, nth);
          const outcomes = await within(Promise.allSettled(Array.from({ length: 20 }, (_, at) => redis.incr(`n${at}`))));
          for (const [at, { status, value, reason }] of outcomes.entries()) {
            assert.equal(await aside.get(`n${at}`), "1", "executed once");
            // a reset may also take what came before it
            if (status === "fulfilled") assert.ok(value === 1 && at < nth && (at === 0 || outcomes[at - 1].status === "fulfilled"));
            else {
              assert.ok(reason instanceof ConnectionError, `${reason}`);
              assert.deepEqual([reason.maybeExecuted, reason.command], [true, "INCR"]);
            }
          }
          assert.equal(await redis.incr("n0"), 2, "it goes on");
        }
      }
    });

    test("the reply of the nth of many reads is lost: all are answered", async (t) => {
      const { proxy, redis } = await proxied(t);
      await redis.mset(Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`k${at}`, `${at}`])));
      for (const nth of [0, 1, 7, 19]) {
        toReply(proxy, { drop: true, then: "cut" }, nth);
        const values = await within(Promise.all(Array.from({ length: 20 }, (_, at) => redis.get(`k${at}`))));
        assert.deepEqual(values, Array.from({ length: 20 }, (_, at) => `${at}`));
      }
    });

    test("reset in the middle of a reply: what was whole is delivered, what was not never in part", async (t) => {
      await aside.set("k", "abcdefgh");
      for (let only = 0; only <= 14; only++) {
        const { proxy, redis } = await proxied(t, { maxResends: 0 });
        await redis.ping();
        toReply(proxy, { only, then: only % 2 ? "cut" : "reset" }, 1);
        const [first, second, third] = await within(Promise.allSettled([redis.get("k"), redis.get("k"), redis.get("k")]));
        assert.equal(first.value, "abcdefgh");
        if (second.status === "fulfilled") assert.deepEqual([second.value, only], ["abcdefgh", 14]);
        for (const { reason } of [second, third].filter(({ status }) => status === "rejected")) {
          assert.ok(reason instanceof ConnectionError);
          assert.equal(reason.maybeExecuted, true);
        }
        assert.equal(third.status, "rejected");
      }
    });

    test("one byte at a time, both ways: everything comes as if it came at once", async (t) => {
      for (const protocol of [2, 3]) {
        const { proxy, redis } = await proxied(t, { protocol });
        const direct = await (await kinds(aside))();
        proxy.split = 1;
        const patient = redis.with({ timeout: 0 });
        await patient.set("k", "z".repeat(3_000));
        assert.equal((await patient.get("k")).length, 3_000);
        proxy.split = 7;
        assert.deepEqual(await (await kinds(patient))(), direct);
      }
    });

    test("killed with SIGKILL and started again: readers see nothing of it, increments say what they know", async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "redwire-faults-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const durable = ["--appendonly", "yes", "--appendfsync", "always", "--dir", folder];
      let own = await startServer(server.program, durable);
      t.after(() => own.stop());
      const { port } = own;
      const redis = new Redis({ host: "127.0.0.1", port, queueTimeout: 20_000, maxResends: 100, timeout: 20_000 });
      t.after(() => redis.destroy());
      await redis.set("k", "v");
      let [stop, reads, done, doubtful] = [false, 0, 0, 0];
      const read = async () => {
        for (; !stop; reads++) assert.equal(await redis.get("k"), "v");
      };
      const count = async () => {
        while (!stop) {
          try {
            await redis.incr("n");
            done++;
          } catch (error) {
            assert.ok(error instanceof ConnectionError);
            doubtful += Number(error.maybeExecuted);
          }
        }
      };
      const loops = [read(), read(), count(), count()];
      for (let restart = 0; restart < 3; restart++) {
        const before = done;
        await until(() => done > before + 20);
        process.kill(own.pid, "SIGKILL");
        await own.stop();
        own = await startServer(server.program, durable, undefined, port);
      }
      stop = true;
      await within(Promise.all(loops), 20_000);
      const counted = Number(await redis.get("n"));
      assert.ok(counted >= done && counted <= done + doubtful, `${done} <= ${counted} <= ${done + doubtful}`);
      assert.ok(reads > 20 && done > 60);
    });

    test("CLIENT KILL of its own link: it goes on by another one", async (t) => {
      const { redis } = await proxied(t);
      const id = await redis.call("CLIENT ID");
      const [, ...rest] = await within(Promise.allSettled([aside.call("CLIENT KILL", "ID", id), redis.get("k"), redis.get("k")]));
      assert.deepEqual(rest.map(({ value }) => value), [null, null]);
      assert.notEqual(await redis.call("CLIENT ID"), id);
    });

    test("CLIENT KILL of itself within a pipeline: what was answered is known, nothing is executed twice", async (t) => {
      const { redis } = await proxied(t);
      const id = await redis.call("CLIENT ID");
      const kill = ["CLIENT KILL", "ID", id, "SKIPME", "no"];
      const [first, killed, second, read] = await within(Promise.allSettled([redis.incr("n"), redis.call(...kill), redis.incr("n"), redis.get("k")]));
      assert.deepEqual(read, { status: "fulfilled", value: null }, "a read is asked again");
      assert.equal(second.status, "rejected");
      // the server leaves what it has not read, so a reset may take what it had answered
      for (const { value, reason } of [first, killed, second].filter(({ value }) => value !== 1)) {
        assert.ok(reason instanceof ConnectionError, `${value} ${reason}`);
        assert.equal(reason.maybeExecuted, true);
      }
      assert.equal(await aside.get("n"), "1");
      kill[2] = await redis.call("CLIENT ID");
      assert.notEqual(kill[2], id);
      const error = await rejection(redis.pipeline({ transaction: false }).incr("n").call(...kill).incr("n").execute());
      assert.ok(error instanceof ConnectionError, `${error}`);
      assert.equal(error.maybeExecuted, true);
      assert.equal(await aside.get("n"), "2");
    });

    test("ACL DELUSER: the link is cut without a word, and what comes next says why", async (t) => {
      keepAlive(t);
      await aside.call("ACL SETUSER", "ann", "on", ">secret", "~*", "+@all");
      const { proxy, redis } = await proxied(t, { username: "ann", password: "secret", maxRetryDelay: 50 });
      await redis.ping();
      toReply(proxy, { drop: true });
      const flying = rejection(redis.incr("n"));
      await until(() => aside.get("n"));
      await aside.call("ACL DELUSER", "ann");
      const lost = await within(flying);
      assert.ok(lost instanceof ConnectionError && !(lost instanceof AuthenticationError), `${lost}`);
      assert.equal(lost.maybeExecuted, true);
      const refused = await rejection(redis.incr("n"));
      assert.ok(refused instanceof AuthenticationError, `${refused}`);
      assert.deepEqual([refused.code, refused.maybeExecuted], ["WRONGPASS", false]);
      await aside.call("ACL SETUSER", "ann", "on", ">secret", "~*", "+@all");
      assert.equal(await within(redis.incr("n")), 2);
    });

    test("UNBLOCKED: by an operator it is the caller's error, by a change of role too, and others go on", async (t) => {
      const own = await startServer(server.program);
      t.after(() => own.stop());
      const [redis, operator] = [new Redis({ port: own.port }), new Redis({ path: own.path })];
      t.after(() => [redis, operator].forEach((client) => client.destroy()));
      const blocked = () => until(async () => (await operator.clientList()).find(({ cmd, flags }) => cmd === "blpop" && String(flags).includes("b")));
      for (const [kind, unblock] of [
        ["by an operator", async ({ id }) => operator.call("CLIENT UNBLOCK", id, "ERROR")],
        ["by a change of role", () => operator.call("REPLICAOF", "127.0.0.1", 1)],
      ]) {
        const waiting = rejection(redis.blpop(["none"], 0));
        await unblock(await blocked());
        const error = await within(waiting);
        assert.equal(error.code, "UNBLOCKED", `${kind}: ${error}`);
        assert.ok(error instanceof ResponseError);
      }
      // the server hangs up behind its last answer
      await until(async () => !(await operator.clientList()).some(({ cmd }) => cmd === "blpop"));
      await redis.ping();
      await operator.call("REPLICAOF", "NO", "ONE");
      const next = redis.blpop(["some"], 0);
      await operator.rpush("some", "x");
      assert.deepEqual(await within(next), ["some", "x"]);
    });

    test("500 clients of a server with room for fifty: each comes to its turn", async (t) => {
      keepAlive(t);
      const own = await startServer(server.program, ["--maxclients", 50]);
      t.after(() => own.stop());
      const clients = Array.from({ length: 500 }, () => new Redis({ host: "127.0.0.1", port: own.port, queueTimeout: 60_000, connectTimeout: 20_000, timeout: 20_000, maxRetryDelay: 500 }));
      t.after(() => clients.forEach((redis) => redis.destroy()));
      const counts = await within(Promise.all(clients.map(async (redis) => {
        const count = await redis.incr("n");
        await redis.close();
        return count;
      })), 60_000);
      assert.deepEqual(counts.sort((a, b) => a - b), Array.from({ length: 500 }, (_, at) => at + 1));
    });

    test("CLIENT PAUSE: what takes too long says that it may be executed, and nothing is mistaken for its reply", async (t) => {
      keepAlive(t);
      const { redis } = await proxied(t, { timeout: 150 });
      await redis.set("k", "v");
      await aside.call("CLIENT PAUSE", 600, "ALL");
      const late = await Promise.all([rejection(redis.incr("n")), rejection(redis.get("k"))]);
      for (const error of late) {
        assert.ok(error instanceof TimeoutError, `${error}`);
        assert.equal(error.maybeExecuted, true);
      }
      const patient = redis.with({ timeout: 5_000 });
      assert.deepEqual(await within(Promise.all([patient.incr("n"), patient.get("k"), patient.echo("x")])), [2, "v", "x"]);
      assert.equal(redis.status, "ready");
    });

    test("SIGSTOP: the link is given up when nothing is heard, and after SIGCONT all goes on", async (t) => {
      keepAlive(t);
      const own = await startServer(server.program);
      t.after(() => own.stop());
      const redis = new Redis({ host: "127.0.0.1", port: own.port, keepAlive: 100, connectTimeout: 200, queueTimeout: 20_000, timeout: 0 });
      t.after(() => redis.destroy());
      await redis.set("k", "v");
      process.kill(own.pid, "SIGSTOP");
      try {
        const lost = rejection(redis.incr("n"));
        const read = redis.get("k");
        const error = await within(lost);
        assert.ok(error instanceof ConnectionError);
        assert.equal(error.maybeExecuted, true);
        assert.match(error.message, /answers nothing any more/);
        process.kill(own.pid, "SIGCONT");
        assert.equal(await within(read), "v");
        assert.ok((await redis.incr("n")) <= 2);
      } finally {
        process.kill(own.pid, "SIGCONT");
      }
    });

    test("a half-open link, where everything is swallowed: found out by keepAlive", async (t) => {
      keepAlive(t);
      const { proxy, redis } = await proxied(t, { keepAlive: 100 });
      await redis.set("k", "v");
      proxy.links[0].blackhole = true;
      const [read, lost] = [redis.get("k"), rejection(redis.incr("n"))];
      assert.equal(await within(read), "v", "a read is asked again on another link");
      assert.equal((await within(lost)).maybeExecuted, true);
      assert.equal(proxy.links.length, 2);
    });

    test("the server's limit of clients: said as it is, and over when others leave", async (t) => {
      keepAlive(t);
      await aside.configSet([["maxclients", "2"]]);
      t.after(() => aside.configSet([["maxclients", "1000"]]));
      const [one, two] = [0, 1].map(() => new Redis({ host: "127.0.0.1", port: running.port, queueTimeout: 300, maxRetryDelay: 50 }));
      t.after(() => [one, two].forEach((redis) => redis.destroy()));
      await one.ping();
      const error = await rejection(two.incr("n"));
      assert.ok(error instanceof ConnectionError);
      assert.match(error.message, /maximum number of clients.*not sent.*'maxclients'/);
      assert.equal(error.maybeExecuted, false);
      const waiting = two.with({ timeout: 5_000 }).incr("n");
      one.destroy();
      assert.equal(await within(waiting), 1);
    });

    test("cut for too much unread output: the reads fail in the end, and the client goes on", async (t) => {
      await aside.configSet([["client-output-buffer-limit", "normal 1000000 0 0"]]);
      t.after(() => aside.configSet([["client-output-buffer-limit", "normal 0 0 0"]]));
      const own = new Redis({ path: running.path, maxResends: 2, retryDelay: 1 });
      t.after(() => own.destroy());
      await own.rpush("large", Array.from({ length: 10_000 }, () => "x".repeat(90)));
      await own.set("k", "v");
      const outcomes = await within(Promise.allSettled(Array.from({ length: 40 }, () => own.lrange("large", 0, -1))), 20_000);
      const failed = outcomes.filter(({ status }) => status === "rejected");
      assert.ok(failed.length > 0, "the server cut the link");
      for (const { reason } of failed) {
        assert.ok(reason instanceof ConnectionError);
        assert.equal(reason.maybeExecuted, true);
      }
      for (const { value } of outcomes.filter(({ status }) => status === "fulfilled")) assert.equal(value.length, 10_000);
      assert.equal(await within(own.get("k")), "v");
    });

    test("a name that leads to another server now: it is looked up at each attempt", async (t) => {
      const other = await startServer(server.program);
      t.after(() => other.stop());
      const [one, two] = [await startProxy(t, running.port), await startProxy(t, other.port)];
      const { lookup } = dns;
      t.after(() => (dns.lookup = lookup));
      let looked = 0;
      // both listen on one port, so that only the address tells them apart
      dns.lookup = (host, options, callback) => {
        assert.equal(host, "redis.example");
        looked++;
        lookup("127.0.0.1", options, callback);
      };
      const redis = new Redis({ host: "redis.example", port: one.port });
      t.after(() => redis.destroy());
      await redis.set("where", "first");
      one.target = two.target;
      one.links[0].cut();
      assert.equal(await within(redis.get("where")), null, "the other server knows nothing");
      assert.equal(looked, 2);
    });

    /** Has names looked up by `answer(attempt)`, which gives addresses, or throws. */
    const looksUp = (t, answer) => {
      const { lookup } = dns;
      t.after(() => (dns.lookup = lookup));
      let attempts = 0;
      dns.lookup = (_, options, callback) => {
        try {
          const found = answer(attempts++).map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
          process.nextTick(() => (options.all ? callback(null, found) : callback(null, found[0].address, found[0].family)));
        } catch (error) {
          process.nextTick(() => callback(error));
        }
      };
      return () => attempts;
    };

    test("a name with several addresses: all are tried before the attempt fails", async (t) => {
      const attempts = looksUp(t, () => ["::1", "127.0.0.2", "127.0.0.1"]);
      const redis = new Redis({ host: "redis.example", port: running.port });
      t.after(() => redis.destroy());
      await within(redis.connect());
      assert.equal(attempts(), 1);
    });

    test("a look-up that failed is made again", async (t) => {
      keepAlive(t);
      const attempts = looksUp(t, (attempt) => {
        if (attempt === 0) throw Object.assign(new Error("getaddrinfo EAI_AGAIN redis.example"), { code: "EAI_AGAIN" });
        return ["127.0.0.1"];
      });
      const redis = new Redis({ host: "redis.example", port: running.port });
      t.after(() => redis.destroy());
      const waiting = redis.ping();
      assert.match((await rejection(redis.connect())).message, /EAI_AGAIN.*check the host's name/);
      assert.equal(await within(waiting), "PONG");
      assert.equal(attempts(), 2);
    });

    test("made a replica: the write is sent again to whoever has the name now, and nobody notices", async (t) => {
      const [old, fresh] = [await startServer(server.program), await startServer(server.program)];
      for (const own of [old, fresh]) t.after(() => own.stop());
      const proxy = await startProxy(t, old.port);
      const redis = new Redis({ host: "127.0.0.1", port: proxy.port });
      t.after(() => redis.destroy());
      await redis.incr("n");
      const operator = new Redis({ path: old.path });
      t.after(() => operator.destroy());
      await operator.call("REPLICAOF", "127.0.0.1", fresh.port);
      proxy.target = fresh.port;
      assert.equal(await within(redis.incr("n")), 1, "executed by the new one");
      assert.equal(proxy.links.length, 2);
    });

    test("made a replica while a command blocks: that took nothing, and the next one asks whoever has the name now", async (t) => {
      const [old, fresh] = [await startServer(server.program), await startServer(server.program)];
      for (const own of [old, fresh]) t.after(() => own.stop());
      const proxy = await startProxy(t, old.port);
      const redis = new Redis({ host: "127.0.0.1", port: proxy.port });
      const [operator, other] = [old, fresh].map(({ path }) => new Redis({ path }));
      for (const one of [redis, operator, other]) t.after(() => one.destroy());
      const blocked = rejection(redis.blpop(["q"], 0));
      await until(async () => (await operator.clientList()).some(({ cmd }) => cmd === "blpop"), "it blocks");
      proxy.target = fresh.port;
      await operator.call("REPLICAOF", "127.0.0.1", fresh.port);
      const error = await blocked;
      assert.ok(error instanceof ResponseError, `${error}`);
      assert.deepEqual([error.code, error.maybeExecuted], ["UNBLOCKED", false]);
      await other.rpush("q", ["a"]);
      assert.deepEqual(await within(redis.blpop(["q"], 0)), ["q", "a"]);
    });

    test("made a replica under a lease: the caller is told, and the lease is over", async (t) => {
      const [old, fresh] = [await startServer(server.program), await startServer(server.program)];
      for (const own of [old, fresh]) t.after(() => own.stop());
      const redis = new Redis({ host: "127.0.0.1", port: old.port });
      const operator = new Redis({ path: old.path });
      for (const one of [redis, operator]) t.after(() => one.destroy());
      const lease = await redis.lease();
      await lease.incr("n");
      await operator.call("REPLICAOF", "127.0.0.1", fresh.port);
      const error = await rejection(lease.incr("n"));
      assert.deepEqual([error.code, error.maybeExecuted], ["READONLY", false]);
      assert.equal((await rejection(lease.get("n"))).name, "LeaseError");
      await lease.release();
    });

    test("loading its data: what is asked waits for it", async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "redwire-faults-"));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const first = await startServer(server.program, ["--dir", folder]);
      t.after(() => first.stop());
      const writer = new Redis({ path: first.path });
      t.after(() => writer.destroy());
      for (let at = 0; at < 3_000; at += 500) await writer.mset(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${at + index}`, "v".repeat(100)])));
      await writer.save();
      writer.destroy();
      const { port } = first;
      await first.stop();
      const slow = ["--dir", folder, "--key-load-delay", 400, "--loading-process-events-interval-bytes", 1024];
      const starting = startServer(server.program, slow, undefined, port);
      const [patient, hasty] = [{ queueTimeout: 20_000, timeout: 20_000 }, { queueTimeout: 300 }].map((options) => new Redis({ host: "127.0.0.1", port, maxRetryDelay: 100, ...options }));
      t.after(() => [patient, hasty].forEach((redis) => redis.destroy()));
      const waiting = [patient.get("k7"), patient.incr("n"), patient.multi().get("k8").execute()];
      const error = await until(async () => {
        const error = await rejection(hasty.incr("n"), 10_000);
        return error instanceof BusyLoadingError && error;
      }, "it is loading", 10_000);
      assert.equal(error.maybeExecuted, false);
      assert.deepEqual([patient, hasty].map(({ status }) => status === "ready"), [false, false]);
      // not even INFO, which a server answers while it is loading, is sent before
      const persistence = await within(patient.with({ raw: true }).call("INFO", "persistence"), 20_000);
      assert.match(persistence, /^loading:0/m);
      const value = "v".repeat(100);
      assert.deepEqual(await within(Promise.all(waiting), 20_000), [value, 1, [value]]);
      const own = await starting;
      t.after(() => own.stop());
    });

    test("forgotten who it is, by a proxy's restart say: it says so once more, and what was refused is sent again", async (t) => {
      await aside.call("ACL SETUSER", "ann", "on", ">secret", "~*", "+@all");
      const { proxy, redis } = await proxied(t, { username: "ann", password: "secret" });
      await redis.ping();
      toReply(proxy, { replace: reply("NOAUTH Authentication required.") });
      assert.equal(await within(redis.get("k")), null);
      assert.equal(proxy.links.length, 2);
    });

    test("a wrong password settles what waits, and the server is not asked in a hurry", async (t) => {
      keepAlive(t);
      await aside.call("ACL SETUSER", "ann", "on", ">secret", "~*", "+@all");
      const proxy = await startProxy(t, running.port);
      const redis = new Redis({ host: "127.0.0.1", port: proxy.port, username: "ann", password: "wrong", maxRetryDelay: 300 });
      t.after(() => redis.destroy());
      const started = performance.now();
      for (let round = 0; round < 3; round++) {
        for (const error of await within(Promise.all([rejection(redis.get("k")), rejection(redis.incr("n"))]))) {
          assert.equal(error.code, "WRONGPASS");
          assert.equal(error.maybeExecuted, false);
        }
      }
      assert.ok(performance.now() - started >= 595, "attempts are maxRetryDelay apart");
      assert.equal(proxy.links.length, 3);
    });

    test("a transaction is executed once or says that it may have been, wherever it is cut", async (t) => {
      for (let nth = 0; nth < 4; nth++) {
        for (const fault of [{ drop: true, then: "cut" }, { then: "reset" }]) {
          const { proxy, redis } = await proxied(t);
          await redis.ping();
          await aside.flushall();
          toReply(proxy, fault, nth);
          const error = await rejection(redis.multi().incr("a").incr("b").execute()).catch(() => undefined);
          assert.deepEqual(await aside.mget("a", "b"), ["1", "1"], "both or none, and once");
          if (error !== undefined) assert.deepEqual([error instanceof ConnectionError, error.maybeExecuted], [true, true]);
          assert.equal(error === undefined, nth === 3 && fault.drop === undefined, `reply ${nth}`);
        }
      }
    });

    test("an error of the server's is no fault: the link goes on", async (t) => {
      const { proxy, redis } = await proxied(t);
      await redis.set("k", "v");
      assert.ok((await rejection(redis.incr("k"))) instanceof ResponseError);
      assert.equal(await redis.get("k"), "v");
      assert.equal(proxy.links.length, 1);
    });
  });
}
