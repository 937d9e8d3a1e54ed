// Credentials that a function gives: for each connection, and again before they expire.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { AuthenticationError, ConnectionError, Redis } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { Fake, handshake } from "./support/fake.mjs";
import { bulk, error as reply, ok } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

/** A server in this process that takes the passwords in `known`, and notes what it was told. */
const guarded = (t, known, options) => {
  const told = [];
  const check = (password) => {
    told.push(password);
    return known.has(password);
  };
  const greet = (args) => {
    if (args[0] === "HELLO" && !check(args[4])) return reply("WRONGPASS invalid username-password pair or user is disabled.");
    if (args[0] === "AUTH") return check(args.at(-1)) ? ok : reply("WRONGPASS invalid username-password pair or user is disabled.");
    return handshake(3)(args);
  };
  const fake = new Fake((args) => bulk(args[1] ?? "PONG"), { greet });
  const redis = new Redis({ connector: fake.connector, retryDelay: 5, maxRetryDelay: 40, ...options });
  t.after(() => redis.destroy());
  return { fake, redis, told };
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

    test("they are asked for at each connection, leased ones too", async (t) => {
      let count = 0;
      const credentials = async () => {
        const password = `token-${++count}`;
        await aside.call("ACL SETUSER", "ann", "on", "resetpass", `>${password}`, "~*", "+@all");
        return { username: "ann", password };
      };
      for (const protocol of [2, 3]) {
        const redis = new Redis({ path: running.path, protocol, credentials });
        t.after(() => redis.destroy());
        assert.equal(await redis.aclWhoami(), "ann");
        const before = count;
        assert.equal(await redis.blpop(["none"], 0.01), null);
        assert.equal(count, before + 1, "for its connection");
        await aside.call("CLIENT KILL", "USER", "ann");
        assert.equal(await within(redis.with({ idempotent: true }).aclWhoami()), "ann");
        assert.equal(count, before + 2);
        redis.destroy();
      }
    });

    test("open connections are told new ones before the old expire, and nothing is disturbed", async (t) => {
      keepAlive(t);
      await aside.call("ACL SETUSER", "bob", "on", "resetpass", ">0", "~*", "+@all");
      let count = 0;
      const credentials = async () => {
        const password = `${count++}`;
        await aside.call("ACL SETUSER", "bob", `>${password}`);
        return { username: "bob", password, expiresAt: new Date(Date.now() + 300) };
      };
      const redis = new Redis({ path: running.path, credentials });
      t.after(() => redis.destroy());
      const id = await redis.call("CLIENT ID");
      const loops = Array.from({ length: 8 }, async (_, at) => {
        while (count < 4) assert.equal(await redis.echo(`${at}`), `${at}`);
      });
      await within(Promise.all(loops));
      assert.equal(await redis.call("CLIENT ID"), id, "it is the same connection");
      const stats = await aside.with({ raw: true }).info("commandstats");
      assert.ok(Number(/cmdstat_auth:calls=(\d+)/.exec(stats)?.[1]) >= 3, stats);
    });

    test("when they are refused the client says so, and asks again", async (t) => {
      keepAlive(t);
      await aside.call("ACL SETUSER", "eve", "on", "resetpass", ">right", "~*", "+@all");
      let password = "wrong";
      const redis = new Redis({ path: running.path, maxRetryDelay: 50, credentials: () => ({ username: "eve", password, expiresAt: Date.now() + 60_000 }) });
      t.after(() => redis.destroy());
      const error = await rejection(redis.ping());
      assert.ok(error instanceof AuthenticationError);
      assert.equal(error.code, "WRONGPASS");
      password = "right";
      assert.equal(await redis.aclWhoami(), "eve");
    });
  });
}

test("a function that throws, rejects or gives nonsense is why there is no connection, and is asked again", async (t) => {
  keepAlive(t);
  const own = new Error("no token today");
  for (const [fault, message, cause] of [
    [() => Promise.reject(own), /'credentials' failed/, own],
    [() => { throw own; }, /'credentials' failed/, own],
    [() => undefined, /'credentials' gave no/],
    [() => ({ username: 1, password: "hunter2" }), /'credentials' gave no/],
    [() => ({ password: "hunter2", expiresAt: "tomorrow" }), /'credentials' gave an 'expiresAt'/],
    [() => ({ password: "hunter2", expiresAt: Date.now() - 1 }), /'credentials' gave what has expired/],
  ]) {
    let failing = true;
    let asked = 0;
    const credentials = () => (asked++, failing ? fault() : { password: "right" });
    const { redis } = guarded(t, new Set(["right"]), { credentials, queueTimeout: 100 });
    const error = await rejection(redis.incr("n"));
    assert.ok(error instanceof ConnectionError, `${error}`);
    assert.match(error.message, message);
    assert.equal(error.maybeExecuted, false);
    assert.ok(asked > 1, "with backoff");
    assert.doesNotMatch(inspect(error, { depth: 10, showHidden: true }), /"hunter2"|'hunter2'/);
    const chain = [];
    for (let at = error; at !== undefined; at = at.cause) chain.push(at);
    if (cause !== undefined) assert.ok(chain.includes(cause), "the function's own error is among the causes");
    failing = false;
    assert.equal(await within(redis.echo("x")), "x");
  }
});

test("a function that never answers is given up with the attempt, and is told so", async (t) => {
  keepAlive(t);
  const signals = [];
  const credentials = ({ signal }) => (signals.push(signal), signals.length < 3 ? new Promise(() => {}) : { password: "right" });
  const { redis } = guarded(t, new Set(["right"]), { credentials, connectTimeout: 30 });
  assert.equal(await within(redis.echo("x")), "x");
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true, false]);
});

test("credentials that cannot be renewed cost nothing until they are needed, and are tried again", async (t) => {
  keepAlive(t);
  let asked = 0;
  const known = new Set(["first", "second"]);
  const credentials = () => {
    asked++;
    if (asked === 1) return { password: "first", expiresAt: Date.now() + 100 };
    if (asked < 4) throw new Error("away");
    return { password: "second" };
  };
  const { redis, fake, told } = guarded(t, known, { credentials });
  assert.equal(await redis.echo("a"), "a");
  await until(() => asked === 3);
  assert.equal(await redis.echo("b"), "b", "the connection goes on");
  await until(() => told.includes("second"));
  assert.equal(fake.links.length, 1);
});

test("asking again takes no longer than a connection may take, and what has expired is not used", async (t) => {
  keepAlive(t);
  const asked = [];
  const credentials = ({ signal }) => {
    asked.push(signal);
    if (asked.length === 1) return { password: "first", expiresAt: Date.now() + 60 };
    return asked.length < 4 ? new Promise(() => {}) : { password: "second" };
  };
  const { redis, fake, told } = guarded(t, new Set(["first", "second"]), { credentials, connectTimeout: 30 });
  assert.equal(await redis.echo("a"), "a");
  await until(() => told.includes("second"));
  assert.deepEqual(asked.map(({ aborted }) => aborted), [false, true, true, false]);
  assert.equal(fake.links.length, 1, "nothing was disturbed");

  const expiry = Date.now() + 60;
  let count = 0;
  const hanging = () => (++count === 1 ? { password: "old", expiresAt: expiry } : count === 2 ? new Promise(() => {}) : { password: "new" });
  const known = new Set(["old"]);
  const other = guarded(t, known, { credentials: hanging, connectTimeout: 0 });
  assert.equal(await other.redis.echo("a"), "a");
  await until(() => count === 2 && Date.now() > expiry);
  known.clear();
  known.add("new");
  other.fake.link.end();
  assert.equal(await within(other.redis.echo("b")), "b");
  assert.deepEqual(other.told, ["old", "new"]);
});

test("new credentials that are refused: what is in flight is answered, and the next attempt tells the truth", async (t) => {
  keepAlive(t);
  const credentials = () => (told.length === 0 ? { password: "first", expiresAt: Date.now() + 60 } : { password: "refused" });
  const { redis, fake, told } = guarded(t, new Set(["first"]), { credentials });
  const seen = [];
  redis.onStateChange((status, cause) => seen.push([status, cause?.code]));
  assert.equal(await redis.echo("a"), "a");
  await until(() => fake.links.length > 1);
  assert.equal((await rejection(redis.echo("b"))).code, "WRONGPASS");
  assert.deepEqual(seen.slice(1, 3).map(([status]) => status), ["ready", "reconnecting"]);
});

test("the client neither holds the process nor asks when nobody needs it", async (t) => {
  let asked = 0;
  const { redis } = guarded(t, new Set(["p"]), { credentials: () => (asked++, { password: "p", expiresAt: Date.now() + 60 }) });
  await redis.echo("a");
  redis.destroy();
  const before = asked;
  await new Promise((resolve) => setTimeout(resolve, 120));
  assert.equal(asked, before);
});

test("they contradict user name and password", () => {
  const credentials = () => ({ password: "p" });
  for (const options of [{ password: "p" }, { username: "u", password: "p" }]) assert.throws(() => new Redis({ credentials, ...options }), /'credentials' contradicts 'username' and 'password'/);
  assert.throws(() => new Redis("redis://:p@h", { credentials }), /'credentials' contradicts/);
  assert.throws(() => new Redis({ credentials: "p" }), /'credentials' expected a function/);
});
