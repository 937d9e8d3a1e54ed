import { Library, Lock, LockError, LuaLock, Redis, ResponseError, WatchError, type AnyWorld, type Held, type LibraryClass, type Pipeline, type Queue, type RedisError, type Script, type Watching } from "redwire";
import { get, incr, set } from "redwire/commands";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

const redis = new Redis("redis://h");
const bytes = new Redis({ decodeResponses: false });

export const scripts = async (): Promise<void> => {
  const [evaluated, exists, loaded] = [await redis.eval("return 1", ["k"], 1), await redis.scriptExists("sha"), await redis.scriptLoad("return 1")];
  same<[typeof evaluated, typeof exists, typeof loaded], [unknown, boolean[], string]>(true);
  const multiply = redis.registerScript<number>("return 1");
  same<typeof multiply, Script<number>>(true);
  const [ten, sha, any] = [await multiply({ keys: ["foo"], args: [5n, "a", new Uint8Array()] }), multiply.sha, await redis.registerScript("return 1")()];
  same<[typeof ten, typeof sha, typeof any], [number, string, unknown]>(true);
  const there = [await multiply({ client: bytes }), await multiply({ client: redis.with({ raw: true }) }), await multiply({ client: await redis.lease() }), await multiply({ client: await redis.pipeline().watch("k") })];
  same<typeof there, number[]>(true);
  const [ok, product] = await multiply({ keys: ["foo"], args: [5], client: redis.pipeline().set("foo", 5) }).execute();
  same<[typeof ok, typeof product], [boolean, number]>(true);
  const inBytes = await multiply({ client: bytes.pipeline().get("foo"), readonly: true }).execute({ raiseOnError: false });
  same<typeof inBytes, [Uint8Array | null | ResponseError, number | ResponseError]>(true);
  // @ts-expect-error a key is text or bytes
  await multiply({ keys: [1] });
  // @ts-expect-error keys are a list
  await multiply({ keys: "foo" });
};

class MyLib extends Library {
  static override NAME = "mylib";
  static override CODE = "#!lua name=mylib";
  echo = Library.wraps("echo", (value: string) => ({ args: [value] }));
  hmmget = Library.wraps(
    "hmmget",
    (keys: string[], defaults: Record<string, number>) => ({ keys, args: Object.entries(defaults).flat() }),
    (values: string[]) => values.map(Number),
  );
}

export const libraries = async (): Promise<void> => {
  const plain = await redis.registerLibrary("mylib", "#!lua name=mylib", { replace: true });
  const result = await plain.functions["echo"]?.({ args: ["hello world"] });
  same<[typeof plain, typeof result], [Library, unknown]>(true);
  const type: LibraryClass<MyLib> = MyLib;
  const [lib, again, updated] = [await redis.registerLibrary(MyLib, { replace: true }), await redis.loadLibrary(type), await plain.update("#!lua name=mylib")];
  same<[typeof lib, typeof again, typeof updated], [MyLib, MyLib, boolean]>(true);
  const [echoed, got] = [await lib.echo("x"), await lib.hmmget(["k1", "k2"], { a: 1 })];
  same<[typeof echoed, typeof got], [string, number[]]>(true);
  // @ts-expect-error the mapping function's parameters are the method's
  await lib.echo(1);
  // @ts-expect-error a class without NAME is no library's
  await redis.registerLibrary(Library);
};

export const transactions = async (): Promise<void> => {
  const pipe = redis.pipeline();
  const watching = await pipe.watch("SEQ");
  same<typeof watching, Watching<string>>(true);
  const current = await watching.get("SEQ");
  same<typeof current, string | null>(true);
  const queue = watching.multi().set("SEQ", 1).incr("n");
  same<typeof queue, Pipeline<string, [boolean, number]>>(true);
  const left: Pipeline<string> = await watching.unwatch();
  const [done, members] = await redis.transaction(async (w) => w.multi().set("SEQ", Number(await w.get("SEQ")) + 1).smembers("s"), ["SEQ"]);
  same<[typeof done, typeof members], [boolean, Set<string>]>(true);
  const value = await redis.transaction(async () => "mine" as const, ["SEQ"], { valueFromCallable: true, watchDelay: 5, maxAttempts: 3 });
  same<typeof value, "mine">(true);
  const untyped = await redis.transaction(async (w) => void w.multi().ping(), ["SEQ"]);
  same<typeof untyped, unknown[]>(true);
  const raw = await bytes.transaction(async (w) => w.multi().get("k"), ["k"]);
  same<typeof raw, [Uint8Array | null]>(true);
  // @ts-expect-error a watching pipeline is not executed before multi
  watching.execute();
  void [left, WatchError];
};

export const loops = async (raiseOnError: boolean): Promise<void> => {
  const loop: Pipeline<string, unknown[]> = redis.pipeline();
  for (const key of ["a", "b"]) loop.get(key);
  const [some, none] = [await loop.execute(), await redis.pipeline().execute({ raiseOnError })];
  same<[typeof some, typeof none], [unknown[], unknown[]]>(true);
  const append = <W extends AnyWorld, T extends unknown[]>(queue: Queue<W, T>) => queue.set("k", "v").call("PING");
  const appended = await append(redis.pipeline().get("a")).exec();
  same<typeof appended, [string | null, boolean, unknown]>(true);
  const either: Redis<string | Uint8Array> = redis;
  // @ts-expect-error a pipeline's results are its own
  const other: Pipeline<string, [number]> = redis.pipeline().get("a");
  void [either, other];
};

export const streams = async (): Promise<number> => {
  const each = (result: boolean | string | null | RedisError | TypeError, index: number): void => void [result, index];
  await redis.pipelineStream([set("a", 1), get("a")], { window: 10, onResult: each, signal: AbortSignal.timeout(5) });
  // @ts-expect-error INCR gives a number
  await redis.pipelineStream([incr("n")], { onResult: (result: string | RedisError | TypeError) => void result });
  return redis.pipelineStream((async function* () { yield get("a"); })(), { onResult: async () => {} });
};

export const locks = async (): Promise<void> => {
  const lock: Lock = redis.lock("k", { timeout: 1000, sleep: 10, blockingTimeout: 50, lockClass: LuaLock });
  const [acquired, released, extended, locked, owned] = [await lock.acquire({ blocking: false }), await lock.release(), await lock.extend(5), await lock.locked(), await lock.owned()];
  same<[typeof acquired, typeof released, typeof extended, typeof locked, typeof owned], [boolean, void, true, boolean, boolean]>(true);
  const held: Held = await lock.hold({ autoExtend: true });
  const [signal, until, value] = [held.signal, held.validUntil, await lock.run(async (h) => h.validUntil)];
  same<[typeof signal, typeof until, typeof value], [AbortSignal, number, number]>(true);
  // @ts-expect-error a lock is not disposable: that would protect nothing
  lock[Symbol.asyncDispose]();
  redis.lock("k", { lockClass: Lock });
  void LockError;
};
