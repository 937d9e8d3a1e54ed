// Passwords are sent to the server, and told to nobody else: not in errors, not in what a console shows, not in inspect().
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { inspect } from "node:util";
import { Pool, Redis } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { startProxy } from "./support/proxy.mjs";
import { error as reply } from "./support/resp.mjs";
import { freePort, missing, programs, startServer } from "./support/servers.mjs";
import { outcome, until } from "./support/until.mjs";

const SECRET = "hunter2hunter2";

/** Everything that anybody could print of `thing`: as a console shows it, as JSON, and what it and all its causes hold. */
const printed = (thing) => {
  const texts = [inspect(thing, { depth: 10, showHidden: true, maxArrayLength: 1_000, maxStringLength: Infinity })];
  const seen = new Set();
  const walk = (value) => {
    texts.push(String(value));
    if (typeof value !== "object" || value === null || seen.has(value)) return;
    seen.add(value);
    for (const name of Reflect.ownKeys(value)) {
      texts.push(String(name));
      walk(value[name]);
    }
    if (value instanceof Error) texts.push(value.message, value.stack);
  };
  walk(thing);
  try {
    texts.push(JSON.stringify(thing, (_, value) => (typeof value === "bigint" ? String(value) : value)) ?? "");
  } catch {
    // not everything can be written as JSON
  }
  return texts.join("\n");
};

const assertHidden = (...things) => {
  for (const thing of things) {
    const text = printed(thing);
    const at = text.indexOf(SECRET);
    assert.ok(at < 0, text.slice(Math.max(0, at - 200), at + 100));
  }
};

test("what would print a secret is found", () => {
  const nested = new Error("x", { cause: { deep: [{ at: SECRET }] } });
  for (const leak of [new Error(SECRET), nested, Object.assign(new Error("x"), { args: ["AUTH", SECRET] }), { [SECRET]: 1 }]) assert.throws(() => assertHidden(leak));
});

describe("URLs and options", () => {
  for (const url of [
    `redis://user:${SECRET}@h:port`, `redis://user:${SECRET}@h/db`, `redis://user:${SECRET}%@h`, `redis://${SECRET}@h`, `http://:${SECRET}@h`, `redis:${SECRET}@h`,
    `//user:${SECRET}@h`, `redis://h?password=${SECRET}&db=x`, `redis://h?${SECRET}@x`, `redis://h?db=${SECRET}`, `redis://user:${SECRET}@[::1`, `redis://user:1#${SECRET}@h`, `redis://u:p@h?a=1&${SECRET}@h=2`,
  ]) {
    test(url.replaceAll(SECRET, "…"), () => {
      let thrown;
      try {
        new Redis(url);
      } catch (error) {
        thrown = error;
      }
      assert.ok(thrown instanceof TypeError);
      assertHidden(thrown);
    });
  }

  test("wrong options, and the client itself", () => {
    for (const make of [() => new Redis({ password: SECRET, port: "x" }), () => new Redis({ password: [SECRET] }), () => new Redis({ password: SECRET, nosuch: SECRET }), () => new Redis({ clientName: `${SECRET} x` }), () => new Redis({ password: SECRET, credentials: () => {} })]) {
      let thrown;
      try {
        make();
      } catch (error) {
        thrown = error;
      }
      assert.ok(thrown instanceof TypeError);
      assertHidden(thrown);
    }
    const redis = new Redis(`redis://user:${SECRET}@h`);
    assertHidden(redis, redis.inspect(), redis.with({ raw: true }), redis.pipeline(), new Pool({ password: SECRET }));
    redis.destroy();
  });
});

for (const server of programs) {
  describe(`${server.name}`, { skip: missing(server) }, () => {
    let running;
    before(async () => (running = await startServer(server.program)));
    after(() => running?.stop());

    test("refused credentials, whatever they are refused by", async (t) => {
      keepAlive(t);
      for (const options of [{ password: SECRET }, { username: "ann", password: SECRET }, { credentials: () => ({ username: "ann", password: SECRET }) }]) {
        for (const protocol of ["auto", 2, 3]) {
          const redis = new Redis({ path: running.path, protocol, ...options });
          t.after(() => redis.destroy());
          const { error } = await outcome(redis.get("k"));
          assertHidden(error, redis, redis.inspect());
        }
      }
    });

    test("commands that carry a secret and fail, or wait", async (t) => {
      keepAlive(t);
      const proxy = await startProxy(t, running.port);
      const redis = new Redis({ host: "127.0.0.1", port: proxy.port, timeout: 300 });
      t.after(() => redis.destroy());
      const lease = await redis.lease();
      const dead = await freePort();
      const calls = {
        "AUTH": () => lease.auth("nobody", SECRET),
        "AUTH of one word": () => lease.auth(SECRET),
        "HELLO AUTH": () => lease.hello({ arguments: { protover: 3, auth: ["nobody", SECRET] } }),
        "HELLO by name": () => lease.call("HELLO", 3, "AUTH", "nobody", SECRET),
        "CONFIG SET requirepass": () => redis.configSet([["requirepass", SECRET], ["nosuch", "1"]]),
        "CONFIG SET by name": () => redis.call("CONFIG SET", "requirepass", SECRET, "nosuch", "1"),
        "ACL SETUSER": () => redis.call("ACL SETUSER", "ann", `>${SECRET}`, "+nosuch"),
        "ACL SETUSER in a transaction": () => redis.multi().call("ACL SETUSER", "ann", `>${SECRET}`, "+nosuch").execute(),
        "ACL SETUSER in a pipeline": () => redis.pipeline({ transaction: false }).call("ACL SETUSER", "ann", `>${SECRET}`, "+nosuch").execute(),
        "MIGRATE AUTH2": async () => (await redis.set("k", "v"), redis.call("MIGRATE", "127.0.0.1", dead, "", 0, 100, "AUTH2", "ann", SECRET, "KEYS", "k")),
        "a misspelt name": () => redis.call("AUHT", SECRET),
        "a value of the wrong type": () => redis.set("k", { password: SECRET }),
        "a script's argument": () => redis.eval("return redis.call('nosuch', ARGV[1])", [], [SECRET]),
      };
      for (const [title, call] of Object.entries(calls)) {
        const { error } = await outcome((async () => call())());
        assert.ok(error !== undefined, `${title} fails`);
        assertHidden(error, redis.inspect(), redis);
      }
      // without a reply: in flight, timed out, cut, and waiting for a connection
      proxy.onReply = () => ({ drop: true });
      const late = outcome(redis.call("CONFIG SET", "requirepass", SECRET));
      await until(() => redis.inspect().waiting.some(({ command, written }) => written && command === "CONFIG"));
      assertHidden(redis.inspect(), redis);
      assertHidden((await late).error);
      proxy.onReply = () => ({ then: "cut", drop: true });
      assertHidden((await outcome(redis.call("CONFIG SET", "requirepass", SECRET))).error);
      redis.destroy();
      assertHidden((await outcome(redis.call("AUHT", SECRET))).error, redis.inspect(), redis);
    });
  });
}

test("a server that repeats what it was sent, at any step of the handshake", async (t) => {
  keepAlive(t);
  for (const name of ["HELLO", "AUTH", "CLIENT", "SELECT"]) {
    for (const protocol of [2, 3]) {
      const greet = (args) => {
        if (args[0] === name) return reply(`ERR what is ${args.join(" ")}?`);
        return args[0] === "HELLO" ? reply("ERR unknown command 'HELLO'") : args[0] === "GET" ? undefined : Buffer.from("+OK\r\n");
      };
      const { redis } = faked(t, () => Buffer.from("+OK\r\n"), { greet, protocol, username: "ann", password: SECRET, db: 1, clientName: "me", queueTimeout: 50 });
      const { error } = await outcome(redis.get("k"));
      assertHidden(error, redis, redis.inspect());
    }
  }
});
