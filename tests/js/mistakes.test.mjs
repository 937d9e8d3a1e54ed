// The first mistakes that people make, and the one error that each gives. docs/errors.md is made of them: REDWIRE_WRITE_DOCS=1 writes it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { ConnectionError, constantRetry, Redis } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { Fake, handshake } from "./support/fake.mjs";
import { error as reply } from "./support/resp.mjs";
import { certificate, freePort, missing, programs, startAll, startServer, startTlsProxy } from "./support/servers.mjs";
import { outcome, until } from "./support/until.mjs";

const [server] = programs;
const page = new URL("../../docs/errors.md", import.meta.url);

/** What something that is no Redis server says: at once, or when it was told something (`asked`). */
const speakers = {
  http: { asked: "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" },
  smtp: { greets: "220 mail.example.com ESMTP\r\n" },
  ssh: { greets: "SSH-2.0-OpenSSH_9.6\r\n" },
  mysql: { greets: "J\0\0\0\n8.0.36\0" },
  memcached: { asked: "ERROR\r\nERROR\r\n" },
  postgres: { asked: "" },
  // an alert, as OpenSSL writes it; not all servers do before they hang up
  tls: { asked: Buffer.from([0x15, 3, 1, 0, 2, 2, 70]) },
  silent: {},
};

const listen = async (t, { greets, asked }) => {
  const sockets = new Set();
  const service = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    if (greets !== undefined) socket.write(greets);
    if (asked !== undefined) socket.on("data", () => socket.end(asked));
  });
  await new Promise((resolve) => service.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    service.close();
    for (const socket of sockets) socket.destroy();
  });
  return service.address().port;
};

/** A client of a server in this process that answers as told, for servers that cannot be had here. */
const told = (answer, greet) => {
  const fake = new Fake(answer, greet && { greet });
  return (options) => new Redis({ host: "127.0.0.1", connector: fake.connector, queueTimeout: 100, ...options });
};

/** The greeting of a proxy that knows neither HELLO nor CLIENT. */
const proxied = (args) => {
  if (args[0] === "CLIENT") return reply("ERR unknown command 'CLIENT'");
  return handshake(2)(args);
};

/**
 * Each mistake: what was done, the error's class, and how, by a client that `redis(options)` makes of the real server, `world` being what
 * there is besides. A promise has to reject, anything else to throw.
 */
const mistakes = {
  "Where the server is": [
    ["no server listens there", "ConnectionError", async (redis) => redis({ port: await freePort() }).ping()],
    ["a host name that nobody knows", "ConnectionError", (redis) => redis({ host: "redis.invalid" }).ping()],
    ["a path where no socket is", "ConnectionError", () => new Redis({ path: "/run/no-such.sock", queueTimeout: 100 }).ping()],
    ["a path that is no socket", "ConnectionError", () => new Redis({ path: "/etc/hostname", queueTimeout: 100 }).ping()],
    ["a port where nobody answers", "ConnectionError", async (redis, { t }) => redis({ port: await listen(t, speakers.silent), connectTimeout: 80 }).ping()],
    ["a web server", "ProtocolError", async (redis, { t }) => redis({ port: await listen(t, speakers.http) }).ping()],
    ["a mail server", "ProtocolError", async (redis, { t }) => redis({ port: await listen(t, speakers.smtp) }).ping()],
    ["an SSH server", "ProtocolError", async (redis, { t }) => redis({ port: await listen(t, speakers.ssh) }).ping()],
    ["a MySQL server", "ProtocolError", async (redis, { t }) => redis({ port: await listen(t, speakers.mysql) }).ping()],
    ["a memcached server", "ProtocolError", async (redis, { t }) => redis({ port: await listen(t, speakers.memcached) }).ping()],
    ["a PostgreSQL server, or a proxy without a server behind it", "ConnectionError", async (redis, { t }) => redis({ port: await listen(t, speakers.postgres) }).ping()],
  ],
  "URLs and options": [
    ["another scheme", "TypeError", () => new Redis("http://localhost:6379")],
    ["no scheme", "TypeError", () => new Redis("localhost:6379")],
    ["a password with an `@`, `/` or `:` as it is", "TypeError", () => new Redis("redis://ann:se/cret@localhost")],
    ["a password with a `#` as it is", "TypeError", () => new Redis("redis://ann:1#cret@localhost")],
    ["a database that is no number", "TypeError", () => new Redis("redis://localhost/cache")],
    ["a user name without a password", "TypeError", () => new Redis("redis://ann@localhost")],
    ["an option that does not exist", "TypeError", () => new Redis({ maxRetries: 3 })],
    ["an option of another type", "TypeError", () => new Redis({ port: "6379" })],
    ["options that contradict each other", "TypeError", () => new Redis({ path: "/run/redis.sock", tls: true })],
  ],
  "TLS": [
    ["TLS where there is none", "ConnectionError", (redis, { port }) => redis({ port, tls: true, connectTimeout: 80 }).ping()],
    ["no TLS where there is", "ProtocolError", async (redis, { t }) => redis({ port: await listen(t, speakers.tls) }).ping()],
    ["an authority that this machine does not know", "ConnectionError", (redis, { tlsPort }) => redis({ host: "localhost", port: tlsPort, tls: true }).ping()],
    ["a certificate for another host", "ConnectionError", async (redis, { wrongHost, ca }) => redis({ host: "localhost", port: wrongHost, tls: { ca } }).ping()],
    ["a certificate that expired", "ConnectionError", async (redis, { expired }) => redis({ host: "localhost", port: expired, tls: { ca: certificate("expired.crt") } }).ping()],
    ["a server that wants a certificate of the client", "ConnectionError", async (redis, { strict, ca }) => redis({ host: "localhost", port: strict, tls: { ca } }).ping()],
    ["verification switched off as Node spells it", "TypeError", () => new Redis({ tls: { rejectUnauthorized: false } })],
  ],
  "Who the client is": [
    ["a wrong password", "AuthenticationError", (redis) => redis({ username: "ann", password: "wrong" }).ping()],
    ["a user that does not exist", "AuthenticationError", (redis) => redis({ username: "nobody", password: "x" }).ping()],
    ["no password where one is needed", "AuthenticationError", (redis, { guarded }) => redis({ port: guarded }).ping()],
    ["the same, by RESP2", "AuthenticationError", (redis, { guarded }) => redis({ port: guarded, protocol: 2 }).ping()],
    ["a password where none is known, by RESP2", "AuthenticationError", (redis) => redis({ password: "x", protocol: 2 }).ping()],
    ["`credentials` that throws", "ConnectionError", (redis) => redis({ credentials: () => { throw new Error("no token"); } }).ping()],
    ["a user that may not do this", "AuthorizationError", (redis) => redis({ username: "reader", password: "secret" }).set("k", "v")],
    ["a user that may not touch that key", "AuthorizationError", (redis) => redis({ username: "reader", password: "secret" }).get("other")],
    ["a user that may not select the database", "AuthorizationError", (redis) => redis({ username: "reader", password: "secret", db: 1 }).get("k")],
    ["a database that does not exist", "ResponseError", (redis) => redis({ db: 99 }).ping()],
    ["a cache, through a proxy without HELLO", "ConnectionError", () => told(() => undefined, handshake(2))({ cache: {} }).ping()],
    ["a connection's name, through a proxy without CLIENT", "ResponseError", () => told(() => undefined, proxied)({ clientName: "app" }).ping()],
    ["`protocol: 3` where RESP3 is unknown", "ConnectionError", () => told(() => undefined, handshake(2))({ protocol: 3 }).ping()],
    ["a feature that the server does not know", "ResponseError", () => told(() => undefined, (args) => (args[1] === "NO-TOUCH" ? reply("ERR unknown subcommand 'NO-TOUCH'. Try CLIENT HELP.") : handshake(3)(args)))({ noTouch: true }).ping()],
  ],
  "What the server is": [
    ["a server in protected mode, from another machine", "ResponseError", () => told(() => undefined, () => reply("DENIED Redis is running in protected mode because protected mode is enabled"))().ping()],
    ["a server with no room for another client", "ConnectionError", () => told(() => undefined, (args, link) => (setImmediate(() => link.end()), reply("ERR max number of clients reached")))().ping()],
    ["no room for another client, by RESP2", "ConnectionError", () => told(() => undefined, (args, link) => (setImmediate(() => link.end()), reply("ERR max number of clients reached")))({ protocol: 2 }).ping()],
    ["a server that is loading its data", "BusyLoadingError", () => told(() => undefined, (args) => (args[0] === "PING" ? reply("LOADING Redis is loading the dataset in memory") : handshake(3)(args)))().get("k")],
    ["a replica", "ReadOnlyError", (redis, { replica }) => redis({ port: replica, offlineQueue: false }).set("k", "v")],
    ["a node of a cluster", "MovedError", (redis, { clustered }) => redis({ port: clustered }).get("k")],
    ["a sentinel", "UnknownCommandError", (redis, { sentinel }) => redis({ port: sentinel, verifyVersion: false }).get("k")],
    ["a command that is newer than the server", "CommandNotSupportedError", (redis) => redis().hgetex("k", ["f"])],
    ["a command of a module that is not loaded", "UnknownCommandError", (redis) => redis({ verifyVersion: false }).json.get("k")],
    ["a command that does not exist", "UnknownCommandError", (redis) => redis().call("GTE", "k")],
  ],
  "Calls": [
    ["`undefined` or `null` as a value", "TypeError", (redis) => redis().set("k", undefined)],
    ["an object as a value", "TypeError", (redis) => redis().set("k", { a: 1 })],
    ["an option that the command does not have", "TypeError", (redis) => redis().set("k", "v", { expire: 10 })],
    ["an argument too few", "TypeError", (redis) => redis().set("k")],
    ["the wrong type of key", "WrongTypeError", async (redis) => (await redis().rpush("list", "a"), redis().get("list"))],
    ["SELECT on a connection that all share", "TypeError", (redis) => redis().call("SELECT", 1)],
    ["SUBSCRIBE by `call`", "TypeError", (redis) => redis().call("SUBSCRIBE", "news")],
    ["an integer beyond 2^53", "IntegerRangeError", async (redis) => (await redis().set("n", "9007199254740993"), redis().incr("n"))],
    ["a command after `close()`", "ConnectionError", async (redis) => { const own = redis(); await own.close(); return own.get("k"); }],
    ["a reply that takes too long", "TimeoutError", (redis) => redis().with({ timeout: 50 }).blpop(["none"], 1)],
    ["a retry policy without a number of retries", "TypeError", () => constantRetry({ delay: 100 })],
    ["a runtime without WebAssembly", "ClientError", () => {
      const script = 'import { Redis } from "redwire"; try { await new Redis().ping(); } catch (error) { console.log(JSON.stringify([error.name, error.message])); }';
      const run = spawnSync(process.execPath, ["--jitless", "--input-type=module", "--eval", script], { encoding: "utf8", cwd: import.meta.dirname });
      const [name, message] = JSON.parse(run.stdout);
      throw Object.assign(new Error(message), { name });
    }],
  ],
};

/** What to do, or what is expected, stands behind what is wrong. */
const remedies = /^[^:;,(]+[:;,(].*\b(allow|change|check|connect|expected|give|have|leave|look|make|percent-encode|raise|read|renew|see|sends|set|take|use|needs|wait|write)\b/;

describe("the first mistakes", { skip: missing(server) }, () => {
  const stops = [];
  const world = { ca: certificate("ca.crt") };
  before(async () => {
    const start = async (...args) => {
      const running = await startServer(server.program, ...args);
      stops.push(() => running.stop());
      return running;
    };
    const all = await startAll(server.program);
    const files = ["cert", "key", "ca-cert"].map((kind) => [`--tls-${kind}-file`, new URL(`../tls/${{ cert: "server.crt", key: "server.key", "ca-cert": "ca.crt" }[kind]}`, import.meta.url).pathname]);
    const strict = await freePort();
    await start(["--tls-port", strict, ...files.flat(), "--tls-auth-clients", "yes"]);
    const [wrongHost, expired] = [await startTlsProxy(all.port, "wrong-host"), await startTlsProxy(all.port, "expired")];
    stops.push(() => all.stop(), () => wrongHost.stop(), () => expired.stop());
    const [guarded, replica, clustered] = [await start(["--requirepass", "secret"]), await start(["--replicaof", "127.0.0.1", all.port]), await start(["--cluster-enabled", "yes"])];
    const sentinel = await freePort();
    const watching = await startServer(server.program, ["--sentinel"], ["sentinel monitor main 127.0.0.1 6379 1"], sentinel);
    stops.push(() => watching.stop());
    Object.assign(world, { port: all.port, tlsPort: all.tlsPort, strict, wrongHost: wrongHost.port, expired: expired.port, guarded: guarded.port, replica: replica.port, clustered: clustered.port, sentinel });
    const operator = new Redis({ port: all.port });
    await operator.call("ACL SETUSER", "ann", "on", ">right", "~*", "+@all");
    await operator.call("ACL SETUSER", "reader", "on", ">secret", "~k", "+@read", "+hello", "+client");
    await operator.close();
    const owner = await start(["--cluster-enabled", "yes"]);
    const [one, two] = [clustered, owner].map(({ path }) => new Redis({ path }));
    await two.call("CLUSTER ADDSLOTSRANGE", 0, 16_383);
    await one.call("CLUSTER MEET", "127.0.0.1", owner.port);
    await until(() => one.get("k").then(() => false, ({ code }) => code === "MOVED"), "the nodes know each other", 20_000);
    for (const own of [one, two]) own.destroy();
  });
  after(async () => {
    for (const stop of stops) await stop();
  });

  /** Says what is the same on every machine. */
  const universal = (message) =>
    message
      .replaceAll(/(127\.0\.0\.1|localhost|redis\.invalid):\d+/g, "$1:6379")
      .replaceAll(/getaddrinfo \w+/g, "getaddrinfo ENOTFOUND")
      .replaceAll(/which is \d+(\.\d+)+/g, "which is 7.0.15");

  const told = new Map();
  for (const [title, list] of Object.entries(mistakes)) {
    describe(title, () => {
      for (const [done, type, make] of list) {
        test(done, async (t) => {
          keepAlive(t);
          const clients = [];
          const redis = (options) => {
            clients.push(new Redis({ host: "127.0.0.1", port: world.port, queueTimeout: 150, retryDelay: 10, ...options }));
            return clients.at(-1);
          };
          t.after(() => clients.forEach((client) => client.destroy()));
          const { error } = await outcome((async () => make(redis, { ...world, t }))(), 10_000);
          assert.ok(error !== undefined, "it was a mistake");
          assert.ok(error instanceof Error && error.name === type, `${error.name}: ${error.message}`);
          assert.match(error.message, remedies, "it says what to do");
          told.set(done, universal(error.message));
        });
      }
    });
  }

  test("a real server's TLS port, spoken to without TLS, is told from a server", async (t) => {
    keepAlive(t);
    const redis = new Redis({ port: world.tlsPort, queueTimeout: 100 });
    t.after(() => redis.destroy());
    const { error } = await outcome(redis.ping());
    assert.ok(error instanceof ConnectionError);
    assert.match(error.message, /TLS \(rediss:|it wants TLS: use rediss:/);
  });

  test("a proxy without HELLO and CLIENT is no mistake", async (t) => {
    const fake = new Fake(() => Buffer.from("+PONG\r\n"), { greet: proxied });
    const redis = new Redis({ connector: fake.connector });
    t.after(() => redis.destroy());
    assert.equal(await redis.ping(), "PONG");
  });

  test("docs/errors.md says what they say", () => {
    const escaped = (text) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
    const lines = Object.entries(mistakes).flatMap(([title, list]) => [
      `## ${title}`, "", "| what | class | message |", "|---|---|---|",
      ...list.map(([done, type]) => `| ${done} | \`${type}\` | ${escaped(told.get(done))} |`), "",
    ]);
    const text = [
      "# First mistakes", "",
      "What goes wrong most often in the beginning, and what redwire says. This page is made by `tests/js/mistakes.test.mjs`, which makes every",
      "one of these mistakes and fails when the page is out of date; `REDWIRE_WRITE_DOCS=1 cargo xtask test js mistakes` writes it anew.", "",
      ...lines,
    ].join("\n");
    assert.ok(told.size >= 30);
    if (process.env.REDWIRE_WRITE_DOCS === "1") writeFileSync(page, text);
    const old = readFileSync(page, "utf8").split("\n");
    const news = text.split("\n").filter((line, at) => line !== old[at]);
    assert.deepEqual(news, [], "out of date: REDWIRE_WRITE_DOCS=1 cargo xtask test js mistakes");
  });
});
