import { Pool, Redis, ResponseError, type Adapter, type Bitfield, type BitfieldReader, type CacheStats, type GeosearchOptions, type Iterators, type Lease, type LposOptions, type Options, type Pipeline, type RawPipeline, type SetOptions, type ZrangeOptions } from "redwire";
import { json } from "redwire/adapters";
import { bitfield, bitfieldRo, command, commandInfo, commandDocs, functionList, geosearch, get, hgetall, info, lmpop, lrange, smembers, xinfoStream, xread, zmpop } from "redwire/commands";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

const text = new Redis("redis://h");
const bytes = new Redis({ decodeResponses: false });
const views = text.with({ decodeResponses: false });
same<typeof text, Redis<string>>(true);
same<typeof bytes, Redis<Uint8Array>>(true);
same<typeof views, Redis<Uint8Array>>(true);

export const replies = async (): Promise<void> => {
  const [set, got, old] = [await text.set("k", 1), await text.get("k"), await text.set("k", "v", { ex: 10, get: true })];
  same<[typeof set, typeof got, typeof old], [boolean, string | null, string | null]>(true);
  const [raw, members, list] = [await bytes.get("k"), await bytes.smembers("s"), await bytes.lrange("l", 0, -1)];
  same<[typeof raw, typeof members, typeof list], [Uint8Array | null, Uint8Array[], Uint8Array[]]>(true);
  const [keys, hash, scores, page] = [await text.keys("*"), await text.hgetall("h"), await text.zrange("z", 0, -1, { withscores: true }), await text.scan("0")];
  same<[typeof keys, typeof hash, typeof scores, typeof page], [Set<string>, Record<string, string>, [string, number][], [string, string[]]]>(true);
  const [one, some] = [await text.lpop("l"), await text.lpop("l", 2)];
  same<[typeof one, typeof some], [string | null, string[]]>(true);
  const all = await text.pipeline().set("a", 1).get("a").hgetall("h").zscore("z", "m").execute();
  same<typeof all, [boolean, string | null, Record<string, string>, number | null]>(true);
  const each = await bytes.pipeline().get("a").incr("n").execute({ raiseOnError: false });
  same<typeof each, [Uint8Array | null | ResponseError, number | ResponseError]>(true);
  const [ran, sha, known] = [await text.evalsha("sha", ["k"], [1]), await text.scriptLoad("return 1"), await text.scriptExists("sha")];
  same<[typeof ran, typeof sha, typeof known], [unknown, string, boolean[]]>(true);
  const wire = await text.with({ raw: true }).smembers("s");
  same<typeof wire, unknown>(true);
  const pipe: Pipeline<string, [boolean]> = text.multi().set("a", 1);
  // @ts-expect-error a pipeline is not a promise
  pipe.then(() => {});
};

export const forms = async (): Promise<void> => {
  const [exact, big, plain] = [await text.with({ integers: "exact" }).incr("n"), await text.with({ integers: "bigint" }).strlen("k"), await text.with({ integers: "bigint" }).with({ integers: "number" }).incr("n")];
  same<[typeof exact, typeof big, typeof plain], [number | bigint, bigint, number]>(true);
  const [map, entries, members] = [await text.with({ maps: "map" }).hgetall("h"), await bytes.with({ maps: "entries" }).hgetall("h"), await text.with({ sets: "array" }).smembers("s")];
  same<[typeof map, typeof entries, typeof members], [Map<string, string>, [key: Uint8Array, value: Uint8Array][], string[]]>(true);
  const both = await new Redis("redis://h", { maps: "map", decodeResponses: false }).with({ timeout: 5 }).hgetall("h");
  same<typeof both, Map<Uint8Array, Uint8Array>>(true);
  const again = text.with({ raw: true }).with({ raw: false });
  same<typeof again, Redis<string>>(true);
};

export const places = async (): Promise<void> => {
  const at = [{ frommember: "a" }, { byradius: [5, "km"] }] as const;
  const plain = await text.geosearch("g", ...at, { asc: true });
  const near = await text.geosearch("g", ...at, { withdist: true, count: 5, asc: true });
  const all = await bytes.with({ integers: "bigint" }).geosearch("g", ...at, { withcoord: true, withdist: true, withhash: true });
  const where = await text.georadiusbymember("g", "a", 5, "km", { withcoord: true });
  same<typeof plain, string[]>(true);
  same<typeof near, [member: string, dist: number][]>(true);
  same<typeof all, [member: Uint8Array, dist: number, hash: bigint, coord: [lon: number, lat: number]][]>(true);
  same<typeof where, [member: string, coord: [lon: number, lat: number]][]>(true);
  const [scored, paid, both] = [await text.ft.sugget("s", "p", { withscores: true }), await text.ft.sugget("s", "p", { withpayloads: true, max: 1 }), await text.ft.sugget("s", "p", { withscores: true, withpayloads: true })];
  same<typeof scored, [suggestion: string, score: number][]>(true);
  same<typeof paid, [suggestion: string, payload: string | null][]>(true);
  same<typeof both, [suggestion: string, score: number, payload: string | null][]>(true);
  const [inert] = await bytes.execute([geosearch("g", ...at, { withdist: true })]);
  same<typeof inert, [member: Uint8Array, dist: number][]>(true);
  const queued = await text.pipeline().geosearch("g", ...at, { withhash: true }).execute();
  same<typeof queued, [[member: string, hash: number][]]>(true);
  // @ts-expect-error not an option
  await text.geosearch("g", ...at, { withdist: true, withdits: true });
};

/** What only the program knows when it runs. */
declare const flag: boolean;
declare const perhaps: boolean | undefined;
declare const maps: "object" | "map";
declare const sets: "set" | "array";
declare const options: Options;

export const undecided = async (): Promise<void> => {
  const either = new Redis({ decodeResponses: flag });
  same<typeof either, Redis<string | Uint8Array>>(true);
  const [url, made, view] = [new Redis("redis://h", { decodeResponses: flag }), Redis.fromUrl("redis://h", { decodeResponses: flag }), text.with({ decodeResponses: flag })];
  same<typeof url, typeof either>(true);
  same<typeof made, typeof either>(true);
  same<typeof view, typeof either>(true);
  const [got, members] = [await either.get("k"), await either.smembers("s")];
  same<[typeof got, typeof members], [string | Uint8Array | null, Set<string | Uint8Array> | (string | Uint8Array)[]]>(true);
  const [decided, patient, still] = [either.with({ decodeResponses: true }), either.with({ timeout: 5 }), bytes.with({ decodeResponses: perhaps })];
  same<typeof decided, Redis<string>>(true);
  same<typeof patient, typeof either>(true);
  same<typeof still, typeof either>(true);
  // options that may or may not say so are taken for those that do not
  const [plain, beside, kept] = [new Redis(options), new Redis("redis://h", options), bytes.duplicate(options)];
  same<typeof plain, Redis<string>>(true);
  same<typeof beside, Redis<string>>(true);
  same<typeof kept, Redis<Uint8Array>>(true);
  const written = { decodeResponses: false } satisfies Options;
  const shown = new Redis(written);
  same<typeof shown, Redis<Uint8Array>>(true);
  const [hash, set] = [await text.with({ maps }).hgetall("h"), await text.with({ sets }).smembers("s")];
  same<[typeof hash, typeof set], [Record<string, string> | Map<string, string>, Set<string> | string[]]>(true);
};

/** Options that do not show whether they say what decides about the reply. */
export const wrapped = async (o?: SetOptions, z?: ZrangeOptions, g: GeosearchOptions = {}, l?: LposOptions, count?: number, path?: string): Promise<void> => {
  const at = [{ frommember: "a" }, { byradius: [5, "km"] }] as const;
  const [set, range, near, places] = [await text.set("k", "v", o), await text.zrange("z", 0, 1, z), await text.geosearch("g", ...at, g), await text.lpos("l", "a", l)];
  same<[typeof set, typeof range, typeof places], [string | boolean | null, string[] | [string, number][], number | number[] | null]>(true);
  same<typeof near, string[] | [member: string, ...([] | [dist: number]), ...([] | [hash: number]), ...([] | [coord: [lon: number, lat: number]])][]>(true);
  const [without, still, queued] = [await text.set("k", "v", { ex: 5, nx: true }), await text.zrange("z", 0, 1, { rev: true }), await text.multi().set("k", "v", o).execute()];
  same<[typeof without, typeof still, typeof queued], [boolean, string[], [string | boolean | null]]>(true);
  const [popped, member, type] = [await text.lpop("l", count), await text.spop("s", count), await text.json.type("j", path)];
  same<[typeof popped, typeof member], [string | string[] | null, string | Set<string> | null]>(true);
  same<typeof type, string | string[] | null>(true);
  // @ts-expect-error what is given may be the old value
  const lie: boolean = await text.set("k", "v", o);
  void lie;
};

/** Each command gives in one go what its method gives, whatever the view. */
export const executed = async (): Promise<void> => {
  const view = text.with({ maps: "map", decodeResponses: false, integers: "bigint" });
  const inert = await view.execute([hgetall("h"), xread({ s: "0" }), smembers("s"), zmpop(["z"], "min"), lmpop(["l"], "left"), lrange("l", 0, 1)]);
  const direct = await Promise.all([view.hgetall("h"), view.xread({ s: "0" }), view.smembers("s"), view.zmpop(["z"], "min"), view.lmpop(["l"], "left"), view.lrange("l", 0, 1)]);
  same<typeof inert, typeof direct>(true);
  const entries = text.with({ maps: "entries", sets: "array" });
  const [listed, page] = [await entries.execute([hgetall("h"), smembers("s")]), await text.execute([hgetall("h"), smembers("s")])];
  same<typeof listed, [[key: string, value: string][], string[]]>(true);
  same<typeof page, [Record<string, string>, Set<string>]>(true);
  // what has names of its own is an object whatever maps are
  const [told, stream, commands, known, docs, functions] = await view.execute([info("server"), xinfoStream("x"), command(), commandInfo("get"), commandDocs("get"), functionList()]);
  const [asked, length, arity]: [Awaited<ReturnType<typeof view.info>>, bigint, bigint | undefined] = [told, stream.length, known[0]?.[1]];
  const [flags, deeper, summary, name] = [commands[0]?.[2], commands[0]?.[9]?.[0]?.[9]?.[0]?.[1], docs.get("get")?.summary, functions.get("lib")?.library_name];
  same<[typeof flags, typeof deeper, typeof summary, typeof name], [string[] | undefined, bigint | undefined, string | undefined, string | undefined]>(true);
  await text.pipelineStream([command(), commandInfo("get")]);
  void [asked, length, arity];
};

export const iterators = async (): Promise<void> => {
  const big = bytes.with({ integers: "bigint" });
  const scans: Iterators<Uint8Array> = big;
  for await (const [name, value] of scans.hscanIter("h")) same<[typeof name, typeof value], [Uint8Array, Uint8Array]>(true);
  for await (const [member, score] of big.zscanIter("z")) same<[typeof member, typeof score], [Uint8Array, number]>(true);
};

export const leases = async (): Promise<void> => {
  const lease = await views.lease();
  same<typeof lease, Lease<Uint8Array>>(true);
  const [selected, got, written, read] = [await lease.select(1), await lease.get("k"), await lease.wait(1, 10), await lease.with({ decodeResponses: true }).get("k")];
  same<[typeof selected, typeof got, typeof written, typeof read], [boolean, Uint8Array | null, number, string | null]>(true);
  await lease.release();
  // @ts-expect-error a lease is given back, not closed
  await lease.close();
  // @ts-expect-error what changes the connection that all share is a lease's
  await text.select(1);
  await text.ignoreReplies(async (quiet) => {
    const silence = await quiet.set("k", "v");
    same<typeof silence, void>(true);
  });
  const pool = new Pool({ maxConnections: 2 });
  const [shared, other] = [new Redis({ pool, decodeResponses: false }), text.duplicate({ decodeResponses: false })];
  same<typeof shared, Redis<Uint8Array>>(true);
  same<typeof other, Redis<Uint8Array>>(true);
  // @ts-expect-error how its clients decode is their own business
  new Pool({ decodeResponses: false });
};

export const mistakes = async (): Promise<void> => {
  // @ts-expect-error a key is text or bytes
  await text.set(1, 1);
  // @ts-expect-error a value is no object
  await text.set("a", {});
  // @ts-expect-error not an option of SET
  await text.set("a", 1, { foo: true });
  // @ts-expect-error NX and XX exclude each other
  await text.set("a", 1, { nx: true, xx: true });
  // @ts-expect-error only one expiration
  await text.set("a", 1, { ex: 1, px: 1 });
  // @ts-expect-error a direction is a literal
  await text.lmove("a", "b", "up", "left");
  // @ts-expect-error GEOSEARCH needs where from
  await text.geosearch("g", {}, { byradius: [1, "km"] });
  // @ts-expect-error not an option
  new Redis({ hots: "h" });
};

export const groups = async (): Promise<void> => {
  await text.geoadd("g", [[1, 2, "a"]]);
  await text.geoadd("g", [1, 2, "a"], [3, 4, "b"]);
  await text.clusterAddslotsrange([[0, 5]]);
  await text.clusterAddslotsrange([0, 5], [8, 9]);
  // @ts-expect-error a single group is in an array too
  await text.geoadd("g", [1, 2, "a"]);
  // @ts-expect-error
  await text.ts.madd(["a", 1, 2]);
  // @ts-expect-error
  await text.json.mset(["a", "$", "1"]);
  // @ts-expect-error
  await text.clusterAddslotsrange([0, 5]);
  // @ts-expect-error
  await text.ardelrange("a", [0, 5]);
  const found = await text.argrep("a", 0, 5, { exact: "x" }, { glob: "y*" });
  const pairs = await text.argrep("a", 0, 5, [{ exact: "x" }], { withvalues: true });
  same<[typeof found, typeof pairs], [number[], [number, string][]]>(true);
  // @ts-expect-error options come behind an array
  await text.argrep("a", 0, 5, { exact: "x" }, { withvalues: true });
  await text.ft.create("i", { fieldName: "a", text: true }, { fieldName: "b", numeric: true });
  await text.ft.create("i", [{ fieldName: "a", text: true }], { on: "json" });
  await text.ft.aggregate("i", "*", [{ limit: [0, 1] }], { verbatim: true });
  await text.ft.aggregate("i", "*", { verbatim: true });
  // @ts-expect-error a step alone could be the options
  await text.ft.aggregate("i", "*", { limit: [0, 1] });
};

export const choices = async (): Promise<void> => {
  await text.replicaof("no", "one");
  await text.replicaof("host", 6379);
  await text.replicaof("no", 6379);
  // @ts-expect-error ONE goes with NO
  await text.replicaof("host", "one");
  await text.clientKill("1.2.3.4:5");
  await text.clientKill({ skipme: "yes" });
  // @ts-expect-error a filter at least
  await text.clientKill({});
  // @ts-expect-error
  await text.clientKill(true);
  await text.hotkeysStart({ net: true, count: 5 });
  // @ts-expect-error a metric at least
  await text.hotkeysStart();
  // @ts-expect-error
  await text.hotkeysStart({ count: 5 });
  await text.bitfield("b", { get: ["u8", 0] }, { overflow: "sat" }, { overflow: "fail", incrby: ["u8", 0, 1] });
  // @ts-expect-error one operation each
  await text.bitfield("b", { get: ["u8", 0], incrby: ["u8", 0, 1] });
  // @ts-expect-error
  await text.bitfield("b", {});
};

export const builders = async (): Promise<void> => {
  const exact = text.with({ integers: "bigint" });
  const builder = exact.bitfield("b").get("u8", 0).overflow("fail").incrby("u8", 0, 1);
  const [awaited, executed, read] = [await builder, await builder.execute(), await text.bitfieldRo("b").get("u8", 0)];
  same<[typeof awaited, typeof executed, typeof read], [(bigint | null)[], (bigint | null)[], number[]]>(true);
  const pipe = text.pipeline().get("a").bitfield("b").set("u8", 0, 1).execute().bitfieldRo("b").get("u8", 0).execute().incr("n");
  same<typeof pipe, Pipeline<string, [string | null, (number | null)[], number[], number]>>(true);
  const [longer, direct] = [await exact.pipeline().bitfield("b").get("u8", 0), text.pipeline().bitfield("b", { get: ["u8", 0] })];
  same<[typeof longer, typeof direct], [Pipeline<string, [(bigint | null)[]], bigint>, Pipeline<string, [(number | null)[]]>]>(true);
  const watching = await text.pipeline().watch("b");
  const [at, later] = [await watching.bitfieldRo("b").get("u8", 0), watching.multi().bitfieldRo("b").get("u8", 0).execute()];
  same<[typeof at, typeof later], [number[], Pipeline<string, [number[]]>]>(true);
  const inert = await exact.execute([bitfield("b").get("u8", 0).execute(), bitfieldRo("b").get("u8", 0).execute(), bitfield("b", { get: ["u8", 0] })]);
  same<typeof inert, [(bigint | null)[], bigint[], (bigint | null)[]]>(true);
  const [raw, queued] = [await text.with({ raw: true }).bitfield("b").get("u8", 0), text.with({ raw: true }).pipeline().bitfield("b").get("u8", 0).execute()];
  same<[typeof raw, typeof queued], [unknown, RawPipeline]>(true);
  const named: [Bitfield, BitfieldReader, Bitfield<Promise<(bigint | null)[]>>] = [text.bitfield("b"), text.bitfieldRo("b"), builder];
  // @ts-expect-error it only reads
  text.pipeline().bitfieldRo("b").set("u8", 0, 1);
  // @ts-expect-error a builder is no command yet
  await text.execute([bitfield("b").get("u8", 0)]);
  void named;
};

export const raws = async (): Promise<void> => {
  const raw = bytes.with({ integers: "bigint" }).with({ raw: true });
  const all = await raw.pipeline().get("a").call("GET", "a").incr("n").execute();
  const each = await raw.multi().get("a").execute({ raiseOnError: false });
  const inert = await raw.execute([get("a")]);
  same<[typeof all, typeof each, typeof inert], [unknown[], unknown[], unknown[]]>(true);
  const watched = await raw.transaction(async (watching) => {
    const now = await watching.get("a");
    same<typeof now, unknown>(true);
    return watching.multi().set("a", 1);
  }, ["a"]);
  same<typeof watched, unknown[]>(true);
  const decoded = raw.with({ raw: false });
  const still = await raw.with({ timeout: 5 }).get("a");
  same<[typeof still, Awaited<ReturnType<typeof decoded.incr>>, Awaited<ReturnType<typeof decoded.get>>], [unknown, bigint, Uint8Array | null]>(true);
  const lease = await raw.lease();
  const [selected, got] = [await lease.select(1), await lease.get("a")];
  same<[typeof selected, typeof got], [unknown, unknown]>(true);
  // @ts-expect-error what text becomes is said where replies are decoded
  raw.with({ decodeResponses: true });
  const other = await (await text.lease()).with({ raw: true }).get("a");
  same<typeof other, unknown>(true);
  const back = (await bytes.with({ integers: "bigint" }).lease()).with({ raw: true }).with({ timeout: 5 }).with({ raw: false });
  const lent = lease.with({ raw: false });
  same<[typeof back, typeof lent], [Lease<Uint8Array, bigint>, unknown]>(true);
  const scripted = text.registerScript("return 1")({ client: raw.pipeline() });
  same<typeof scripted, ReturnType<typeof raw.pipeline>>(true);
};

type User = { name: string };
const users = text.with({ adapter: json as Adapter<User, User> });

export const adapters = async (): Promise<void> => {
  await users.set("k", { name: "a" }, { ex: 10, ifeq: { name: "b" } });
  await users.sadd("s", { name: "a" }, { name: "b" });
  await users.zadd("z", [[{ name: "a" }, 1]]);
  const [one, hash, members, keys] = [await users.get("k"), await users.hgetall("h"), await users.smembers("s"), await users.keys("*")];
  same<[typeof one, typeof hash, typeof members, typeof keys], [User | null, Record<string, User>, Set<User>, Set<string>]>(true);
  const [popped, page, entries] = [await users.blpop(["l"], 1), await users.zscan("z", "0"), await users.with({ maps: "map" }).xrange("x", "-", "+")];
  same<[typeof popped, typeof page], [[key: string, element: User] | null, [cursor: string, members: [User, number][]]]>(true);
  same<typeof entries, [id: string, fields: Map<string, User> | null][]>(true);
  const all = await users.multi().set("k", { name: "a" }).get("k").strlen("k").execute();
  same<typeof all, [boolean, User | null, number]>(true);
  const inert = await users.execute([get("k"), hgetall("h")]);
  same<typeof inert, [User | null, Record<string, User>]>(true);
  for await (const [field, value] of users.hscanIter("h")) same<[typeof field, typeof value], [string, User]>(true);
  const dates = { encode: (date: Date) => date.getTime(), decode: (data: string) => new Date(Number(data)) };
  const when = await text.with({ adapter: dates, integers: "bigint" }).lpop("l");
  same<typeof when, Date | null>(true);
  const jobs = text.with({ adapter: json as Adapter<[name: string, id: number]> });
  await jobs.set("k", ["mail", 1]);
  await jobs.rpush("q", [["mail", 1]]);
  await jobs.rpush("q", ["mail", 1], ["mail", 2]);
  await jobs.hset("h", { a: ["mail", 1] });
  // @ts-expect-error one array is the list
  await jobs.rpush("q", ["mail", 1]);
  // @ts-expect-error
  await jobs.bf.madd("q", ["mail", 1]);
  const mixed = text.with({ adapter: json as Adapter<string | string[]> });
  await mixed.rpush("q", "a");
  await mixed.rpush("q", ["a"], "b");
  const anything = text.with({ adapter: json });
  await anything.rpush("q", { name: "a" });
  await anything.rpush("q", 1);
  // @ts-expect-error a view of bytes has no strings to decode
  bytes.with({ adapter: dates });
  // @ts-expect-error the adapter takes users
  await users.set("k", "text");
  // @ts-expect-error keys are adapted by nobody
  await users.get({ name: "a" });
};

export const kept = (): void => {
  const cached = new Redis({ cache: { mode: "broadcast", prefixes: ["a:", new Uint8Array(1)], ttl: 5 }, decodeResponses: false });
  const { cacheStats } = cached.with({ cache: false });
  same<typeof cached, Redis<Uint8Array>>(true);
  same<typeof cacheStats, CacheStats | undefined>(true);
  // @ts-expect-error there is no such mode
  new Redis({ cache: { mode: "both" } });
};
