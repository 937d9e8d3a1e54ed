// How calls become words, worked out by hand from the rules: the hard cases. `tests/vectors` has all options of all commands.
import assert from "node:assert/strict";
import { test } from "node:test";
import { json } from "redwire/adapters";
import { faked } from "./support/client.mjs";
import { ok } from "./support/resp.mjs";
import { outcome } from "./support/until.mjs";

const bytes = Buffer.from("bytes");
const cases = [
  [(r) => r.json.get("k", ["$.a", "$.b"], { indent: "  " }), ["JSON.GET", "k", "INDENT", "  ", "$.a", "$.b"]],
  [(r) => r.json.get("k", "$.a", "$.b"), "JSON.GET k $.a $.b"],
  [(r) => r.json.get("k", { indent: "x" }), "JSON.GET k INDENT x"],
  [(r) => r.pubsubNumsub("a", "b"), "PUBSUB NUMSUB a b"],
  [(r) => r.pubsubNumsub(["a", "b"]), "PUBSUB NUMSUB a b"],
  [(r) => r.zadd("z", { a: 1, b: 2.5 }), "ZADD z 1 a 2.5 b"],
  [(r) => r.zadd("z", new Map([["a", 1], [bytes, Infinity]])), "ZADD z 1 a inf bytes"],
  [(r) => r.zadd("z", [["a", 1]], { gt: true, ch: true }), "ZADD z GT CH 1 a"],
  [(r) => r.zadd("z", { a: -Infinity }, { xx: true, incr: true }), "ZADD z XX INCR -inf a"],
  [(r) => r.json.strappend("k", '"v"', "$.a"), 'JSON.STRAPPEND k $.a "v"'],
  [(r) => r.json.strappend("k", '"v"'), 'JSON.STRAPPEND k "v"'],
  [(r) => r.hexpire("h", 10, ["a", "b"], { nx: true }), "HEXPIRE h 10 NX FIELDS 2 a b"],
  [(r) => r.xread({ a: "0", b: "$" }, { count: 2, block: 0 }), "XREAD COUNT 2 BLOCK 0 STREAMS a b 0 $"],
  [(r) => r.xread(new Map([[bytes, "0"]])), "XREAD STREAMS bytes 0"],
  [(r) => r.xreadgroup("g", "c", { a: ">" }, { count: 1, noack: true }), "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a >"],
  [(r) => r.bf.insert("f", ["a", "b"], { capacity: 10, nocreate: true }), "BF.INSERT f CAPACITY 10 NOCREATE ITEMS a b"],
  [(r) => r.ts.mget(["a=1"], { latest: true, withlabels: true }), "TS.MGET LATEST WITHLABELS FILTER a=1"],
  [(r) => r.ft.profile("i", "search", "q", ["NOCONTENT"], { limited: true }), "FT.PROFILE i SEARCH LIMITED QUERY q NOCONTENT"],
  [(r) => r.geosearch("g", { frommember: "m" }, { byradius: [5, "km"] }, { count: 3 }), "GEOSEARCH g FROMMEMBER m BYRADIUS 5 KM COUNT 3"],
  [(r) => r.geosearch("g", { fromlonlat: [1.5, 2] }, { bybox: [1, 2, "m"] }, { count: 5, any: true, asc: true, withdist: true }), "GEOSEARCH g FROMLONLAT 1.5 2 BYBOX 1 2 M ASC COUNT 5 ANY WITHDIST"],
  [(r) => r.clusterSetslot(5, "stable"), "CLUSTER SETSLOT 5 STABLE"],
  [(r) => r.clusterSetslot(5, { node: "id" }), "CLUSTER SETSLOT 5 NODE id"],
  [(r) => r.flushall({ async: true }), "FLUSHALL ASYNC"],
  [(r) => r.geodist("g", "a", "b", { km: true }), "GEODIST g a b KM"],
  [(r) => r.bitcount("k", 0, -1, { bit: true }), "BITCOUNT k 0 -1 BIT"],
  [(r) => r.bitpos("k", 1, 0, -1, { byte: true }), "BITPOS k 1 0 -1 BYTE"],
  [(r) => r.zunionstore("d", ["a", "b"], { weights: [1, 2], aggregate: "max" }), "ZUNIONSTORE d 2 a b WEIGHTS 1 2 AGGREGATE MAX"],
  [(r) => r.xadd("s", "*", { a: 1 }, { nomkstream: true, maxlen: 1000, approximately: true, limit: 10 }), "XADD s NOMKSTREAM MAXLEN ~ 1000 LIMIT 10 * a 1"],
  [(r) => r.xgroupCreate("s", "g", "$", { mkstream: true, entriesread: 3 }), "XGROUP CREATE s g $ MKSTREAM ENTRIESREAD 3"],
  [(r) => r.aclLog(10), "ACL LOG 10"],
  [(r) => r.aclLog("reset"), "ACL LOG RESET"],
  [(r) => r.clientKill("1.2.3.4:5"), "CLIENT KILL 1.2.3.4:5"],
  [(r) => r.clientKill({ type: "normal", skipme: "yes" }), "CLIENT KILL TYPE NORMAL SKIPME YES"],
  [(r) => r.bitfield("k", [{ get: ["u8", 0] }, { overflow: "sat", incrby: ["i5", 0, 1] }]), "BITFIELD k GET u8 0 OVERFLOW SAT INCRBY i5 0 1"],
  [(r) => r.bitfield("k", { get: ["u8", 0] }, { overflow: "sat" }, { incrby: ["i5", 0, 1] }), "BITFIELD k GET u8 0 OVERFLOW SAT INCRBY i5 0 1"],
  [(r) => r.bitfield("k").overflow("sat").incrby("i5", 0, 1).incrby("i5", 5, 1).execute(), "BITFIELD k OVERFLOW SAT INCRBY i5 0 1 INCRBY i5 5 1"],
  [(r) => r.argrep("a", 0, 5, { exact: "x" }, { glob: "y*" }), "ARGREP a 0 5 EXACT x GLOB y*"],
  [(r) => r.argrep("a", 0, 5, [{ exact: "x" }], { withvalues: true }), "ARGREP a 0 5 EXACT x WITHVALUES"],
  [(r) => r.ft.create("i", { fieldName: "t", text: true }, { fieldName: "n", numeric: true }), "FT.CREATE i SCHEMA t TEXT n NUMERIC"],
  [(r) => r.ft.create("i", { fieldName: "t", text: true }), "FT.CREATE i SCHEMA t TEXT"],
  [(r) => r.ft.aggregate("i", "*", { verbatim: true }), "FT.AGGREGATE i * VERBATIM"],
  [(r) => r.with({ adapter: json }).bf.insert("f", { a: 1 }, { a: 2 }), ["BF.INSERT", "f", "ITEMS", '{"a":1}', '{"a":2}']],
  [(r) => r.with({ adapter: json }).bf.insert("f", [{ a: 1 }], { nocreate: true }), ["BF.INSERT", "f", "NOCREATE", "ITEMS", '{"a":1}']],
  [(r) => r.clusterAddslotsrange([0, 5], [8, 9]), "CLUSTER ADDSLOTSRANGE 0 5 8 9"],
  [(r) => r.zrangebyscore("z", "(1", "+inf", { limit: [0, 10], withscores: true }), "ZRANGEBYSCORE z (1 +inf WITHSCORES LIMIT 0 10"],
  [(r) => r.migrate("h", 1, "k", 0, 5, { copy: true, auth2: ["u", "p"] }), "MIGRATE h 1 k 0 5 COPY AUTH2 u p"],
  [(r) => r.migrate("h", 1, "", 0, 5, { keys: ["a", "b"] }), ["MIGRATE", "h", "1", "", "0", "5", "KEYS", "a", "b"]],
  [(r) => r.ts.mrange("-", "+", ["a=1"], { groupby: ["label", "max"] }), "TS.MRANGE - + FILTER a=1 GROUPBY label REDUCE max"],
  [(r) => r.ts.create("t", { labels: { a: "1" }, duplicatePolicy: "last", chunkSize: 128, ignore: [1, 2] }), "TS.CREATE t CHUNK_SIZE 128 DUPLICATE_POLICY LAST IGNORE 1 2 LABELS a 1"],
  [(r) => r.ft.search("i", "q", { return: ["a", { identifier: "b", as: "c" }] }), "FT.SEARCH i q RETURN 4 a b AS c"],
  [(r) => r.ft.search("i", "q", { summarize: true, sortby: { by: "x", desc: true }, limit: [0, 5], params: { a: 1 } }), "FT.SEARCH i q SUMMARIZE SORTBY x DESC LIMIT 0 5 PARAMS 2 a 1"],
  [(r) => r.ft.aggregate("i", "*", [{ groupby: { property: ["@a"], reduce: [{ function: "count", arg: [] }] } }, { limit: [0, 1] }], { withcursor: true }), "FT.AGGREGATE i * GROUPBY 1 @a REDUCE count 0 LIMIT 0 1 WITHCURSOR"],
  [(r) => r.xinfoStream("s", { full: true, count: 10 }), "XINFO STREAM s FULL COUNT 10"],
  [(r) => r.xpending("s", "g", "-", "+", 10, "c", { idle: 5 }), "XPENDING s g IDLE 5 - + 10 c"],
  [(r) => r.xpending("s", "g"), "XPENDING s g"],
  [(r) => r.hrandfield("h", 2, { withvalues: true }), "HRANDFIELD h 2 WITHVALUES"],
  [(r) => r.xtrim("s", "maxlen", 1000, { approximately: true }), "XTRIM s MAXLEN ~ 1000"],
  [(r) => r.xtrim("s", "minid", "5-0", { equal: true, limit: 3 }), "XTRIM s MINID = 5-0 LIMIT 3"],
  [(r) => r.clusterAddslotsrange([[0, 5], [8, 9]]), "CLUSTER ADDSLOTSRANGE 0 5 8 9"],
  [(r) => r.mset({ a: 1, b: bytes }), "MSET a 1 b bytes"],
  [(r) => r.mset([["a", 1], ["a", 2]]), "MSET a 1 a 2"],
  [(r) => r.configSet({ maxmemory: "1mb", "save": "" }), ["CONFIG", "SET", "maxmemory", "1mb", "save", ""]],
  [(r) => r.geoadd("g", [[1, 2, "a"], [3, 4, "b"]], { nx: true, ch: true }), "GEOADD g NX CH 1 2 a 3 4 b"],
  [(r) => r.geoadd("g", [[1, 2, "a"]]), "GEOADD g 1 2 a"],
  [(r) => r.ts.madd([["a", 1, 2], ["b", "*", 3]]), "TS.MADD a 1 2 b * 3"],
  [(r) => r.ft.create("i", [{ fieldName: "t", text: true, sortable: true }, { fieldName: "n", as: "m", numeric: true }], { on: "hash", prefix: ["h:"] }), "FT.CREATE i ON HASH PREFIX 1 h: SCHEMA t TEXT SORTABLE n AS m NUMERIC"],
  [(r) => r.blpop(["a"], 0.5), "BLPOP a 0.5"],
  [(r) => r.eval("return 1"), ["EVAL", "return 1", "0"]],
  [(r) => r.eval("s", undefined, ["x"]), "EVAL s 0 x"],
  [(r) => r.eval("s", [], ["x", 1]), "EVAL s 0 x 1"],
  [(r) => r.eval("s", ["k"], "x", 1n), "EVAL s 1 k x 1"],
  [(r) => r.ft.list(), "FT._LIST"],
  [(r) => r.zrange("z", 0, 5, { rev: true }), "ZRANGE z 0 5 REV"],
  [(r) => r.zrange("z", "[a", "+", { bylex: true, limit: [0, 1] }), "ZRANGE z [a + BYLEX LIMIT 0 1"],
  [(r) => r.scan(0, { match: "a*", count: 10, type: "hash" }), "SCAN 0 MATCH a* COUNT 10 TYPE hash"],
  [(r) => r.set("k", "v", { exat: new Date(1_900_000_000_000), get: true }), "SET k v GET EXAT 1900000000"],
  [(r) => r.set("k", "v", { px: 5n, nx: true }), "SET k v NX PX 5"],
  [(r) => r.set("k", "v", { ex: undefined, nx: false }), "SET k v"],
  [(r) => r.lmpop(["a", "b"], "left", { count: 2 }), "LMPOP 2 a b LEFT COUNT 2"],
  [(r) => r.bzmpop(0, ["a"], "min"), "BZMPOP 0 1 a MIN"],
  [(r) => r.sort("k", { by: "w_*", limit: [0, 3], get: ["a", "#"], desc: true, alpha: true, store: "d" }), "SORT k BY w_* LIMIT 0 3 GET a GET # DESC ALPHA STORE d"],
  [(r) => r.xautoclaim("s", "g", "c", 5, "0", { count: 2, justid: true }), "XAUTOCLAIM s g c 5 0 COUNT 2 JUSTID"],
  [(r) => r.xclaim("s", "g", "c", 5, ["1-0", "2-0"], { retrycount: 1, force: true }), "XCLAIM s g c 5 1-0 2-0 RETRYCOUNT 1 FORCE"],
  [(r) => r.lcs("a", "b", { idx: true, minmatchlen: 2, withmatchlen: true }), "LCS a b IDX MINMATCHLEN 2 WITHMATCHLEN"],
  [(r) => r.sintercard(["a", "b"], { limit: 1 }), "SINTERCARD 2 a b LIMIT 1"],
  [(r) => r.copy("a", "b", { db: 1, replace: true }), "COPY a b DB 1 REPLACE"],
  [(r) => r.lpos("l", "e", { rank: -1, count: 0, maxlen: 5 }), "LPOS l e RANK -1 COUNT 0 MAXLEN 5"],
  [(r) => r.linsert("l", "before", "p", "e"), "LINSERT l BEFORE p e"],
  [(r) => r.lmove("a", "b", "left", "right"), "LMOVE a b LEFT RIGHT"],
  [(r) => r.restore("k", 0, bytes, { replace: true, idletime: 5 }), "RESTORE k 0 bytes REPLACE IDLETIME 5"],
  [(r) => r.functionLoad("#!lua", { replace: true }), "FUNCTION LOAD REPLACE #!lua"],
  [(r) => r.replicaof("no", "one"), "REPLICAOF NO ONE"],
  [(r) => r.replicaof("no", 6379), "REPLICAOF NO 6379"],
  [(r) => r.slaveof("h", 6379), "SLAVEOF h 6379"],
  [(r) => r.vadd("v", { values: [0.5, 1] }, "e", { noquant: true, setattr: "{}" }), "VADD v VALUES 2 0.5 1 e NOQUANT SETATTR {}"],
  [(r) => r.vsim("v", { ele: "e" }, { withscores: true, count: 3, filterEf: 5 }), "VSIM v ELE e WITHSCORES COUNT 3 FILTER-EF 5"],
  [(r) => r.memoryUsage("k", { samples: 0 }), "MEMORY USAGE k SAMPLES 0"],
  [(r) => r.expire("k", 5, { gt: true }), "EXPIRE k 5 GT"],
  [(r) => r.getex("k", { persist: true }), "GETEX k PERSIST"],
  [(r) => r.zrangestore("d", "s", 0, -1, { byscore: true, rev: true }), "ZRANGESTORE d s 0 -1 BYSCORE REV"],
  [(r) => r.hsetex("h", { f: 1 }, { ex: 5, fnx: true }), "HSETEX h FNX EX 5 FIELDS 1 f 1"],
  [(r) => r.hgetex("h", ["f"], { px: 5 }), "HGETEX h PX 5 FIELDS 1 f"],
  [(r) => r.zinter(["a", "b"], { weights: [1, 2.5], withscores: true }), "ZINTER 2 a b WEIGHTS 1 2.5 WITHSCORES"],
  [(r) => r.hotkeysStart({ cpu: true, net: true, count: 20 }), "HOTKEYS START METRICS 2 CPU NET COUNT 20"],
];

for (const [call, expected] of cases) {
  const words = Array.isArray(expected) ? expected : expected.split(" ");
  test(words.join(" "), async (t) => {
    const { fake, redis } = faked(t, () => ok, { verifyVersion: false });
    const { error } = await outcome(call(redis));
    assert.ok(!(error instanceof TypeError), `${error}`);
    assert.deepEqual(fake.commands, [words]);
  });
}

for (const [what, call, message] of [
  ["an empty filter", (r) => r.clientKill({}), /^clientKill: parameter 'filter' expected .*, got an empty one$/],
  ["no filter", (r) => r.clientKill(true), /^clientKill: parameter 'filter' expected /],
  ["no metric", (r) => r.hotkeysStart({ count: 5 }), /^hotkeysStart: parameter 'options' expected one of 'cpu', 'net', got none$/],
  ["no operation", (r) => r.bitfield("k", [{}]), /^bitfield: parameter 'operation' expected one of 'overflow', 'get', 'set', 'incrby', got none$/],
  ["a single group", (r) => r.geoadd("g", [1, 2, "a"]), /^geoadd: parameter 'data' expected /],
]) {
  test(`${what} is refused, and nothing is sent`, async (t) => {
    const { fake, redis } = faked(t, () => ok, { verifyVersion: false });
    const { error } = await outcome(call(redis));
    assert.ok(error instanceof TypeError);
    assert.match(error.message, message);
    assert.equal(fake.links.length, 0);
  });
}
