import { adapted, type Adapter } from "./adapter.js";
import type { Channel } from "./channel.js";
import type { Queued as Queueing } from "./commands/give.js";
import { Methods } from "./commands/methods.js";
import { planOf, rowOf, type Plan } from "./commands/plan.js";
import { rawCall } from "./commands/reserved.js";
import { unsupported, type Needs } from "./commands/versions.js";
import { ConnectionError, ResponseError, WatchError, type RedisError } from "./errors.js";
import type { Commands } from "./generated/commands.js";
import { Flag, type Outbox, type Value } from "./outbox.js";
import type { Forms, Plain, Str } from "./replies.js";
import { ENCODED } from "./reader.js";
import type { Gatherer } from "./slots.js";
import { encoded } from "./view.js";

/** Commands that are sent together, as MULTI/EXEC unless `transaction` is false. It can be used again after each `execute`. */
export interface Pipeline<S extends Str = string, T extends unknown[] = [], N = number, F extends Forms = Plain, V = S, I = Value>
  extends Commands<S, N, F, Queueing<S, T, N, F, V, I>, V, I> {
  /** See {@link Redis.call}. */
  call(name: string, ...args: Value[]): Pipeline<S, [...T, unknown], N, F, V, I>;
  /**
   * Sends everything and gives the results in order. The first error among them is thrown, with its `position`, `command` and all
   * `results`; a transaction that was not executed throws {@link ExecAbortError}'s cause or {@link WatchError}.
   */
  execute(options?: { raiseOnError?: true }): Promise<[] extends T ? unknown[] : T>;
  /** The same, with errors of the server in their places among the results. */
  execute(options: { raiseOnError: false }): Promise<[] extends T ? unknown[] : { [K in keyof T]: T[K] | ResponseError }>;
  /** Alias of `execute`. */
  exec: Pipeline<S, T, N, F, V, I>["execute"];
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
  cache: number;
  timeout: number | undefined;
  signal: AbortSignal | undefined;
  adapter: Adapter | undefined;
}

/** The implementation of {@link Pipeline}. */
export class Queued extends Methods {
  readonly #channel: Channel;
  readonly #settings: PipelineSettings;
  #box: Outbox | undefined;
  #commands: string[] = [];
  #needs: [command: string, needs: Needs][] = [];
  /** How replies are decoded, by the command's position; of raw commands nobody knows. */
  #plans: (Plan | undefined)[] = [];

  constructor(channel: Channel, settings: PipelineSettings) {
    super();
    this.#channel = channel;
    this.#settings = settings;
  }

  get checks(): boolean {
    return this.#channel.checks;
  }

  get adapter(): Adapter | undefined {
    return this.#settings.adapter;
  }

  get length(): number {
    return this.#commands.length;
  }

  run(row: number, command: string, args: unknown[], needs?: Needs, what = 0): this {
    const { transaction, mode, raw, idempotent, cache, timeout } = this.#settings;
    if (mode & ENCODED) args = encoded(command, args, mode);
    const box = (this.#box ??= this.#open());
    box.push(0, row | what | cache | (transaction ? Flag.MEMBER : idempotent ? Flag.IDEMPOTENT : 0) | (raw ? Flag.RAW : 0), timeout, command, args);
    this.#commands.push(command);
    if (this.adapter !== undefined && !raw) this.#plans.push(row > 0 ? planOf(row) : undefined);
    if (needs !== undefined) this.#needs.push([command, needs]);
    return this;
  }

  /** Takes a box, with MULTI in it where the commands are to be a transaction. */
  #open(): Outbox {
    const box = this.#channel.takeBox();
    if (this.#settings.transaction) box.push(0, rowOf("MULTI") | Flag.MULTI, undefined, "MULTI", []);
    return box;
  }

  #forget(): void {
    this.#box = undefined;
    this.#commands = [];
    this.#needs = [];
    this.#plans = [];
  }

  fail(error: unknown): never {
    throw error;
  }

  call(name: string, ...args: unknown[]): this {
    const words = rawCall(name, args, this.#channel.lease !== 0);
    return this.run(0, words[0] as string, words, undefined, Flag.NAMED);
  }

  async execute({ raiseOnError = true }: { raiseOnError?: boolean } = {}): Promise<unknown[]> {
    const commands = this.#commands;
    const box = this.#box;
    if (box === undefined || commands.length === 0) return [];
    const { transaction, signal } = this.#settings;
    const channel = this.#channel;
    const needs = this.#needs;
    const plans = this.#plans;
    let results: Promise<unknown[]>;
    this.#forget();
    try {
      const refusal = channel.refusal();
      if (refusal !== undefined) throw refusal;
      signal?.throwIfAborted();
      if (needs.length > 0) channel.awaitsVersion();
      if (channel.gate !== undefined) await channel.gate;
      for (const [command, need] of needs) {
        const error = unsupported(command, need, channel.version);
        if (error !== undefined) throw error;
      }
      results = transaction ? this.#transact(box, commands) : this.#gather(box, commands);
    } finally {
      channel.giveBox(box);
    }
    return this.#decoded(finished(await results, commands, raiseOnError), plans, commands);
  }

  exec(options?: { raiseOnError?: boolean }): Promise<unknown[]> {
    return this.execute(options);
  }

  async reset(): Promise<void> {
    if (this.#box !== undefined) this.#channel.giveBox(this.#box);
    this.#forget();
  }

  discard(): Promise<void> {
    return this.reset();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.reset();
  }

  #decoded(results: unknown[], plans: (Plan | undefined)[], commands: string[]): unknown[] {
    plans.forEach((plan, position) => {
      if (plan === undefined || results[position] instanceof ResponseError) return;
      try {
        results[position] = adapted(this.adapter!, plan, results[position]);
      } catch (error) {
        throw placed(error, position, commands, results);
      }
    });
    return results;
  }

  #gather(box: Outbox, commands: string[]): Promise<unknown[]> {
    const { mode, timeout, signal } = this.#settings;
    return new Promise((resolve) => {
      const gathered = new Gathered(commands.length, resolve);
      const slots = commands.map((command, index) => this.#channel.reserve(gathered, index, command, mode));
      this.#channel.submit(box, timeout !== undefined, (position) => slots[position]!);
      if (signal !== undefined) for (const slot of slots) this.#channel.abortable(slot, signal);
    });
  }

  async #transact(box: Outbox, commands: string[]): Promise<unknown[]> {
    const { mode, raw, timeout, signal } = this.#settings;
    box.push(0, rowOf("EXEC") | Flag.EXEC | (raw ? Flag.RAW : 0), timeout, "EXEC", []);
    let slot!: number;
    const reply = new Promise<unknown>((resolve, reject) => {
      slot = this.#channel.reserve(resolve, reject, "EXEC", mode);
      this.#channel.submit(box, timeout !== undefined, () => slot);
      if (signal !== undefined) this.#channel.abortable(slot, signal);
    });
    let results: unknown;
    try {
      results = await reply;
    } catch (error) {
      const refused = this.#channel.takeRefused(slot);
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
