import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { Redis } from "redwire";
import { Fake } from "./support/fake.mjs";
import { ok } from "./support/resp.mjs";
import { within } from "./support/until.mjs";

/** What a client connects to and says first, from its arguments. */
const seen = async (...args) => {
  let options = typeof args.at(-1) === "object" ? args.pop() : {};
  const greeted = [];
  let endpoint;
  const fake = new Fake(() => Buffer.from("+PONG\r\n"), {
    greet: (words) => {
      if (words[0] === "PING") return undefined;
      greeted.push(words.join(" "));
      return words[0] === "HELLO" ? Buffer.from("%1\r\n$5\r\nproto\r\n:3\r\n") : ok;
    },
  });
  const connector = (given, sink, signal) => {
    endpoint = given;
    return fake.connector(given, sink, signal);
  };
  const redis = args.length > 0 ? new Redis(args[0], { connector, ...options }) : new Redis({ connector, ...options });
  await within(redis.ping());
  redis.destroy();
  return { endpoint, greeted: greeted.filter((command) => !/^(CLIENT SETINFO|INFO)/.test(command)) };
};

describe("where it connects to, and as whom", () => {
  const tcp = (host, port, tls = null) => ({ kind: "tcp", host, port, tls });
  const unix = (path) => ({ kind: "unix", path, tls: null });
  for (const [args, endpoint, greeted] of [
    [[], tcp("localhost", 6379), ["HELLO 3"]],
    [["redis://"], tcp("localhost", 6379), ["HELLO 3"]],
    [["redis://h"], tcp("h", 6379), ["HELLO 3"]],
    [["redis://h:1234/"], tcp("h", 1234), ["HELLO 3"]],
    [["  redis://h:1234 \n"], tcp("h", 1234), ["HELLO 3"]],
    [["REDIS://h:1234"], tcp("h", 1234), ["HELLO 3"]],
    [["valkey://h/5"], tcp("h", 6379), ["HELLO 3", "SELECT 5"]],
    [["rediss://h"], tcp("h", 6379, {}), ["HELLO 3"]],
    [["valkeys://h:1"], tcp("h", 1, {}), ["HELLO 3"]],
    [["redis://[::1]:7000"], tcp("::1", 7000), ["HELLO 3"]],
    [["redis://h?db=3"], tcp("h", 6379), ["HELLO 3", "SELECT 3"]],
    [["redis://h/1?db=3", { db: 2 }], tcp("h", 6379), ["HELLO 3", "SELECT 3"]],
    [["redis://u:p@h?username=v&password=q", { username: "w", password: "r" }], tcp("h", 6379), ["HELLO 3 AUTH v q"]],
    [["redis://h?username=a+b&password=c+d%2Be"], tcp("h", 6379), ["HELLO 3 AUTH a+b c+d+e"]],
    [[new URL("redis://:p@h:1234/3"), {}], tcp("h", 1234), ["HELLO 3 AUTH default p", "SELECT 3"]],
    [["redis://@h"], tcp("h", 6379), ["HELLO 3"]],
    [["redis://:@h"], tcp("h", 6379), ["HELLO 3"]],
    [["redis://u:@h?password=p"], tcp("h", 6379), ["HELLO 3 AUTH u p"]],
    [["redis://:a%25b%2Fc%3Fd@h"], tcp("h", 6379), ["HELLO 3 AUTH default a%b/c?d"]],
    [["redis://:%E2%82%AC€@h"], tcp("h", 6379), ["HELLO 3 AUTH default €€"]],
    [["redis://[2001:db8::7]/3"], tcp("2001:db8::7", 6379), ["HELLO 3", "SELECT 3"]],
    [["redis://bücher.example"], tcp("bücher.example", 6379), ["HELLO 3"]],
    [["rediss://[::1]:7000"], tcp("::1", 7000, {}), ["HELLO 3"]],
    [["UNIX:///run/redis.sock"], unix("/run/redis.sock"), ["HELLO 3"]],
    [["unix://:secret@/run/redis.sock?db=1"], unix("/run/redis.sock"), ["HELLO 3 AUTH default secret", "SELECT 1"]],
    [["rediss://h", { tls: { servername: "s" } }], tcp("h", 6379, { servername: "s" }), ["HELLO 3"]],
    [["redis://h/0"], tcp("h", 6379), ["HELLO 3"]],
    [["redis://:secret@h"], tcp("h", 6379), ["HELLO 3 AUTH default secret"]],
    [["redis://user:secret@h"], tcp("h", 6379), ["HELLO 3 AUTH user secret"]],
    [["redis://user:%40%3A%2F%23%25%3D%2B@h"], tcp("h", 6379), ["HELLO 3 AUTH user @:/#%=+"]],
    [["redis://us%C3%A9r:p+=&w@h"], tcp("h", 6379), ["HELLO 3 AUTH usér p+=&w"]],
    [["redis://h?password=secret&clientName=me"], tcp("h", 6379), ["HELLO 3 AUTH default secret SETNAME me"]],
    [["redis://h?protocol=2&db=1"], tcp("h", 6379), ["SELECT 1"]],
    [["redis://:secret@h/2", { protocol: 2 }], tcp("h", 6379), ["AUTH secret", "SELECT 2"]],
    [["redis://u:secret@h", { protocol: 2, clientName: "me" }], tcp("h", 6379), ["AUTH u secret", "CLIENT SETNAME me"]],
    [["redis://a:1@h:1/1", { host: "other", port: 2, db: 2, username: "b", password: "3" }], tcp("other", 2), ["HELLO 3 AUTH b 3", "SELECT 2"]],
    [["unix:///run/redis.sock"], unix("/run/redis.sock"), ["HELLO 3"]],
    [["redis+unix:///run/a%20b.sock?db=2"], unix("/run/a b.sock"), ["HELLO 3", "SELECT 2"]],
    [[{ path: "/run/redis.sock", password: "p" }], unix("/run/redis.sock"), ["HELLO 3 AUTH default p"]],
    [[{ url: "redis://h:5", db: 1 }], tcp("h", 5), ["HELLO 3", "SELECT 1"]],
    [[{ host: "h", port: 5, tls: true }], tcp("h", 5, {}), ["HELLO 3"]],
    [[{ host: "h", tls: { servername: "s" } }], tcp("h", 6379, { servername: "s" }), ["HELLO 3"]],
    [[{ host: "h", tls: false, db: undefined, username: undefined }], tcp("h", 6379), ["HELLO 3"]],
  ]) {
    test(`[promise 11] ${inspect(args, { breakLength: Infinity })}`, async () => {
      assert.deepEqual(await seen(...args), { endpoint, greeted });
    });
  }
});

describe("wrong options name themselves and never their value", () => {
  for (const [name, values] of Object.entries({
    url: [1, null],
    host: ["", 1, null],
    port: [0, -1, 65536, 1.5, "6379", NaN, null],
    path: ["", 1],
    db: [-1, 1.5, "0", 2 ** 31, NaN],
    username: [1, null],
    password: [1, null, {}],
    tls: ["yes", 1, null],
    protocol: [1, 4, "3", "RESP3"],
    decodeResponses: ["true", 0, null],
    encoding: ["latin9", "utf8", 1],
    credentials: ["x", {}, null],
    noEvict: [1, "on", null],
    noTouch: [1, "on", null],
    queueTimeout: [-1, "5s"],
    retryDelay: [0, 1.5],
    maxRetryDelay: [0, -1],
    maxResends: [-1, 256, "3"],
    keepAlive: [-1, "15s"],
    retry: [1, {}, true, null],
    offlineQueue: [true, 1, null],
    highWater: [true, false, 1, null],
    maxReplyBytes: [0, 65_535, 2 ** 32, "1M", null],
    clientName: ["", "two words", "a\nb", "é", 1],
    connectTimeout: [-1, 1.5, "5s", Infinity, 2 ** 31],
    timeout: [-1, 0.5, "5s", NaN],
    connector: ["tcp", {}, null],
    nosuch: [1],
    constructor: [1],
    __proto_: [1],
  })) {
    test(name, () => {
      for (const value of values) {
        for (const make of [() => new Redis({ [name]: value }), () => new Redis("redis://h", { [name]: value }), () => Redis.fromUrl("redis://h", { [name]: value })]) {
          assert.throws(make, (error) => error instanceof TypeError && error.message.includes(`'${name}'`), `${name}: ${inspect(value)}`);
        }
      }
    });
  }

  test("what is wrong inside of an option is named with it", () => {
    for (const [options, name] of [
      [{ tls: { ca: 1 } }, "tls.ca"],
      [{ tls: { ca: [1] } }, "tls.ca"],
      [{ tls: { cert: {}, key: "k" } }, "tls.cert"],
      [{ tls: { minVersion: "1.2" } }, "tls.minVersion"],
      [{ tls: { servername: 1 } }, "tls.servername"],
      [{ tls: { dangerouslyAcceptAnyCertificate: "yes" } }, "tls.dangerouslyAcceptAnyCertificate"],
      [{ tls: { serverName: "x" } }, "tls.serverName"],
      [{ offlineQueue: { maxCommands: 0 } }, "offlineQueue.maxCommands"],
      [{ offlineQueue: { maxBytes: "1M" } }, "offlineQueue.maxBytes"],
      [{ offlineQueue: { onFull: "drop" } }, "offlineQueue.onFull"],
      [{ offlineQueue: { max: 1 } }, "offlineQueue.max"],
      [{ highWater: { maxCommands: -1 } }, "highWater.maxCommands"],
      [{ highWater: { onFull: "drop-oldest" } }, "highWater.onFull"],
    ]) {
      assert.throws(() => new Redis(options), (error) => error instanceof TypeError && error.message.includes(`'${name}'`), name);
    }
  });

  test("options that contradict each other", () => {
    assert.throws(() => new Redis("rediss://h", { tls: false }), /'tls: false' contradicts the URL/);
    assert.throws(() => new Redis("unix:///s", { port: 1 }), /'path'.*contradicts/);
    for (const [options, names] of [
      [{ retryDelay: 100, maxRetryDelay: 50 }, ["retryDelay", "maxRetryDelay"]],
      [{ minIdle: 3, maxConnections: 2 }, ["minIdle", "maxConnections"]],
      [{ minIdle: 9 }, ["minIdle", "maxConnections", "default"]],
      [{ tls: { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" } }, ["tls.minVersion", "tls.maxVersion"]],
      [{ tls: { cert: "c" } }, ["tls.cert", "tls.key"]],
      [{ password: "p", credentials: () => {} }, ["credentials", "password"]],
      [{ path: "/s", host: "h" }, ["path", "host"]],
      [{ path: "/s", port: 1 }, ["path", "port"]],
      [{ path: "/s", tls: true }, ["path", "tls"]],
      [{ username: "u" }, ["username", "password"]],
    ]) {
      assert.throws(() => new Redis(options), (error) => error instanceof TypeError && names.every((name) => error.message.includes(name)));
    }
  });

  test("what does not contradict", () => {
    for (const options of [
      { retryDelay: 5_000 },
      { retryDelay: 50, maxRetryDelay: 50 },
      { minIdle: 8 },
      { minIdle: 2, maxConnections: 2 },
      { tls: { minVersion: "TLSv1.3" } },
      { tls: { maxVersion: "TLSv1.2" } },
      { tls: { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" } },
    ]) {
      assert.doesNotThrow(() => new Redis(options), inspect(options));
    }
  });

  test("what is neither URL nor options", () => {
    for (const url of [1, true, () => {}, Symbol("x"), null]) assert.throws(() => new Redis(url), TypeError);
    for (const options of [1, "x", null, true]) assert.throws(() => new Redis("redis://h", options), TypeError);
  });

  test("objects that hold no options, though they are empty", () => {
    for (const given of [[], new Map([["ca", "x"]]), new Set(), new Date(), new Uint8Array(2), new URL("redis://h")]) {
      for (const name of ["tls", "cache", "offlineQueue", "highWater"]) assert.throws(() => new Redis({ [name]: given }), new RegExp(`'${name}' expected .*, got ${given.constructor.name}$`));
      assert.throws(() => new Redis("redis://h", given), new RegExp(`options: expected an object, got ${given.constructor.name}$`));
    }
    class Own {
      host = "h";
      tls = Object.create(null);
    }
    assert.equal(new Redis(new Own()).inspect().server, "h:6379");
  });
});

describe("wrong URLs are refused, and never repeated", () => {
  for (const url of [
    "",
    "h:6379",
    "//user:hunter2@h",
    "http://user:hunter2@h",
    "redis:hunter2@h",
    "redis://user:hunter2@h:port",
    "redis://user:hunter2@h:99999",
    "redis://user:hunter2@h:0",
    "redis://user:hunter2@h/db",
    "redis://user:hunter2@h/1/2",
    "redis://user:hunter2@h/-1",
    "redis://user:hunter2@h/99999999999",
    "redis://user:hunter2%@h",
    "redis://user:hunter2%ff@h",
    "redis://us%ffer:hunter2@h",
    "redis://user:hunter2@h?nosuch=hunter2",
    "redis://user:hunter2@h?db=hunter2",
    "redis://user:hunter2@h?db=",
    "redis://user:hunter2@h?db=1&db=2",
    "redis://user:hunter2@h?timeout=",
    "redis://user:1#hunter2@h",
    "redis://user:hun/ter2hunter2@h",
    "redis://h?hunter2@x",
    "redis://user:hunter2@h?timeout=hunter2",
    "redis://user:hunter2@h?protocol=hunter2",
    "redis://user@h",
    "redis://user:hunter2@[::1",
    "unix://user:hunter2@",
    "unix://user:hunter2@/",
    "redis+unix://",
  ]) {
    test(url === "" ? "an empty one" : url, () => {
      let error;
      assert.throws(() => new Redis(url), (thrown) => ((error = thrown), true));
      assert.ok(error instanceof TypeError, `${error}`);
      const everything = [error.message, error.stack, JSON.stringify(error), inspect(error, { depth: 10, showHidden: true })].join("\n");
      // the stack quotes no source line of this file's
      assert.doesNotMatch(everything, /hunter2/);
    });
  }
});

/** The options of an interface in the types that the package has: name, type and what is said about each. */
const optionsOf = (file, title) => {
  const types = readFileSync(new URL(`node_modules/redwire/types/${file}.d.ts`, import.meta.url), "utf8");
  const [, body] = new RegExp(`export interface ${title}(?: extends \\w+)? \\{\\n(.*?)\\n\\}`, "s").exec(types);
  const found = [...body.matchAll(/(?:\/\*\*((?:(?!\*\/).)*)\*\/\n)?\t(?:readonly )?(\w+)\?: ([^;]*);/gs)];
  return found.map(([, comment, name, type]) => ({ name, type, comment: comment?.replaceAll(/\s*\n\s*\*?\s*/g, " ") ?? "" }));
};
/** What is taken as it is given: an address, a secret, a function. Nothing stands for it where it is missing. */
const plain = new Set(["url", "path", "password", "credentials", "clientName", "pool", "connector", "ca", "cert", "key", "passphrase", "prefixes"]);

test("every option is documented with its default, in the types and in the README", () => {
  const readme = readFileSync(new URL("node_modules/redwire/README.md", import.meta.url), "utf8");
  const numbers = (text) => [...text.replaceAll(/(?<=\d)[ _](?=\d{3})/g, "").matchAll(/\d+/g)].map(Number);
  const options = optionsOf("options", "Options");
  assert.ok(options.length > 30, `${options.length}`);
  assert.match(readFileSync(new URL("node_modules/redwire/types/options.d.ts", import.meta.url), "utf8"), /Times are in milliseconds\. \*\/\nexport interface Options/);
  for (const { name, type, comment } of options) {
    assert.ok(comment !== "", `${name} has a comment`);
    const [row, names, standard] = new RegExp(`^\\|(.*\`${name}\`.*?)\\|(.*?)\\|.*\\|`, "m").exec(readme) ?? [];
    assert.ok(row !== undefined, `${name} stands in the README's table`);
    assert.throws(() => new Redis({ [name]: Symbol("x") }), (error) => error instanceof TypeError && error.message.includes(`'${name}'`));
    assert.ok(plain.has(name) || /default/i.test(comment), `${name}: ${comment}`);
    const said = /default:? (\d[\d ]*)/i.exec(comment);
    if (type !== "number") continue;
    // options that share a row stand in the order of their defaults
    const place = names.split(",").findIndex((other) => other.includes(`\`${name}\``));
    if (said !== null) assert.equal(numbers(said[1])[0], numbers(standard.split(/, (?=\d)/)[place])[0], `${name}: the same default here and there`);
  }
  for (const [file, title, option] of [["options", "OfflineQueue", "offlineQueue"], ["options", "HighWater", "highWater"], ["tls", "TlsOptions", "tls"], ["cache", "CacheOptions", "cache"]]) {
    const nested = optionsOf(file, title);
    assert.ok(nested.length > 1, title);
    for (const { name, comment } of nested) {
      assert.ok(comment !== "" && (plain.has(name) || /default/i.test(comment)), `${option}.${name}: ${comment}`);
      assert.match(readme, new RegExp(`\`[^\`]*\\b${name}\\b[^\`]*\``), `${option}.${name} stands in the README`);
      let refusal;
      assert.throws(() => new Redis({ [option]: { [name]: Symbol("x") } }), (error) => ((refusal = error), error instanceof TypeError && error.message.includes(`'${option}.${name}'`)));
      if (refusal.message.includes("milliseconds")) assert.match(comment, /milliseconds/i, `${option}.${name} says its unit`);
      if (name.endsWith("Bytes")) assert.match(comment, /bytes/i, `${option}.${name} says its unit`);
    }
  }
});

test("nothing is opened by importing or constructing", async () => {
  const redis = new Redis("redis://127.0.0.1:1");
  assert.equal(redis.status, "idle");
  await redis.close();
  assert.equal(redis.status, "closed");
});

test("[promise 10] fromUrl makes the same client", async () => {
  assert.ok(Redis.fromUrl("redis://h") instanceof Redis);
  assert.ok(new Redis() instanceof Redis);
});
