import type { NetConnectOpts, Socket as NetSocket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import type { Connector, Endpoint, Socket } from "./connector.js";
import { builtin } from "./builtin.js";

/** What is read before the client has given its window: hardly ever anything. */
const EARLY = 4096;

/** Connects with `node:net` and `node:tls`, which Node, Bun and Deno have. */
export const connectNode: Connector = (endpoint, sink, signal) =>
  new Promise((resolve, reject) => {
    let window: (() => Uint8Array) | undefined;
    let onRead: ((count: number) => void) | undefined;
    const early = new Uint8Array(EARLY);
    const onread = {
      buffer: () => (window === undefined ? early : window()),
      callback: (count: number, buffer: Uint8Array) => {
        if (buffer === early) sink.onData(early.subarray(0, count));
        else onRead!(count);
        return true;
      },
    };
    const socket = open(endpoint, onread);
    // as long as it connects, whoever waits for that holds the process open
    socket.unref();
    let connected = false;
    let failed: Error | undefined;
    const abandon = (): void => void socket.destroy();
    signal.addEventListener("abort", abandon);
    socket.on("error", (error) => (failed = error));
    socket.on("close", () => {
      signal.removeEventListener("abort", abandon);
      if (connected) sink.onClose(failed);
      else reject(failed ?? new Error("closed before it was connected"));
    });
    socket.on("drain", () => sink.onDrain());
    socket.once(endpoint.tls ? "secureConnect" : "connect", () => {
      connected = true;
      socket.ref();
      socket.setNoDelay(true);
      socket.setKeepAlive(true, 15_000);
      resolve(
        wrap(socket, (...given) => {
          [window, onRead] = given;
        }),
      );
    });
  });

const open = (endpoint: Endpoint, onread: NetConnectOpts["onread"]): NetSocket => {
  const { kind, host, port, path, tls } = endpoint;
  const where = kind === "unix" ? { path } : { host, port };
  if (kind === "ws") throw new TypeError("connector: node sockets reach 'tcp' and 'unix' endpoints only, got 'ws'");
  if (!tls) return builtin<typeof import("node:net")>("node:net")!.connect({ ...where, onread } as NetConnectOpts);
  const { dangerouslyAcceptAnyCertificate = false, ...rest } = tls;
  const servername = host !== undefined && builtin<typeof import("node:net")>("node:net")!.isIP(host) === 0 ? { servername: host } : {};
  return builtin<typeof import("node:tls")>("node:tls")!.connect({
    ...servername,
    ...where,
    ...rest,
    // said always: an environment variable can change Node's default
    rejectUnauthorized: !dangerouslyAcceptAnyCertificate,
    onread,
  } as object as ConnectionOptions);
};

const wrap = (socket: NetSocket, readInto: NonNullable<Socket["readInto"]>): Socket => ({
  write: (bytes, written) => (written === undefined ? socket.write(bytes) : socket.write(bytes, (error) => error ?? written())),
  close: () => void socket.destroy(),
  ref: () => void socket.ref(),
  unref: () => void socket.unref(),
  readInto,
});

