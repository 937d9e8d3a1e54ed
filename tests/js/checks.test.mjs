import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { Duplex } from "node:stream";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { ClientError, Redis } from "redwire";
import { faked } from "./support/client.mjs";
import { integer, ok } from "./support/resp.mjs";
import { missing, programs, startServer } from "./support/servers.mjs";
import { rejection } from "./support/until.mjs";

const run = promisify(execFile);

describe("runtime checks", () => {
  test("[promises 23, 26] refuse a number as key by name, command and expectation, and send nothing", async (t) => {
    const { redis, fake } = faked(t, () => ok, { runtimeChecks: true });
    const error = await rejection(redis.set(1, 1));
    assert.ok(error instanceof TypeError);
    assert.equal(error.message, "set: parameter 'key' expected string | Uint8Array, got number");
    assert.equal(fake.links.length, 0);
  });

  test("[promise 24] are switched on by REDWIRE_RUNTIME_CHECKS=1 too, and off without", async (t) => {
    process.env.REDWIRE_RUNTIME_CHECKS = "1";
    t.after(() => delete process.env.REDWIRE_RUNTIME_CHECKS);
    const checked = faked(t, () => ok);
    assert.ok((await rejection(checked.redis.set(1, 1))) instanceof TypeError);
    delete process.env.REDWIRE_RUNTIME_CHECKS;
    const plain = faked(t, () => ok);
    assert.equal(await plain.redis.set(1, 1), true);
    assert.deepEqual(plain.fake.commands, [["SET", "1", "1"]]);
  });

  test("let no number name a field, but where it is an object's text anyway", async (t) => {
    const { redis, fake } = faked(t, () => integer(1), { runtimeChecks: true });
    for (const [call, method] of [[redis.hset("h", new Map([[1, 2]])), "hset"], [redis.xadd("s", "*", [[1, 2]]), "xadd"], [redis.mset([[1, 2]]), "mset"]]) {
      assert.equal((await rejection(call)).message, `${method}: parameter 'data' expected string | Uint8Array, got number`);
    }
    assert.equal(fake.links.length, 0);
    assert.equal(await redis.hset("h", { 1: 2 }), 1);
    assert.equal(await redis.zadd("z", new Map([[1, 2]])), 1, "a member is a value");
  });

  test("say that a number is to be whole", async (t) => {
    const { redis, fake } = faked(t, () => ok, { runtimeChecks: true });
    for (const [call, message] of [
      [redis.set("k", "v", { ex: 1.5 }), "set: parameter 'ex' expected whole number | bigint, got number"],
      [redis.expire("k", Infinity), "expire: parameter 'seconds' expected whole number | bigint, got number"],
      [redis.expireat("k", 1.5), "expireat: parameter 'unixTimeSeconds' expected whole number | bigint | Date, got number"],
    ]) assert.equal((await rejection(call)).message, message);
    assert.equal(fake.links.length, 0);
  });
});

class Expiring {
  ex = 10;
}

/** Objects that say nothing by members of their own, or more than that. */
const strange = [new Set(["nx"]), Promise.resolve({ nx: true }), /nx/, new Error("nx"), new WeakMap(), new URL("redis://h"), Object.create({ nx: true }), new Expiring(), new Map([["nx", true]]), new Date(), [], new Uint8Array(1)];

for (const runtimeChecks of [true, false]) {
  test(`only plain objects are options, with runtimeChecks: ${runtimeChecks}`, async (t) => {
    const { redis, fake } = faked(t, () => ok, { runtimeChecks });
    for (const options of strange) {
      const got = options.constructor.name;
      assert.equal((await rejection(redis.set("k", "v", options))).message, `set: parameter 'options' expected a plain object, got ${got}`);
      assert.match((await rejection(redis.geosearch("k", options, { byradius: [1, "km"] }))).message, /^geosearch: parameter 'from' expected \{ frommember, fromlonlat \}, got \w+$/);
    }
    assert.equal(fake.links.length, 0);
    const foreign = runInNewContext("({ nx: true })");
    for (const options of [{ nx: true }, Object.assign(Object.create(null), { nx: true }), foreign]) await redis.set("k", "v", options);
    assert.deepEqual(fake.commands, Array(3).fill(["SET", "k", "v", "NX"]));
  });
}

test("fields may be those of an object of any class", async (t) => {
  const { redis, fake } = faked(t, () => ok, { runtimeChecks: true });
  await redis.hset("k", new Expiring());
  assert.deepEqual(fake.commands, [["HSET", "k", "ex", "10"]]);
});

test("[promises 33, 34] where WebAssembly is switched off, the first command says so", async () => {
  const script = `import { Redis } from "redwire"; const redis = new Redis(); await redis.get("k").catch((error) => console.log(error.name, error.message)); redis.destroy();`;
  const { stdout } = await run(process.execPath, ["--jitless", "--input-type=module", "--eval", script], { cwd: import.meta.dirname });
  assert.match(stdout, new RegExp(`^${ClientError.name} WebAssembly is switched off in this process`));
});

for (const server of programs) {
  describe(`a connector of one's own, ${server.name}`, { skip: missing(server) }, () => {
    let running;
    before(async () => (running = await startServer(server.program)));
    after(() => running?.stop());

    const open = () => new Promise((resolve, reject) => {
      const socket = net.connect(running.port, "127.0.0.1", () => resolve(socket)).once("error", reject);
    });
    const forms = {
      "a promise of a socket": async (_, sink) => {
        const socket = await open();
        socket.on("data", sink.onData).on("drain", sink.onDrain).on("close", () => sink.onClose());
        return { write: (bytes) => socket.write(bytes), close: () => void socket.destroy() };
      },
      "a promise of web streams": async () => Duplex.toWeb(await open()),
    };
    for (const [name, connector] of Object.entries(forms)) {
      test(`[promise 31] as ${name} carries commands, and large values both ways`, async (t) => {
        let asked;
        const redis = new Redis({ host: "somewhere", port: 1, connector: (endpoint, ...rest) => ((asked = endpoint), connector(endpoint, ...rest)) });
        t.after(() => redis.destroy());
        const large = "x".repeat(3 << 20);
        assert.deepEqual(await Promise.all([redis.set("k", "v"), redis.get("k"), redis.set("large", large), redis.get("large")]), [true, "v", true, large]);
        assert.deepEqual(asked, { kind: "tcp", host: "somewhere", port: 1, tls: null });
      });
    }
  });
}
