// The seed's chapter on library functions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandNotSupportedError, Library, RedisError, ResponseError } from "redwire";
import { faked, keepAlive } from "./support/client.mjs";
import { everywhere } from "./support/everywhere.mjs";
import { handshake } from "./support/fake.mjs";
import { array, bulk, error } from "./support/resp.mjs";
import { rejection } from "./support/until.mjs";

const code = `
#!lua name=mylib

redis.register_function('echo', function(k, a)
    return a[1]
end)
redis.register_function('ping', function()
    return "PONG"
end)
redis.register_function('get', function(k, a)
    return redis.call("GET", k[1])
end)
redis.register_function('hmmget', function(k, a)
    local values = {}
    local fields = {}
    local response = {}
    local i = 1
    local j = 1

    while a[i] do
        fields[j] = a[i]
        i = i + 2
        j = j + 1
    end

    for idx, key in ipairs(k) do
        values = redis.call("HMGET", key, unpack(fields))
        for idx, value in ipairs(values) do
            if not response[idx] and value then
                response[idx] = value
            end
        end
    end
    for idx, value in ipairs(fields) do
        if not response[idx] then
            response[idx] = a[idx*2]
        end
    end
    return response
end)`;

class MyLib extends Library {
  static NAME = "mylib";
  static CODE = code;
  echo = Library.wraps("echo", (value) => ({ args: [value] }));
  ping = Library.wraps("ping", () => ({}));
  get = Library.wraps("get", (key) => ({ keys: [key] }));
  hmmget = Library.wraps(
    "hmmget",
    (keys, defaults) => ({ keys, args: Object.entries(defaults).flat() }),
    (values) => values.map(Number),
  );
  missing = Library.wraps("missing", () => ({}));
}

everywhere((world) => {
  test("[promises 58, 60, 64, 65, 67] a library is registered, and its functions called", async () => {
    const { redis } = world;
    const library = await redis.registerLibrary("mylib", code, { replace: true });
    assert.deepEqual(Object.keys(library.functions).sort(), ["echo", "get", "hmmget", "ping"]);
    assert.equal(await library.functions.echo({ args: ["hello world"] }), "hello world");
    assert.equal(await library.functions.ping({}), "PONG");
    assert.equal(await library.functions.ping(), "PONG");
    await redis.set("co", "redis");
    assert.equal(await library.functions.get({ keys: ["co"], args: [] }), "redis");
    assert.equal(library.functions.nothing, undefined);
  });

  test("[promises 61, 62] a library that is there is not replaced unasked", async () => {
    const { redis } = world;
    await redis.registerLibrary("mylib", code, { replace: true });
    for (const again of [redis.registerLibrary("mylib", code), redis.registerLibrary(MyLib), redis.registerLibrary("mylib", code, { replace: false })]) {
      const refused = await rejection(again);
      assert.ok(refused instanceof ResponseError && /already exists/.test(refused.message), String(refused));
    }
    assert.ok((await redis.registerLibrary("mylib", code, { replace: true })) instanceof Library);
  });

  test("[promise 63] a library that is there is loaded by its name, or as a class", async () => {
    const { redis } = world;
    await redis.registerLibrary("mylib", code, { replace: true });
    for (const library of [await redis.loadLibrary("mylib"), await redis.getLibrary("mylib")]) assert.equal(await library.functions.echo({ args: [1] }), "1");
    assert.equal(await (await redis.loadLibrary(MyLib)).echo("x"), "x");
    for (const name of ["other", "my*", "__proto__"]) {
      const missing = await rejection(redis.loadLibrary(name));
      assert.ok(missing instanceof RedisError);
      assert.equal(missing.message, `No library found for ${name}`);
    }
  });

  test("[promise 66] functions are called by FCALL, those that do not write by FCALL_RO", async () => {
    const { redis } = world;
    const flagged = `#!lua name=flagged
      redis.register_function('writes', function(k, a) return redis.call('SET', k[1], a[1]) end)
      redis.register_function{function_name='reads', callback=function(k, a) return redis.call('GET', k[1]) end, flags={'no-writes'}}`;
    const { functions } = await redis.registerLibrary("flagged", flagged, { replace: true });
    await redis.configResetstat();
    assert.equal(await functions.writes({ keys: ["k"], args: ["v"] }), "OK");
    assert.equal(await functions.reads({ keys: ["k"] }), "v");
    assert.equal(await functions.reads({ keys: ["k"], readonly: false }), "v");
    const stats = await redis.info("commandstats");
    assert.deepEqual([stats.cmdstat_fcall.calls, stats.cmdstat_fcall_ro.calls], [2, 1]);
    assert.ok((await rejection(functions.writes({ keys: ["k"], args: ["v"], readonly: true }))) instanceof ResponseError);
  });

  test("[promises 68, 69, 70, 71, 72, 73, 74, 75, 76] a class binds a library's functions to methods", async () => {
    const { redis } = world;
    const lib = await redis.registerLibrary(MyLib, { replace: true });
    assert.ok(lib instanceof MyLib);
    assert.equal(await lib.ping(), "PONG");
    assert.equal(await lib.echo("hello world"), "hello world");
    await redis.del("k1", "k2");
    await redis.hset("k1", { a: 10, b: 20 });
    await redis.hset("k2", { c: 30, d: 40 });
    assert.deepEqual(await lib.hmmget(["k1", "k2"], { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }), [10, 20, 30, 40, 5, 6]);
    assert.deepEqual(await lib.functions.hmmget({ keys: ["k1"], args: ["a", 1, "z", 9] }), ["10", "9"]);
    const missing = await rejection(lib.missing());
    assert.ok(missing instanceof RedisError && /library mylib has no function missing/.test(missing.message), String(missing));
  });

  test("a library is given new code, and its functions change with it", async () => {
    const { redis } = world;
    const lib = await redis.registerLibrary(MyLib, { replace: true });
    assert.equal(await lib.update(code.replace("return a[1]", "return 'new ' .. a[1]").replaceAll("'ping'", "'pong'")), true);
    assert.equal(await lib.echo("x"), "new x");
    assert.deepEqual(Object.keys(lib.functions).sort(), ["echo", "get", "hmmget", "pong"]);
    for (const options of [null, "k", ["k"]]) assert.match((await rejection(lib.functions.pong(options))).message, /^pong: parameter 'options' expected an object, got (null|string|Array)$/);
    for (const client of [{}, null, 5]) assert.match((await rejection(lib.functions.pong({ client }))).message, /^pong: option 'client' expected a client, got (Object|null|number)$/);
    assert.ok((await rejection(lib.ping())) instanceof RedisError);
    const wrong = await rejection(lib.update("#!lua name=mylib\nthis is no lua"));
    assert.ok(wrong instanceof ResponseError);
    assert.equal(await lib.echo("x"), "new x");
    const alien = await rejection(lib.update("#!lua name=alien\nredis.register_function('alien', function() return 1 end)"));
    assert.match(alien.message, /the code is that of library alien/);
    for (const none of [5, undefined, null]) assert.match((await rejection(lib.update(none))).message, /^update: parameter 'code' expected string, got (number|undefined|null)$/);
    await redis.functionDelete("alien");
  });

  test("a library's code may be large", async () => {
    const { redis } = world;
    const size = 1 << 20;
    // characters of one, two and three bytes
    for (const character of ["x", "é", "日"]) {
      const large = `#!lua name=large\nlocal text = '${character.repeat(size)}'\nredis.register_function('size', function() return #text end)`;
      const { functions } = await redis.registerLibrary("large", large, { replace: true });
      assert.equal(await functions.size(), size * Buffer.byteLength(character));
    }
    await redis.functionDelete("large");
  });

  test("a library of a client that gives bytes gives bytes, under names that are text", async () => {
    const bytes = world.redis.with({ decodeResponses: false });
    const lib = await bytes.registerLibrary(MyLib, { replace: true });
    assert.deepEqual(Buffer.from(await lib.echo("é")), Buffer.from("é"));
    assert.deepEqual(Object.keys(lib.functions).sort(), ["echo", "get", "hmmget", "ping"]);
    assert.equal(await lib.functions.echo({ args: ["é"], client: world.redis }), "é");
  });

  test("[promise 57] the commands of functions are there", async () => {
    const { redis } = world;
    await redis.functionFlush();
    assert.equal(await redis.functionLoad(code.trimStart()), "mylib");
    const { mylib } = await redis.functionList({ withcode: true });
    assert.equal(mylib.library_code, code.trimStart());
    assert.deepEqual(mylib.functions.echo, { name: "echo", description: null, flags: new Set() });
    assert.equal(await redis.fcall("echo", [], "a"), "a");
    const dump = await redis.with({ decodeResponses: false }).functionDump();
    assert.equal(await redis.functionDelete("mylib"), true);
    assert.equal(await redis.functionRestore(dump), true);
    assert.equal((await redis.functionStats()).engines.LUA.libraries_count, 1);
  });
});

test("[promise 59] a server before 7.0 has no libraries: CommandNotSupportedError, nothing sent", async (t) => {
  const { fake, redis } = faked(t, () => undefined, { greet: handshake(3, "6.2.0") });
  for (const call of [redis.registerLibrary("mylib", code), redis.registerLibrary(MyLib, { replace: true }), redis.loadLibrary("mylib")]) {
    const refused = await rejection(call);
    assert.ok(refused instanceof CommandNotSupportedError, String(refused));
    assert.match(refused.message, /FUNCTION (LOAD|LIST) needs version 7 of the server, which is 6\.2\.0/);
  }
  assert.deepEqual(fake.commands, []);
});

test("a library that the server refuses to load is not asked for", async (t) => {
  const { fake, redis } = faked(t, ([name]) => name === "FUNCTION" && error("READONLY You can't write against a read only replica."));
  const refused = await rejection(redis.registerLibrary("mylib", code));
  assert.deepEqual([refused.name, refused.code, refused.command, refused.maybeExecuted], ["ReadOnlyError", "READONLY", "FUNCTION LOAD", false]);
  assert.deepEqual([...new Set(fake.commands.map((words) => words.slice(0, 2).join(" ")))], ["FUNCTION LOAD"]);
});

test("a library is loaded once, though the connection is lost before it is listed", async (t) => {
  keepAlive(t);
  let lost = 0;
  const listed = array([array([bulk("library_name"), bulk("mylib"), bulk("engine"), bulk("LUA"), bulk("functions"), array([])])]);
  const answer = ([, what], link) => {
    if (what === "LOAD") return bulk("mylib");
    if (what !== "LIST") return undefined;
    if (lost++ > 0) return listed;
    link.end();
    return undefined;
  };
  const { fake, redis } = faked(t, answer, { retryDelay: 1 });
  const library = await redis.registerLibrary("mylib", `#!lua name=mylib\n${"-".repeat(1 << 17)}`);
  assert.deepEqual(Object.keys(library.functions), []);
  assert.deepEqual(fake.commands.map((words) => words[1]), ["LOAD", "LIST", "LIST"]);
  assert.equal(fake.commands[0][2].length, (1 << 17) + 17);
});

test("what is no library is refused, and nothing is sent", async (t) => {
  const { fake, redis } = faked(t, () => undefined);
  class Nameless extends Library {}
  class Codeless extends Library {
    static NAME = "codeless";
  }
  for (const call of [redis.registerLibrary(), redis.registerLibrary(1), redis.registerLibrary("", code), redis.registerLibrary("mylib"), redis.registerLibrary("mylib", 5), redis.registerLibrary(Nameless), redis.registerLibrary(Codeless, { replace: true }), redis.loadLibrary(null)]) {
    const refused = await rejection(call);
    assert.ok(refused instanceof TypeError, String(refused));
  }
  class Numbered extends Library {
    static NAME = "numbered";
    static CODE = 5;
  }
  for (const call of [redis.registerLibrary("numbered", 5), redis.registerLibrary(Numbered)]) {
    assert.equal((await rejection(call)).message, "registerLibrary: parameter 'code' expected the code of library numbered, got number");
  }
  assert.deepEqual(fake.commands, []);
  const unbound = new MyLib();
  for (const refused of [await rejection(unbound.echo("x")), await rejection((async () => unbound.functions)())]) assert.match(refused.message, /the library has no client/);
  const { echo } = unbound;
  assert.ok((await rejection(echo("x"))) instanceof TypeError);
});
