import { Methods, type Commands, type Str } from "./commands.js";
import { Engine, type Status } from "./engine.js";
import { connectNode } from "./node.js";
import { resolveOptions, settingsOf, type Options } from "./options.js";
import { kindOf, Flag, type Value } from "./outbox.js";
import { Queued, type Pipeline } from "./pipeline.js";
import { Mode } from "./reader.js";
import { rawCall } from "./reserved.js";
import { Row } from "./rows.js";

/** What a view changes. */
export interface ViewOptions {
  /** Whether user data becomes strings or stays `Uint8Array`. */
  decodeResponses?: boolean;
  /** Whether replies keep the form that the server gave them. */
  raw?: boolean;
  /** Milliseconds from the writing of a command to its reply; 0: no limit. */
  timeout?: number;
  /** Whether it does no harm when commands are executed twice: they are sent again when the connection is lost before the reply. Never in transactions. */
  idempotent?: boolean;
  /** Gives up every command made through the view: its promise rejects with `signal.reason`. */
  signal?: AbortSignal;
}

/**
 * A client of one server. It connects on first use, shares one connection among all callers, and sends what one tick asks for in one
 * write, in order.
 */
export interface Redis<S extends Str = string> extends Commands<S> {
  /** Where it stands: `idle`, `connecting`, `ready`, `reconnecting`, `closing` or `closed`. */
  readonly status: Status;
  /** Settles when it is connected, connecting if need be; rejects when that fails. */
  readonly ready: Promise<void>;
  /** Connects unless connected; rejects when the first attempt fails. */
  connect(): Promise<void>;
  /** Calls `listener` at each change of status, with what led to it, until the function given back is called. */
  onStateChange(listener: (status: Status, cause?: unknown) => void): () => void;
  /** Sends any command: `name` as Redis spells it, its words separated by spaces. What the table knows gets its usual reply shape. */
  call(name: string, ...args: Value[]): Promise<unknown>;
  /** Gives a client that shares this one's connection and differs in `options`. */
  with(options: ViewOptions & { raw: true }): RawRedis;
  with(options: ViewOptions & { decodeResponses: false }): Redis<Uint8Array>;
  with(options: ViewOptions & { decodeResponses: true }): Redis<string>;
  with(options: ViewOptions): Redis<S>;
  /** Gives a pipeline, which is a transaction unless `transaction` is false. */
  pipeline(options?: { transaction?: boolean }): Pipeline<S>;
  /** Gives a transaction: a pipeline sent as MULTI/EXEC. */
  multi(): Pipeline<S>;
  /** Waits for what is in flight, at most `timeout` ms (default: no limit), then closes the connection. Takes no more commands at once. */
  close(options?: { timeout?: number }): Promise<void>;
  /** Closes the connection at once; what is in flight rejects. */
  destroy(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A client whose replies keep the form that the server gave them: nobody can say what that is. */
export interface RawRedis extends RawCommands, Omit<Redis, keyof Commands<string> | "with"> {
  /** See {@link Redis.with}. */
  with(options: ViewOptions & { raw: false; decodeResponses: false }): Redis<Uint8Array>;
  with(options: ViewOptions & { raw: false }): Redis;
  with(options: ViewOptions): RawRedis;
}

/** The commands of a {@link RawRedis}. */
export type RawCommands = {
  [K in keyof Commands<string>]: Commands<string>[K] extends (...args: infer A) => unknown ? (...args: A) => Promise<unknown> : never;
};

interface View {
  mode: number;
  raw: boolean;
  idempotent: boolean;
  timeout: number | undefined;
  signal: AbortSignal | undefined;
}

class Client extends Methods {
  readonly #engine: Engine;
  readonly #view: View;

  constructor(url?: string | Options | Engine, options?: Options | View) {
    super();
    if (url instanceof Engine) {
      this.#engine = url;
      this.#view = options as View;
      return;
    }
    const resolved = resolveOptions(url, options as Options | undefined);
    this.#engine = new Engine(settingsOf(resolved, connectNode));
    this.#view = { mode: resolved.decodeResponses === false ? Mode.BYTES : 0, raw: false, idempotent: false, timeout: undefined, signal: undefined };
  }

  static fromUrl(url: string, options?: Options): Client {
    return new Client(url, options);
  }

  get status(): Status {
    return this.#engine.status;
  }

  get ready(): Promise<void> {
    const ready = this.#engine.connect();
    ready.catch(() => {});
    return ready;
  }

  connect(): Promise<void> {
    return this.#engine.connect();
  }

  onStateChange(listener: (status: Status, cause?: unknown) => void): () => void {
    if (typeof listener !== "function") throw new TypeError(`onStateChange: parameter 'listener' expected a function, got ${kindOf(listener)}`);
    return this.#engine.onStateChange(listener);
  }

  protected run(row: Row, command: string, args: unknown[]): Promise<unknown> {
    return this.#send(row, command, args, this.#view.mode);
  }

  protected fail(error: unknown): Promise<never> {
    return Promise.reject(error);
  }

  #send(what: number, command: string, args: unknown[], mode: number): Promise<unknown> {
    const { raw, idempotent, timeout, signal } = this.#view;
    const engine = this.#engine;
    const refusal = engine.refusal(command);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (idempotent) what |= Flag.IDEMPOTENT;
    if (raw) {
      what |= Flag.RAW;
      mode |= Mode.WIDE;
    }
    if (signal === undefined) return engine.send(what, timeout, command, args, mode);
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      engine.abortable(engine.open(resolve, reject, what, timeout, command, args, mode), signal);
    });
  }

  call(name: string, ...args: unknown[]): Promise<unknown> {
    let words: unknown[];
    try {
      words = rawCall(name, args);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#send(Row.UNKNOWN | Flag.NAMED, String(words[0]).toUpperCase(), words, this.#view.mode | Mode.WIDE);
  }

  with(options: ViewOptions): Client {
    const view = { ...this.#view };
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined) continue;
      if (name === "decodeResponses" && typeof value === "boolean") view.mode = value ? view.mode & ~Mode.BYTES : view.mode | Mode.BYTES;
      else if (name === "raw" && typeof value === "boolean") view.raw = value;
      else if (name === "idempotent" && typeof value === "boolean") view.idempotent = value;
      else if (name === "timeout" && Number.isInteger(value) && value >= 0 && value <= 0x7fff_ffff) view.timeout = value;
      else if (name === "signal" && value instanceof AbortSignal) view.signal = value;
      else throw new TypeError(`with: '${name}' is no option, or does not take ${kindOf(value)}`);
    }
    return new Client(this.#engine, view);
  }

  pipeline({ transaction = true }: { transaction?: boolean } = {}): Queued {
    return new Queued(this.#engine, { transaction, ...this.#view });
  }

  multi(): Queued {
    return this.pipeline();
  }

  close({ timeout }: { timeout?: number } = {}): Promise<void> {
    return this.#engine.close(timeout);
  }

  destroy(): void {
    this.#engine.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Makes clients; nothing is opened until the first use. */
export const Redis = Client as unknown as {
  new (url: string, options: Options & { decodeResponses: false }): Redis<Uint8Array>;
  new (options: Options & { decodeResponses: false }): Redis<Uint8Array>;
  new <S extends Str = string>(url?: string | Options, options?: Options): Redis<S>;
  /** The same as `new Redis(url, options)`. */
  fromUrl(url: string, options: Options & { decodeResponses: false }): Redis<Uint8Array>;
  fromUrl<S extends Str = string>(url: string, options?: Options): Redis<S>;
};
