// One server for all, on free ports: plain, and TLS where the server has it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { encode, seed } from "./data.mjs";

const HOST = "127.0.0.1";
const PATIENCE = 10_000;

const freePort = () =>
  new Promise((resolve, reject) => {
    const listener = net.createServer().once("error", reject);
    listener.listen(0, HOST, () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });

const send = (port, commands) =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, HOST).once("error", reject);
    let lines = 0;
    socket.on("data", (data) => {
      for (const byte of data) lines += byte === 10;
      if (lines < commands.length) return;
      socket.destroy();
      resolve(String(data));
    });
    for (const command of commands) socket.write(encode(command));
  });

const answers = async (port, child) => {
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline && child.exitCode === null) {
    if (await send(port, [["PING"]]).then(() => true, () => false)) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
};

/** Starts `program` with the data of all workloads; `tls` is the folder of the certificates. */
export const startServer = async (program, tls) => {
  const folder = mkdtempSync(path.join(tmpdir(), "redwire-bench-"));
  for (const secure of [true, false]) {
    const [port, tlsPort] = [await freePort(), await freePort()];
    const certificates = [["cert", "server.crt"], ["key", "server.key"], ["ca-cert", "ca.crt"]];
    const security = certificates.flatMap(([option, file]) => [`--tls-${option}-file`, path.join(tls, file)]);
    const options = ["--bind", HOST, "--port", String(port), "--save", "", "--appendonly", "no", "--dir", folder];
    if (secure) options.push("--tls-port", String(tlsPort), "--tls-auth-clients", "no", ...security);
    const child = spawn(program, options, { stdio: "ignore" });
    process.on("exit", () => {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    });
    if (!(await answers(port, child))) {
      child.kill("SIGKILL");
      continue;
    }
    await send(port, seed());
    return { links: { plain: { host: HOST, port }, resp2: { host: HOST, port, resp2: true }, ...(secure && { tls: { host: HOST, port: tlsPort } }) }, stop: () => child.kill() };
  }
  throw new Error(`${program} did not start`);
};
