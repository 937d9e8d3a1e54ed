import type { Channel } from "../channel.js";
import { rowOf } from "../commands/plan.js";
import type { Listener } from "../settings.js";
import { PubSubError } from "../errors.js";
import { unexpected } from "../outbox.js";
import { Mode } from "../reader.js";
import type { Str } from "../replies.js";
import { decode, latin1 } from "../text.js";
import { LARGEST } from "./inbox.js";
import type { Notice } from "./notices.js";

/** A command that the server executed. */
export interface MonitorEntry<S extends Str = string> {
  /** When, in seconds since 1970 with a fraction, by the server's clock. */
  time: number;
  /** The number of the database. */
  db: number;
  /** Who asked: the client's address, `unix:` and the path of a socket, or `lua`. */
  address: string;
  /** The command and its arguments. */
  args: S[];
}

/** How {@link Redis.monitor} behaves. */
export interface MonitorOptions {
  /** Ends it: whoever waits for a command is rejected with `signal.reason`. */
  signal?: AbortSignal;
  /** How many commands may wait to be read, 64 MiB of them at most, before it ends with a {@link PubSubError}; default 10 000. */
  bufferLimit?: number;
}

/** Gives the commands that a server executes, from its first `next()` on. @internal */
export class Monitor implements AsyncIterableIterator<MonitorEntry<Str>>, Listener {
  readonly mode = 0;
  readonly monitors = true;
  readonly #make: (listener: Listener) => Channel;
  readonly #data: number;
  readonly #signal: AbortSignal | undefined;
  readonly #limit: number;
  #channel: Channel | undefined;
  #lines: string[] = [];
  #read = 0;
  /** Characters that wait. */
  #size = 0;
  readonly #waiting: { resolve: (result: IteratorResult<MonitorEntry<Str>>) => void; reject: (error: unknown) => void }[] = [];
  #over = false;
  #failure: { error: unknown } | undefined;

  constructor(make: (listener: Listener) => Channel, mode: number, { signal, bufferLimit = 10_000 }: MonitorOptions = {}) {
    if (!Number.isInteger(bufferLimit) || bufferLimit < 1) throw unexpected("monitor: 'bufferLimit'", "a whole number from 1", bufferLimit);
    if (signal !== undefined && !(signal instanceof AbortSignal)) throw unexpected("monitor: 'signal'", "an AbortSignal", signal);
    this.#make = make;
    this.#data = mode;
    this.#signal = signal;
    this.#limit = bufferLimit;
  }

  next(): Promise<IteratorResult<MonitorEntry<Str>>> {
    if (this.#channel === undefined && !this.#over) this.#start();
    const promise = new Promise<IteratorResult<MonitorEntry<Str>>>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#deliver();
    return promise;
  }

  return(): Promise<IteratorResult<MonitorEntry<Str>>> {
    this.#lines = [];
    this.#end();
    return Promise.resolve(END);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #start(): void {
    const signal = this.#signal;
    if (signal?.aborted) return this.ended(signal.reason);
    const channel = (this.#channel = this.#make(this));
    const { engine } = channel;
    signal?.addEventListener("abort", this.#abort);
    // what is executed while there is no connection is lost
    engine.onStateChange((status, cause) => {
      if (status === "reconnecting") queueMicrotask(() => this.ended(cause));
    });
    channel.send(rowOf("MONITOR"), undefined, "MONITOR", [], 0).catch((error: unknown) => this.ended(error));
    engine.listen(true);
  }

  readonly #abort = (): void => this.ended(this.#signal!.reason);

  take(_: Notice, line: unknown): void {
    if (this.#lines.length - this.#read >= this.#limit || this.#size >= LARGEST) {
      this.#failure ??= { error: new PubSubError("more commands wait to be read than 'bufferLimit' allows, or more than 64 MiB of them: read faster, or raise it") };
      return queueMicrotask(() => this.#end());
    }
    this.#lines.push(line as string);
    this.#size += (line as string).length;
    if (this.#waiting.length > 0) this.#deliver();
  }

  ended(error?: unknown): void {
    if (this.#over) return;
    if (error !== undefined) this.#failure ??= { error };
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#channel?.engine.destroy();
    this.#deliver();
  }

  /** Gives what is there to those who wait for it. */
  #deliver(): void {
    while (this.#waiting.length > 0) {
      const line = this.#lines[this.#read];
      if (line === undefined && !this.#over) return;
      const { resolve, reject } = this.#waiting.shift()!;
      const failure = this.#failure;
      if (line !== undefined) {
        this.#size -= line.length;
        this.#lines[this.#read++] = "";
        if (this.#read === this.#lines.length || this.#read > TAKEN) {
          this.#lines.splice(0, this.#read);
          this.#read = 0;
        }
        resolve({ value: entryOf(line, this.#data), done: false });
      } else if (failure !== undefined) {
        this.#failure = undefined;
        reject(failure.error);
      } else {
        resolve(END);
      }
    }
  }
}

const END = { value: undefined, done: true } as const;
/** Places at the start that were read; with more, the rest moves up. */
const TAKEN = 1024;

/** Reads a line such as `1700000000.123456 [0 127.0.0.1:5000] "GET" "key"`. */
const entryOf = (line: string, mode: number): MonitorEntry<Str> => {
  const open = line.indexOf("[");
  const space = line.indexOf(" ", open);
  // a socket's path may have brackets of its own
  const close = line.indexOf('] "', space);
  const end = close < 0 ? line.length : close;
  const args: Str[] = [];
  for (let at = end + 2; line[at] === '"'; ) {
    const start = ++at;
    let escaped = false;
    for (; at < line.length && line[at] !== '"'; at++) {
      if (line[at] !== "\\") continue;
      escaped = true;
      at++;
    }
    args.push(dataOf(escaped ? unescaped(line, start, at) : line.slice(start, at), mode));
    at += 2;
  }
  return { time: Number(line.slice(0, open)), db: Number(line.slice(open + 1, space)), address: line.slice(space + 1, end), args };
};

const ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, a: 7, b: 8 };

/** Gives the bytes that stand in `line` from `start` to `end`, one char each. */
const unescaped = (line: string, start: number, end: number): string => {
  const bytes = new Uint8Array(end - start);
  let length = 0;
  for (let at = start; at < end; at++) {
    let code = line.charCodeAt(at);
    if (code === 92) {
      const letter = line[++at]!;
      code = ESCAPES[letter] ?? line.charCodeAt(at);
      if (letter === "x") {
        code = parseInt(line.slice(at + 1, at + 3), 16);
        at += 2;
      }
    }
    bytes[length++] = code;
  }
  return latin1(bytes.subarray(0, length));
};

/** Gives user data from its bytes, one char each. */
const dataOf = (chars: string, mode: number): Str => {
  if (!(mode & Mode.BYTES) && (mode & Mode.LATIN1 || !/[\x80-\xff]/.test(chars))) return chars;
  const bytes = Uint8Array.from(chars, (char) => char.charCodeAt(0));
  return mode & Mode.BYTES ? bytes : decode(bytes, undefined);
};
