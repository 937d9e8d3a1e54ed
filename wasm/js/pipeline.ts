import { Methods, type SetOf, type SetOptions, type Several, type Str, type ZaddOptions, type ZrangeOptions } from "./commands.js";
import type { Fields } from "./arguments.js";
import type { Engine } from "./engine.js";
import { ConnectionError, ResponseError, WatchError, type RedisError } from "./errors.js";
import { Flag, Outbox, type Key, type Value } from "./outbox.js";
import { rawCall } from "./reserved.js";
import { Row } from "./rows.js";
import type { Gatherer } from "./slots.js";

/** What the commands of a pipeline give, in its type: one longer per command. */
export interface Queue<S extends Str, T extends unknown[]> {
  /** See {@link Commands.get}. */
  get(key: Key): Pipeline<S, [...T, S | null]>;
  /** See {@link Commands.set}. */
  set(key: Key, value: Value, options: SetOptions & { get: true }): Pipeline<S, [...T, S | null]>;
  set(key: Key, value: Value, options?: SetOptions): Pipeline<S, [...T, boolean]>;
  /** See {@link Commands.del}. */
  del(...keys: Several<Key>): Pipeline<S, [...T, number]>;
  /** See {@link Commands.incr}. */
  incr(key: Key): Pipeline<S, [...T, number]>;
  /** See {@link Commands.mget}. */
  mget(...keys: Several<Key>): Pipeline<S, [...T, (S | null)[]]>;
  /** See {@link Commands.mset}. */
  mset(fields: Fields): Pipeline<S, [...T, boolean]>;
  /** See {@link Commands.lrange}. */
  lrange(key: Key, start: number, stop: number): Pipeline<S, [...T, S[]]>;
  /** See {@link Commands.rpush}. */
  rpush(key: Key, ...elements: Several<Value>): Pipeline<S, [...T, number]>;
  /** See {@link Commands.hset}. */
  hset(key: Key, fields: Fields): Pipeline<S, [...T, number]>;
  /** See {@link Commands.hgetall}. */
  hgetall(key: Key): Pipeline<S, [...T, Record<string, S>]>;
  /** See {@link Commands.smembers}. */
  smembers(key: Key): Pipeline<S, [...T, SetOf<S>]>;
  /** See {@link Commands.sadd}. */
  sadd(key: Key, ...members: Several<Value>): Pipeline<S, [...T, number]>;
  /** See {@link Commands.zadd}. */
  zadd(key: Key, members: Fields<number>, options: ZaddOptions & { incr: true }): Pipeline<S, [...T, number | null]>;
  zadd(key: Key, members: Fields<number>, options?: ZaddOptions): Pipeline<S, [...T, number]>;
  /** See {@link Commands.zrange}. */
  zrange(key: Key, start: Value, stop: Value, options: ZrangeOptions & { withscores: true }): Pipeline<S, [...T, [member: S, score: number][]]>;
  zrange(key: Key, start: Value, stop: Value, options?: ZrangeOptions): Pipeline<S, [...T, S[]]>;
  /** See {@link Commands.ping}. */
  ping(): Pipeline<S, [...T, string]>;
  ping(message: Value): Pipeline<S, [...T, S]>;
  /** See {@link Commands.echo}. */
  echo(message: Value): Pipeline<S, [...T, S]>;
  /** See {@link Redis.call}. */
  call(name: string, ...args: Value[]): Pipeline<S, [...T, unknown]>;
}

/** Commands that are sent together, as MULTI/EXEC unless `transaction` is false. It can be used again after each `execute`. */
export interface Pipeline<S extends Str = string, T extends unknown[] = []> extends Queue<S, T> {
  /**
   * Sends everything and gives the results in order. The first error among them is thrown, with its `position`, `command` and all
   * `results`; a transaction that was not executed throws {@link ExecAbortError}'s cause or {@link WatchError}.
   */
  execute(options?: { raiseOnError?: true }): Promise<[] extends T ? unknown[] : T>;
  /** The same, with errors of the server in their places among the results. */
  execute(options: { raiseOnError: false }): Promise<[] extends T ? unknown[] : { [K in keyof T]: T[K] | ResponseError }>;
  /** Alias of `execute`. */
  exec: Pipeline<S, T>["execute"];
  /** Forgets what is queued. */
  reset(): Promise<void>;
  /** Alias of `reset`. */
  discard(): Promise<void>;
  /** How many commands are queued. */
  readonly length: number;
  [Symbol.asyncDispose](): Promise<void>;
  readonly then?: never;
}

/** How a pipeline's commands are sent. */
export interface PipelineSettings {
  transaction: boolean;
  mode: number;
  raw: boolean;
  idempotent: boolean;
  timeout: number | undefined;
  signal: AbortSignal | undefined;
}

/** The implementation of {@link Pipeline}. */
export class Queued extends Methods {
  readonly #engine: Engine;
  readonly #settings: PipelineSettings;
  #box: Outbox | undefined;
  #commands: string[] = [];

  constructor(engine: Engine, settings: PipelineSettings) {
    super();
    this.#engine = engine;
    this.#settings = settings;
  }

  get length(): number {
    return this.#commands.length;
  }

  protected run(row: Row, command: string, args: unknown[], what = 0): this {
    const { transaction, raw, idempotent, timeout } = this.#settings;
    const box = (this.#box ??= this.#open());
    box.push(0, row | what | (transaction ? Flag.MEMBER : idempotent ? Flag.IDEMPOTENT : 0) | (raw ? Flag.RAW : 0), timeout, command, args);
    this.#commands.push(command);
    return this;
  }

  /** Takes a box, with MULTI in it where the commands are to be a transaction. */
  #open(): Outbox {
    const box = this.#engine.takeBox();
    if (this.#settings.transaction) box.push(0, Row.MULTI | Flag.MULTI, undefined, "MULTI", []);
    return box;
  }

  #close(): void {
    if (this.#box !== undefined) this.#engine.giveBox(this.#box);
    this.#box = undefined;
    this.#commands = [];
  }

  protected fail(error: unknown): never {
    throw error;
  }

  call(name: string, ...args: unknown[]): this {
    const words = rawCall(name, args);
    return this.run(Row.UNKNOWN, words[0] as string, words, Flag.NAMED);
  }

  async execute({ raiseOnError = true }: { raiseOnError?: boolean } = {}): Promise<unknown[]> {
    const commands = this.#commands;
    const box = this.#box;
    if (box === undefined || commands.length === 0) return [];
    const { transaction, signal } = this.#settings;
    let results: Promise<unknown[]>;
    try {
      const refusal = this.#engine.refusal();
      if (refusal !== undefined) throw refusal;
      signal?.throwIfAborted();
      results = transaction ? this.#transact(box, commands) : this.#gather(box, commands);
    } finally {
      this.#close();
    }
    return finished(await results, commands, raiseOnError);
  }

  exec(options?: { raiseOnError?: boolean }): Promise<unknown[]> {
    return this.execute(options);
  }

  async reset(): Promise<void> {
    this.#close();
  }

  discard(): Promise<void> {
    return this.reset();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.reset();
  }

  #gather(box: Outbox, commands: string[]): Promise<unknown[]> {
    const { mode, timeout, signal } = this.#settings;
    return new Promise((resolve) => {
      const gathered = new Gathered(commands.length, resolve);
      const slots = commands.map((command, index) => this.#engine.reserve(gathered, index, command, mode));
      this.#engine.submit(box, timeout !== undefined, (position) => slots[position]!);
      if (signal !== undefined) for (const slot of slots) this.#engine.abortable(slot, signal);
    });
  }

  async #transact(box: Outbox, commands: string[]): Promise<unknown[]> {
    const { mode, raw, timeout, signal } = this.#settings;
    box.push(0, Row.EXEC | Flag.EXEC | (raw ? Flag.RAW : 0), timeout, "EXEC", []);
    let slot!: number;
    const reply = new Promise<unknown>((resolve, reject) => {
      slot = this.#engine.reserve(resolve, reject, "EXEC", mode);
      this.#engine.submit(box, timeout !== undefined, () => slot);
      if (signal !== undefined) this.#engine.abortable(slot, signal);
    });
    let results: unknown;
    try {
      results = await reply;
    } catch (error) {
      const refused = this.#engine.takeRefused(slot);
      const position = refused.findIndex((error) => error !== undefined);
      throw position < 0 ? error : placed(refused[position]!, position, commands, []);
    }
    if (results === null) throw new WatchError({ command: "EXEC", maybeExecuted: false });
    return results as unknown[];
  }
}

/** Waits for all of several commands. */
class Gathered implements Gatherer {
  readonly #results: unknown[];
  readonly #resolve: (results: unknown[]) => void;
  #left: number;

  constructor(count: number, resolve: (results: unknown[]) => void) {
    this.#results = new Array<unknown>(count);
    this.#left = count;
    this.#resolve = resolve;
  }

  take(index: number, value: unknown, failed: boolean): void {
    this.#results[index] = failed && !(value instanceof ResponseError) ? new Failed(value) : value;
    if (--this.#left === 0) this.#resolve(this.#results);
  }
}

/** Marks a result that is no reply of the server's. */
class Failed {
  constructor(readonly error: unknown) {}
}

const finished = (results: unknown[], commands: string[], raiseOnError: boolean): unknown[] => {
  let first = -1;
  for (let at = 0; at < results.length; at++) {
    const result = results[at];
    if (result instanceof Failed) throw result.error instanceof ConnectionError ? result.error : placed(result.error, at, commands, results);
    if (!(result instanceof ResponseError)) continue;
    if (first < 0) first = at;
    // EXEC's errors do not know what they are about
    if (result.command === undefined) Object.assign(result, { command: commands[at]! });
  }
  if (raiseOnError && first >= 0) throw placed(results[first], first, commands, results);
  return results;
};

/** Tells an error where in the pipeline it arose. */
const placed = (error: unknown, position: number, commands: string[], results: unknown[]): unknown => {
  if (!(error instanceof Error) || !("command" in error || error instanceof ResponseError)) return error;
  const command = commands[position]!;
  error.message = `Command # ${position + 1} (${command}) of pipeline caused error: ${error.message}`;
  return Object.assign(error as RedisError, { command, position, results });
};
