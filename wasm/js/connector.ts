import type { TlsOptions } from "./tls.js";

/** Where to connect to. */
export interface Endpoint {
  kind: "tcp" | "unix" | "ws";
  host?: string;
  port?: number;
  /** The socket's path, for `unix`. */
  path?: string;
  /** The gateway's address, for `ws`. */
  url?: string;
  /** Options for TLS; absent for a plain connection. A connector that cannot honour them must fail. */
  tls?: TlsOptions | null;
}

/** Where a socket delivers to. */
export interface Sink {
  /** Takes bytes that came in; they may be reused afterwards. */
  onData(bytes: Uint8Array): void;
  /** The socket is closed, `error` being why. */
  onClose(error?: unknown): void;
  /** The socket takes bytes again after `write` gave `false`. */
  onDrain(): void;
}

/** A connection that a {@link Connector} made. */
export interface Socket {
  /**
   * Takes bytes, which are the socket's to keep; `false` means: wait for `onDrain` before the next. With large ones comes `written`: call it
   * once they are not needed any more, and their memory is used again. Never to call it is as right.
   */
  write(bytes: Uint8Array, written?: () => void): boolean | void;
  /** Closes at once. */
  close(): void;
  /** Holds the process open. */
  ref?(): void;
  /** Lets the process end. */
  unref?(): void;
  /** Reads into the memory that `window` gives anew for each read, and tells how many bytes instead of calling `onData`. */
  readInto?(window: () => Uint8Array, onRead: (count: number) => void): void;
}

/** A connection as a pair of web streams. */
export interface StreamPair {
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
}

/**
 * Makes connections. It may give the socket at once, or a promise that settles when the connection stands or failed; `signal` aborts
 * when it is no longer wanted.
 */
export type Connector = (endpoint: Endpoint, sink: Sink, signal: AbortSignal) => Socket | StreamPair | Promise<Socket | StreamPair>;

/** Gives a socket that reads and writes a pair of streams. @internal */
export const fromStreams = ({ readable, writable }: StreamPair, sink: Sink): Socket => {
  const reader = readable.getReader();
  const writer = writable.getWriter();
  let closed = false;
  const close = (error?: unknown): void => {
    if (closed) return;
    closed = true;
    reader.cancel().catch(() => {});
    writer.abort().catch(() => {});
    sink.onClose(error);
  };
  const read = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return close();
      sink.onData(value);
    }
  };
  read().catch(close);
  writer.closed.then(() => close(), close);
  return {
    write(bytes) {
      writer.write(bytes).catch(close);
      if (writer.desiredSize! > 0) return true;
      writer.ready.then(() => sink.onDrain(), close);
      return false;
    },
    close,
  };
};
