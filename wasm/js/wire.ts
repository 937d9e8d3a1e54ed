import type { Connector, Endpoint, Sink, Socket, StreamPair } from "./connector.js";
import { fromStreams } from "./connector.js";
import type { Keeper } from "./credentials.js";
import type { Externals } from "./externals.js";
import type { Host } from "./host.js";
import { keep, letGo } from "./pieces.js";
import { Reader, type Replies } from "./reader.js";
import { allocate } from "./text.js";
import { isUntrusted } from "./tls.js";

/**
 * The socket of the shared connection reads at most this much at once. With more, whoever waits for what came first, and the server with him,
 * waits for the rest to be worked through. Two texts of 64 KiB fit in with what is around them: what is whole is not copied together.
 */
const CHUNK = 129 << 10;
/** The same of other sockets, which are many, or bring messages, which are small. */
const SMALL_CHUNK = 16 << 10;
/** The core decodes this much at once, so that its memory stays in the processor's cache. */
const SLICE = 32 << 10;
/** And this much behind a large text, which another may follow that does not pass through there. */
const BEHIND = 256;
/** Frames are cut from slabs of this size; larger ones stand alone. */
const SLAB = 64 << 10;

/** The bits of a link's or a lease's number that are its lane. */
export const LANE = 0xff;

/** What the links of a client share. */
export interface Home extends Replies {
  readonly endpoint: Endpoint;
  readonly connector: Connector;
  /** Whether only what is sent unasked is of interest. */
  readonly isListener: boolean;
  /** Who knows the credentials, where a function gives them. */
  readonly keeper: Keeper | undefined;
  /** The core, unless it failed. */
  readonly host: Host | undefined;
  /** Whether results of the core are being worked through, or a socket is being written to: whatever arrives meanwhile waits. */
  busy: boolean;
  /** Calls `take` now, or when this is over. */
  arrive(take: () => void): void;
  readonly externals: Externals;
  /** Works through what the core wants. */
  work(): void;
  /** The core failed. */
  trap(cause: unknown): void;
}

/** Copies frames out of the core's memory: what a socket holds must never change. */
class Frames {
  #slab: Uint8Array = new Uint8Array(0);
  #used = 0;

  copy(host: Host, at: number, length: number): Uint8Array {
    if (length > SLAB / 4) return host.bytes.slice(at, at + length);
    if (this.#used + length > this.#slab.length) {
      this.#slab = allocate(SLAB);
      this.#used = 0;
    }
    const frame = this.#slab.subarray(this.#used, (this.#used += length));
    frame.set(host.bytes.subarray(at, at + length));
    return frame;
  }
}

/** What carries the links of one lane: one socket at a time. */
export class Wire {
  readonly lane: number;
  readonly #home: Home;
  readonly #frames = new Frames();
  readonly #reader: Reader;
  /** The core's number for the link; 0 when there is none. */
  link = 0;
  /** Whether commands are being written: only then does the core keep what it was given of one that settled. */
  ready = false;
  /** Why the socket of the link that is being used closed. */
  cause: unknown;
  #socket: Socket | undefined;
  #abort: AbortController | undefined;
  /** What the socket reads to, and the place of a large text when it reads to that instead. */
  #chunk: Uint8Array | undefined;
  #direct: Uint8Array | undefined;
  #slice = SLICE;
  #blocked = false;
  /** What is left of the large argument that is being written. */
  #pieces: Uint8Array[] = [];
  /** Whether what is written next is one of these. */
  #isPiece = false;
  #held = true;

  constructor(lane: number, home: Home, host: Host) {
    this.lane = lane;
    this.#home = home;
    this.#reader = new Reader(home, host);
  }

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  /** Lets go of what came in for the command in `slot`, or for whatever is being read. */
  drop(slot?: number): void {
    this.#reader.drop(slot);
  }

  /** Opens a socket for `link`. */
  open(link: number): void {
    this.disconnect();
    this.link = link;
    this.cause = undefined;
    const { connector, endpoint, keeper } = this.#home;
    const abort = (this.#abort = new AbortController());
    // a fresh core counts links from the start: only this tells a socket of ours from one that was let go
    const ours = (): boolean => this.#abort === abort;
    const arrive = (take: () => void): void => {
      if (ours()) this.#home.arrive(() => ours() && take());
    };
    const sink: Sink = {
      onData: (bytes) => {
        if (this.#home.busy) {
          const kept = bytes.slice();
          arrive(() => this.#onData(link, kept));
        } else if (ours()) this.#onData(link, bytes);
      },
      onClose: (error) => arrive(() => this.#onClose(link, error)),
      onDrain: () => arrive(() => this.#onDrain()),
    };
    const opened = (made: Socket | StreamPair): void => {
      const socket = "readable" in made ? fromStreams(made, sink) : made;
      if (!ours()) return socket.close();
      this.#onOpen(link, socket, sink);
    };
    const failed = (error: unknown): void => sink.onClose(error ?? new Error("the connector failed"));
    const connect = (): void => {
      if (abort.signal.aborted) return;
      try {
        const made = connector(endpoint, sink, abort.signal);
        if ("then" in made) made.then(opened).catch(failed);
        else opened(made);
      } catch (error) {
        failed(error);
      }
    };
    // not before this pass through the actions is done
    queueMicrotask(() => {
      if (keeper === undefined) connect();
      else keeper.ensure(abort.signal).then(connect).catch(failed);
    });
  }

  #onOpen(link: number, socket: Socket, sink: Sink): void {
    const { host } = this.#home;
    if (host === undefined) return socket.close();
    this.#socket = socket;
    this.#blocked = false;
    this.#held = true;
    host.exports.host_opened(now(), link);
    socket.readInto?.(
      () => this.#place(),
      (count) => this.#onRead(link, count, sink),
    );
    this.#home.work();
  }

  /** Gives where the socket reads to next. It never is the core's memory: growth would take that away while a read is pending. */
  #place(): Uint8Array {
    this.#direct = this.#reader.room();
    return this.#direct ?? (this.#chunk ??= allocate(this.lane > 0 || this.#home.isListener ? SMALL_CHUNK : CHUNK));
  }

  #onRead(link: number, count: number, sink: Sink): void {
    if (this.#direct === undefined) return sink.onData(this.#chunk!.subarray(0, count));
    const { host } = this.#home;
    if (host === undefined || link !== this.link) return;
    try {
      // what is left of the text is more than was read: all of it belongs there
      host.exports.host_read(link, count);
      this.#reader.filled(count);
    } catch (error) {
      this.#home.trap(error);
      this.#home.work();
    }
  }

  #onData(link: number, bytes: Uint8Array): void {
    const home = this.#home;
    home.busy = true;
    try {
      for (let at = 0; at < bytes.length; ) {
        const { host } = home;
        if (host === undefined || link !== this.link) break;
        at = this.#receive(host, link, bytes, at);
        const taken = this.#reader.take(bytes, at);
        if (taken > 0) host.exports.host_read(link, taken);
        at += taken;
      }
    } catch (error) {
      home.trap(error);
    } finally {
      home.busy = false;
    }
    home.work();
  }

  /** Has the core decode the next slice of `bytes`; gives where it ends. */
  #receive(host: Host, link: number, bytes: Uint8Array, at: number): number {
    const address = host.exports.host_window(link);
    const end = Math.min(bytes.length, at + this.#slice, at + host.register(0));
    const part = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
    host.bytes.set(part, address);
    const words = host.exports.host_receive(now(), link, part.length);
    const back = host.register(1);
    this.#slice = back > 0 ? BEHIND : SLICE;
    if (words > 0) this.#reader.read(host, host.exports.host_tape() >>> 2, words, host.register(0));
    return end - back;
  }

  #onDrain(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#home.work();
  }

  #onClose(link: number, error: unknown): void {
    const home = this.#home;
    if (link !== this.link || home.host === undefined) return;
    this.cause = error;
    try {
      home.host.exports.host_closed(now(), link, !this.ready && isUntrusted(error));
    } catch (error) {
      home.trap(error);
    }
    home.work();
  }

  /** Lets go of the socket. */
  disconnect(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#pieces = [];
    this.link = 0;
    this.ready = false;
    this.#abort?.abort();
    this.#abort = undefined;
    try {
      socket?.close();
    } catch {
      // it is not ours any more
    }
  }

  /** Writes what the core wants sent, as long as the socket takes it. */
  transmit(host: Host): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    while (!this.#blocked && this.#socket === socket) {
      const bytes = this.#next(host);
      if (bytes === undefined) return;
      try {
        this.#blocked = (this.#isPiece ? socket.write(bytes, () => letGo(bytes)) : socket.write(bytes)) === false;
      } catch (error) {
        const { link } = this;
        this.#home.arrive(() => this.#onClose(link, error));
        this.#blocked = true;
      }
    }
  }

  /** Gives what is written next. */
  #next(host: Host): Uint8Array | undefined {
    this.#isPiece = this.#pieces.length > 0;
    if (this.#isPiece) return this.#pieces.shift();
    const kind = host.exports.host_transmit(this.link);
    if (kind === 0) return undefined;
    const first = host.register(0);
    const second = host.register(1);
    if (kind === 1) return this.#frames.copy(host, first, second);
    this.#pieces = [...this.#home.externals.next(this.lane, first, second)];
    this.#pieces.forEach(keep);
    this.#isPiece = true;
    return this.#pieces.shift();
  }

  /** Has the socket hold the process open, or not. */
  hold(hold: boolean): void {
    if (hold === this.#held || this.#socket === undefined) return;
    this.#held = hold;
    try {
      if (hold) this.#socket.ref?.();
      else this.#socket.unref?.();
    } catch {
      // a socket's own fault must not become ours
    }
  }
}

const now = (): number => performance.now();
