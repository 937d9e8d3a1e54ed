import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { until } from "./until.mjs";

const certificates = process.env.REDWIRE_TLS ?? fileURLToPath(new URL("../../tls", import.meta.url));

/** Gives a file of the TLS fixtures, such as `ca.crt`. */
export const certificate = (name) => readFileSync(join(certificates, name));

/** The servers that the suites run against; those without a `program` are not on this machine. */
export const programs = [
  { id: "redis70", name: "Redis", program: process.env.REDWIRE_REDIS },
  { id: "valkey91", name: "Valkey", program: process.env.REDWIRE_VALKEY },
];

/** Those, and more versions and modules: what every command runs on. */
export const allPrograms = [
  ...programs,
  { id: "redis82", name: "Redis 8.2", program: process.env.REDWIRE_REDIS82 },
  { id: "stack74", name: "Redis Stack", program: process.env.REDWIRE_STACK },
];

/** Why a suite for `program` is skipped, or false. */
export const missing = ({ name, program }) => program === undefined && `no ${name} server on this machine`;

/** Gives a port of this machine that nobody listens on. */
export const freePort = async () => {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
};

const answers = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write("PING\r\n"));
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("data", (bytes) => end(/^(\+PONG|-NOAUTH)/.test(String(bytes))));
    socket.on("error", () => end(false));
  });

/** Starts `program` on `at`, or a free port, with `args` besides, and a file of its own with the lines of `config`; gives its `port`, `path` (unix socket), and `stop`. */
export const startServer = async (program, args = [], config = undefined, at = undefined) => {
  for (let attempt = 0; ; attempt++) {
    const folder = mkdtempSync(join(tmpdir(), "redwire-"));
    const port = at ?? (await freePort());
    const path = join(folder, "socket");
    const fixed = ["--port", port, "--bind", "127.0.0.1", "--unixsocket", path, "--dir", folder, "--save", "", "--appendonly", "no"];
    const file = join(folder, "server.conf");
    if (config !== undefined) writeFileSync(file, config.concat("").join("\n"));
    const child = spawn(program, [...(config === undefined ? [] : [file]), ...fixed, ...args].map(String), { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
    const kill = () => child.kill("SIGKILL");
    process.on("exit", kill);
    const stop = async () => {
      process.off("exit", kill);
      if (child.exitCode === null && child.signalCode === null) {
        const gone = new Promise((resolve) => child.once("exit", resolve));
        kill();
        await gone;
      }
      rmSync(folder, { recursive: true, force: true });
    };
    const up = await until(async () => (child.exitCode !== null ? "exited" : await answers(port)), `${program} answers`, 10_000);
    if (up === true) return { port, path, pid: child.pid, stop };
    await stop();
    if (attempt === 3) throw new Error(`${program} ended: ${output}`);
  }
};

/** Ends TLS in front of a server without it, with the certificate `name`; gives its `port` and `stop`. */
export const startTlsProxy = async (target, name = "server") => {
  const sockets = new Set();
  const server = tls.createServer({ cert: certificate(`${name}.crt`), key: certificate(`${name}.key`) }, (front) => {
    const back = net.connect(target, "127.0.0.1");
    for (const [from, to] of [
      [front, back],
      [back, front],
    ]) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: server.address().port, stop };
};

/** Starts `program` so that TCP, TLS and a unix socket lead to it: its own TLS where it has that. Gives `endpoints` and `stop`. */
export const startAll = async (program) => {
  const tlsPort = await freePort();
  const file = (name) => join(certificates, name);
  const own = ["--tls-port", tlsPort, "--tls-cert-file", file("server.crt"), "--tls-key-file", file("server.key"), "--tls-auth-clients", "no"];
  const secure = await startServer(program, [...own, "--tls-ca-cert-file", file("ca.crt")]).catch(() => undefined);
  const server = secure ?? (await startServer(program));
  const proxy = secure === undefined ? await startTlsProxy(server.port) : { port: tlsPort, stop: () => {} };
  return {
    ...server,
    tlsPort: proxy.port,
    endpoints: {
      tcp: { host: "127.0.0.1", port: server.port },
      tls: { host: "localhost", port: proxy.port, tls: { ca: certificate("ca.crt") } },
      unix: { path: server.path },
    },
    stop: async () => {
      proxy.stop();
      await server.stop();
    },
  };
};
