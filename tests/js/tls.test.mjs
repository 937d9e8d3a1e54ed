// Whom a client trusts, and what it does where it does not.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import net from "node:net";
import tls from "node:tls";
import { after, before, describe, test } from "node:test";
import { ConnectionError, Redis } from "redwire";
import { keepAlive } from "./support/client.mjs";
import { certificate, freePort, missing, programs, startAll, startServer, startTlsProxy } from "./support/servers.mjs";
import { rejection, until, within } from "./support/until.mjs";

const ca = certificate("ca.crt");
const [server] = programs;

describe("TLS", { skip: missing(server) }, () => {
  let running;
  before(async () => (running = await startAll(server.program)));
  after(() => running?.stop());

  const client = (t, options) => {
    const redis = new Redis({ host: "localhost", port: running.tlsPort, maxRetryDelay: 200, ...options });
    t.after(() => redis.destroy());
    return redis;
  };
  /** A proxy with another certificate. */
  const other = async (t, name) => {
    const proxy = await startTlsProxy(running.port, name);
    t.after(() => proxy.stop());
    return proxy.port;
  };

  test("chain and host are verified: by name, by address, by rediss:// and valkeys://", async (t) => {
    for (const options of [{ tls: { ca } }, { tls: { ca: [String(ca)] } }, { host: "127.0.0.1", tls: { ca } }, { tls: { ca, minVersion: "TLSv1.3" } }, { tls: { ca, maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" } }]) {
      assert.equal(await client(t, options).ping(), "PONG");
    }
    for (const scheme of ["rediss", "valkeys"]) {
      const redis = new Redis(`${scheme}://localhost:${running.tlsPort}`, { tls: { ca } });
      t.after(() => redis.destroy());
      assert.equal(await redis.ping(), "PONG");
    }
  });

  for (const [title, options, name, expected] of [
    ["an authority that nobody knows", { tls: true }, "server", /UNABLE_TO_VERIFY_LEAF_SIGNATURE|unable to verify.*'tls.ca'/],
    ["a certificate for another host", { tls: { ca } }, "wrong-host", /altnames.*'tls.servername'/],
    ["a certificate for another host, by address", { host: "127.0.0.1", tls: { ca } }, "wrong-host", /altnames.*'tls.servername'/],
    ["the wrong servername", { tls: { ca, servername: "example.invalid" } }, "server", /altnames/],
    ["a certificate that expired", { tls: { ca: certificate("expired.crt") } }, "expired", /expired.*renew/],
  ]) {
    test(`${title} is refused: what waits rejects at once, and attempts are few`, async (t) => {
      keepAlive(t);
      const redis = client(t, { ...options, port: await other(t, name) });
      const started = performance.now();
      for (let round = 0; round < 3; round++) {
        for (const error of await within(Promise.all([rejection(redis.get("k")), rejection(redis.incr("n"))]))) {
          assert.ok(error instanceof ConnectionError, `${error}`);
          assert.match(error.message, /^cannot connect to .* securely/);
          assert.match(error.message, expected);
          assert.equal(error.maybeExecuted, false);
          assert.ok(error.cause instanceof Error);
        }
      }
      assert.ok(performance.now() - started >= 395, "attempts are maxRetryDelay apart");
      assert.equal(redis.status, "idle");
    });
  }

  test("servername is what the server is asked for, and what its certificate has to be for", async (t) => {
    const asked = [];
    const secure = tls.createServer({ cert: certificate("wrong-host.crt"), key: certificate("wrong-host.key"), SNICallback: (name, done) => (asked.push(name), done(null)) }, (front) => {
      const back = net.connect(running.port, "127.0.0.1");
      for (const [from, to] of [[front, back], [back, front]]) from.on("error", () => {}).on("close", () => to.destroy()).pipe(to);
    });
    await new Promise((resolve) => secure.listen(0, "127.0.0.1", resolve));
    t.after(() => secure.close());
    const { port } = secure.address();
    for (const host of ["127.0.0.1", "localhost"]) {
      assert.equal(await client(t, { host, port, tls: { ca, servername: "example.invalid" } }).ping(), "PONG");
    }
    assert.deepEqual(asked, ["example.invalid", "example.invalid"]);
    await rejection(client(t, { port, tls: { ca } }).ping());
    assert.equal(asked[2], "localhost", "by default it is the host");
  });

  test("a server that wants a client's certificate gets one, and says so where it does not", async (t) => {
    keepAlive(t);
    const file = (name) => new URL(`../tls/${name}`, import.meta.url).pathname;
    const port = await freePort();
    const files = ["--tls-cert-file", file("server.crt"), "--tls-key-file", file("server.key"), "--tls-ca-cert-file", file("ca.crt")];
    const strict = await startServer(server.program, ["--tls-port", port, ...files, "--tls-auth-clients", "yes"]);
    t.after(() => strict.stop());
    const [cert, key] = [certificate("server.crt"), certificate("server.key")];
    assert.equal(await client(t, { port, tls: { ca, cert, key } }).ping(), "PONG");
    const error = await rejection(client(t, { port, tls: { ca } }).ping());
    assert.ok(error instanceof ConnectionError);
    assert.match(error.message, /securely.*the server wants a certificate that it trusts: give 'tls.cert' and 'tls.key'/);
  });

  test("any certificate is taken only where that is said loudly", async (t) => {
    const port = await other(t, "expired");
    assert.equal(await client(t, { port, tls: { dangerouslyAcceptAnyCertificate: true } }).ping(), "PONG");
    assert.throws(() => new Redis({ tls: { rejectUnauthorized: false } }), /TypeError: options: 'tls.rejectUnauthorized' is not an option.*dangerouslyAcceptAnyCertificate/);
    assert.throws(() => new Redis({ tls: { checkServerIdentity: () => undefined } }), /'tls.checkServerIdentity' is not an option/);
    const script = `import { Redis } from "redwire"; const redis = new Redis({ port: ${port}, tls: true });
      await redis.ping().then(() => console.log("trusted"), (error) => console.log(error.name)); redis.destroy();`;
    const env = { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    const run = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", timeout: 10_000, cwd: import.meta.dirname, env });
    assert.equal(run.stdout, "ConnectionError\n", "the environment changes nothing");
  });

  test("there is no way back to plain text", async (t) => {
    keepAlive(t);
    const seen = [];
    const plain = net.createServer((socket) => socket.on("error", () => {}).on("data", (bytes) => (seen.push(String(bytes)), socket.end("-ERR what?\r\n"))));
    await new Promise((resolve) => plain.listen(0, "127.0.0.1", resolve));
    t.after(() => plain.close());
    const redis = client(t, { port: plain.address().port, tls: { ca }, password: "secret" });
    await rejection(redis.ping());
    await until(() => seen.length > 0);
    assert.ok(seen.every((text) => !text.includes("secret") && !text.includes("HELLO")));
  });
});
