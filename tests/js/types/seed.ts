// The samples that the package was promised with, as they were written then; those of clusters are not there yet.
import net from "node:net";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { Library, Lock, LockError, LuaLock, Pool, Redis, WatchError, type Key, type Value } from "redwire";
const lua = "...";
const code = readFileSync("/var/tmp/library.lua", "utf8");
class MyLib extends Library {
  static override NAME = "mylib";
  static override CODE = code;
  echo = Library.wraps("echo", (value: string) => ({ args: [value] }));
  ping = Library.wraps("ping", () => ({}));
  get = Library.wraps("get", (key: Key) => ({ keys: [key] }));
  hmmget = Library.wraps(
    "hmmget",
    (keys: Key[], defaults: Record<string, Value>) => ({ keys, args: Object.entries(defaults).flat() }),
    (r: string[]) => r,
  );
}
export async function all() {
  // decode on/off
  const text = new Redis("redis://localhost:6379/0"),
    bytes = new Redis({ host: "localhost", decodeResponses: false });
  const s: string | null = await text.get("string");
  const b: Uint8Array | null = await bytes.get("string");
  const h: Record<string, string> = await text.hgetall("hash");
  const hb: Record<string, Uint8Array> = await bytes.hgetall("hash");
  const m: Set<string> = await text.smembers("set");
  const mb: Uint8Array[] = await bytes.smembers("set");
  await text.lpush("list", [1]);
  await text.sadd("set", "a");
  await text.zadd("sset", { a: 1, b: 2 });
  // @ts-expect-error runtime checks find the same: set: parameter `key` expected string | Uint8Array, got number
  await text.set(1, 1);
  // scripts
  const redis = text,
    r2 = new Redis("redis://redis2.example.com");
  const multiply = redis.registerScript<number>(lua);
  await redis.set("foo", 2);
  const ten: number = await multiply({ keys: ["foo"], args: [5] });
  await multiply({ keys: ["foo"], args: [5], client: r2 });
  const pipe = redis.pipeline().set("foo", 5);
  const [ok, n] = await multiply({ keys: ["foo"], args: [5], client: pipe }).execute();
  const t: [boolean, number] = [ok, n]; // [true, 25]
  // library
  const plain = await redis.registerLibrary("mylib", code, { replace: true });
  await plain.functions.echo?.({ args: ["hello world"] });
  const lib = await redis.registerLibrary(MyLib, { replace: true });
  const r: string[] = await lib.hmmget(["k1", "k2"], { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 });
  // pipelines
  const res = await redis.pipeline().flushdb().set("foo", "bar").set("bar", "foo").keys("*").execute();
  assert.deepEqual(res, [true, true, true, new Set(["bar", "foo"])]);
  for (;;) {
    try {
      await using p = redis.pipeline();
      const w = await p.watch("SEQ");
      const next = Number((await w.get("SEQ")) ?? 0) + 1;
      await w.multi().set("SEQ", next).execute();
      break;
    } catch (e) {
      if (!(e instanceof WatchError)) throw e;
    }
  }
  const [done] = await redis.transaction(
    async (w) => {
      const next = Number(await w.get("SEQ")) + 1;
      return w.multi().set("SEQ", next);
    },
    ["SEQ"],
  );
  const d: boolean = done; // [true]
  // pubsub
  const ps = redis.pubsub({ ignoreSubscribeMessages: true });
  await ps.subscribe({ "my-channel": (x) => console.log("MY HANDLER:", x.data.toUpperCase()) });
  const message = await ps.getMessage({ timeout: 100 });
  if (message?.type === "subscribe") {
    const count: number = message.data;
    void count;
  }
  const worker = ps.run();
  await worker.stop();
  await ps.close();
  // locks
  const lock = redis.lock("lalala");
  assert.equal(await lock.acquire(), true);
  assert.equal(await lock.acquire({ blocking: false }), false);
  await lock.release();
  await assert.rejects(lock.release(), LockError);
  {
    await using held = await redis.lock("x", { timeout: 5000 }).hold({ autoExtend: true });
    held.signal.throwIfAborted();
  }
  // own connection, pool, unix, RESP3
  const own = new Redis("redis://h", {
    connector: (e, sink) => {
      const c = net.connect(e.port!, e.host!);
      c.on("data", sink.onData)
        .on("drain", sink.onDrain)
        .on("close", () => sink.onClose());
      return { write: (x) => c.write(x), close: () => c.destroy() };
    },
  });
  const pool = new Pool({ host: "h", maxConnections: 4 });
  const a = new Redis({ pool }),
    a2 = new Redis({ pool });
  const unix = new Redis({ path: "/tmp/redis.sock" }),
    r3 = new Redis({ protocol: 3 });
  return { s, b, h, hb, m, mb, ten, t, r, d, own, a, a2, unix, r3, LuaLock, Lock };
}
