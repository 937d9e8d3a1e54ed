// for all declarations: what is disposed of is, to compilers, where nothing else of a program tells them of it
/// <reference lib="esnext.disposable" preserve="true" />
import { adapted } from "./adapter.js";
import type { Channel } from "./channel.js";
import { Methods } from "./commands/methods.js";
import { blocks, planOf, rowOf, type Plan } from "./commands/plan.js";
import { knownAs, queueRefusalOf, rawCall, refusalOf } from "./commands/reserved.js";
import { needsOf, unsupported, type Needs } from "./commands/versions.js";
import { ConnectionError, ProtocolError, RedisError, type ResponseError, WatchError } from "./errors.js";
import { Failed, finished, Gathered, placed } from "./gathered.js";
import type { Commands } from "./generated/commands.js";
import { Flag, kept, type Key, type Outbox, type Value } from "./outbox.js";
import type { AnyWorld, Forms, Plain, Str, World } from "./replies.js";
import { ENCODED, Mode } from "./reader.js";
import type { Runner } from "./script.js";
import { SCRIPTS } from "./scripts.js";
import type { Trial } from "./version.js";
import { encoded, modeOf, type View } from "./view.js";
import type { RawWatching, Watching } from "./watching.js";

declare const results: unique symbol;

/** Whatever has results of type `T`; for types only. */
export interface Yields<T> {
  readonly [results]: T;
}

/**
 * Commands that are sent together, as MULTI/EXEC unless `transaction` is false. It can be used again after each `execute`. What is wrong with a
 * command's arguments is thrown where it is appended, and that command is not; so are commands that block, but for those of a transaction.
 */
export type Pipeline<S extends Str = string, T extends unknown[] = [], N = number, F extends Forms = Plain, V = S, I = Value> = Queue<World<S, N, F, V, I>, T>;

/** A {@link Pipeline} in the world `W`, whose results so far are `T`. It is a {@link Yields} without saying so: a base more would cost compilers more per command. */
export interface Queue<W extends AnyWorld, out T extends unknown[]> extends Commands<W, "queue", T> {
  readonly [results]: T;
  /** See {@link Redis.call}. */
  call(name: string, ...args: Value[]): Queue<W, [...T, unknown]>;
  /** Sends what was queued one by one, as in a loop, of which types know nothing. */
  execute(this: Yields<[]>, options?: { raiseOnError?: boolean }): Promise<unknown[]>;
  /**
   * Sends everything and gives the results in order; none where nothing is queued. The first error among them is thrown, with its
   * `position` from 0, its `command` and all `results`; a transaction that was not executed throws the error of the command that the server
   * refused to queue, or {@link WatchError}. Where the connection is lost or time is up, a {@link ConnectionError} or `TimeoutError` says by
   * `maybeExecuted` whether the server may have executed it: all of a transaction or nothing. The commands of another pipeline stand each for
   * itself, as in a loop: that is about the one at `position`, what was not written yet is sent once there is a connection again, and
   * `results` have what became of each. The view's `signal` gives it up. Whatever happens, the pipeline is empty then.
   */
  execute(options?: { raiseOnError?: true }): Promise<T>;
  /**
   * The same, with errors of the server in their places among the results. So is a {@link DecodeError} or `IntegerRangeError` where a reply
   * cannot be decoded as the view has it; types do not tell of these, which not asking for such replies (`integers: "exact"`) avoids.
   */
  execute(options: { raiseOnError: boolean }): Promise<{ [K in keyof T]: T[K] | ResponseError }>;
  /** Alias of `execute`. */
  exec: Queue<W, T>["execute"];
  /**
   * Takes a connection of its own and has it watch `keys`. From then on commands are not queued but executed, until `multi`: the same object
   * resolves as {@link Watching}. Where a watched key changes before `execute`, or the connection is lost, that rejects with
   * {@link WatchError} and nothing is executed.
   */
  watch(...keys: Key[]): Promise<Watching<W["S"], W["N"], W["F"], W["V"], W["I"]>>;
  /** Makes it a transaction whatever it was. Throws where commands are queued, and the second time. */
  multi(): Queue<W, T>;
  /** Gives up what is queued and watched: UNWATCH, and the connection goes back. What is executed already is left alone. */
  reset(): Promise<void>;
  /** Alias of `reset`. */
  discard(): Promise<void>;
  /** How many commands are queued. */
  readonly length: number;
  [Symbol.asyncDispose](): Promise<void>;
  readonly then?: never;
}

/** A {@link Pipeline} whose results keep the form that the server gave them. */
export interface RawPipeline extends Commands<World, "rawqueue"> {
  /** See {@link Redis.call}. */
  call(name: string, ...args: Value[]): RawPipeline;
  /** See {@link Queue.execute}. */
  execute(options?: { raiseOnError?: boolean }): Promise<unknown[]>;
  /** Alias of `execute`. */
  exec: RawPipeline["execute"];
  /** See {@link Queue.watch}. */
  watch(...keys: Key[]): Promise<RawWatching>;
  /** See {@link Queue.multi}. */
  multi(): RawPipeline;
  /** See {@link Queue.reset}. */
  reset(): Promise<void>;
  /** Alias of `reset`. */
  discard(): Promise<void>;
  /** How many commands are queued. */
  readonly length: number;
  [Symbol.asyncDispose](): Promise<void>;
  readonly then?: never;
}

/** A pipeline leaves in parts of so many commands: the server begins with the first while the next is made ready. */
const PART = 256;
/** It is woken by the first part, which therefore is small. */
const FIRST = 64;

/** How many characters of a script's text go with each call outside transactions, where the server may be told to forget it at any time. */
const BRIEF = 1024;

/** What most pipelines have of what some have. */
const NONE: readonly never[] = [];

/** A connection of a pipeline's own. @internal */
export interface Held {
  readonly channel: Channel;
  readonly client: Runner & { call(name: string, ...args: unknown[]): Promise<unknown>; watch(...keys: Key[]): Promise<unknown>; unwatch(): Promise<unknown> };
  /** Whether it was taken for this alone, and is lost. */
  readonly isLost: boolean;
  release(): Promise<void>;
}

/** The connection of a pipeline's own, if it has taken one, and whether that may watch keys. */
interface Watcher {
  readonly taken: Promise<Held> | undefined;
  watches: boolean;
}

/** Gives the connection back. */
const letGo = async ({ taken, watches }: Watcher): Promise<void> => {
  const held = await taken?.catch(() => undefined);
  // a connection that is lost watches nothing
  if (watches) await held?.client.unwatch().catch(() => {});
  await held?.release();
};

/** Gives what tells of the first of `commands` that a server is too old for. */
const needing = (commands: string[], needs: readonly [position: number, needs: Needs][]): Trial["refusalOf"] => (limit) => {
  for (const [position, need] of needs) {
    const error = unsupported(commands[position]!, need, limit);
    if (error !== undefined) return placed(error, position, commands[position]!, []);
  }
};

/** The implementation of {@link Pipeline} and {@link Watching}. @internal */
export class Queued extends Methods implements Runner {
  readonly #shared: Channel;
  readonly #view: View;
  /** Whether it is a transaction without {@link multi}. */
  readonly #always: boolean;
  readonly #lend: () => Promise<Held>;
  /** What is queued; a transaction is in one box. */
  #boxes: Outbox[] = [];
  #commands: string[] = [];
  #needs: [position: number, needs: Needs][] | undefined;
  /** How replies are decoded, by the command's position; of raw commands nobody knows. */
  #plans: (Plan | undefined)[] | undefined;
  /** Where raw commands are, if anywhere. */
  #calls: Set<number> | undefined;
  /** Scripts whose text is queued, {@link SCRIPTS} at most; of those that are no script's calls, their arguments. */
  #scripts: Set<unknown> | undefined;
  /** Its own connection, from `watch` to the end; `#held` once it is there. */
  #taken: Promise<Held> | undefined;
  #held: Held | undefined;
  /** How many calls have, or may have, the connection watch keys. */
  #watches = 0;
  /** Whether `multi` was called. */
  #multi = false;
  /** Whether what is queued is a transaction. */
  #transaction: boolean;

  constructor(channel: Channel, view: View, transaction: boolean, lend: () => Promise<Held>) {
    super(channel.checks, view.adapter);
    this.#shared = channel;
    this.#view = view;
    this.#always = this.#transaction = transaction;
    this.#lend = lend;
  }

  get length(): number {
    return this.#commands.length;
  }

  get #channel(): Channel {
    return this.#held?.channel ?? this.#shared;
  }

  /** The client that commands go to at once, while it watches. */
  get #immediate(): Held["client"] | undefined {
    return this.#multi ? undefined : this.#held?.client;
  }

  run(row: number, command: string, args: unknown[], needs?: Needs, what = 0): unknown {
    if (this.#held !== undefined && !this.#multi) return this.#held.client.run(row, command, args, needs, what);
    if (this.#scripts !== undefined) this.#heed(row > 0 ? command : knownAs(args), args);
    return this.#append(row, command, args, needs, what);
  }

  /** Takes note of what has the server forget scripts. */
  #heed(command: string, args: unknown[]): void {
    if (command === "SCRIPT FLUSH") this.#scripts = undefined;
    else if (/^EVAL(_RO)?$/.test(command)) this.#scripts!.add(args);
  }

  #append(row: number, command: string, args: unknown[], needs: Needs | undefined, what: number): this {
    const { mode, flags, timeout, adapter } = this.#view;
    const transaction = this.#transaction;
    if (!transaction && blocks(row || rowOf(command.toUpperCase()), args)) {
      throw new TypeError(`${command} blocks, and whatever is behind it in a pipeline would wait: send it by itself, or in a transaction, where it does not block`);
    }
    if (mode & ENCODED) args = encoded(command, args, mode);
    this.#box(transaction).push(0, row | what | (transaction ? (flags & ~(Flag.IDEMPOTENT | Flag.SILENT)) | Flag.MEMBER : flags), timeout, command, args);
    this.#commands.push(command);
    if (adapter !== undefined && !(flags & Flag.RAW)) (this.#plans ??= []).push(row > 0 ? planOf(row) : undefined);
    if (needs !== undefined) (this.#needs ??= []).push([this.length - 1, needs]);
    return this;
  }

  /** Gives the box for the next command; one with MULTI in it where the commands are to be a transaction. */
  #box(transaction: boolean): Outbox {
    const last = this.#boxes[this.#boxes.length - 1];
    if (last !== undefined && (transaction || last.count < (this.#boxes.length === 1 ? FIRST : PART))) return last;
    const box = this.#shared.takeBox();
    if (transaction) box.push(0, rowOf("MULTI") | Flag.MULTI, undefined, "MULTI", []);
    this.#boxes.push(box);
    return box;
  }

  /** Forgets what is queued, and a box that only a command without sense was for. */
  #forget(): void {
    for (const box of this.#boxes) this.#shared.giveBox(box);
    this.#leave();
  }

  /** Leaves what is queued to whoever has it. */
  #leave(): void {
    this.#boxes = [];
    this.#commands = [];
    this.#needs = this.#plans = this.#calls = this.#scripts = undefined;
  }

  fail(error: unknown): unknown {
    if (this.#immediate !== undefined) return Promise.reject(error);
    throw error;
  }

  call(name: string, ...args: unknown[]): unknown {
    const immediate = this.#immediate;
    let words: unknown[];
    try {
      words = rawCall(name, args, immediate !== undefined || this.#shared.lease !== 0 ? queueRefusalOf : refusalOf);
    } catch (error) {
      return this.fail(error);
    }
    if (immediate !== undefined) return immediate.call(name, ...args);
    this.run(0, String(words[0]).toUpperCase(), words, undefined, Flag.NAMED);
    (this.#calls ??= new Set()).add(this.length - 1);
    return this;
  }

  shaOf(lua: string): string {
    return this.#shared.engine.learn(lua);
  }

  script(lua: string, readonly: boolean, words: unknown[]): unknown {
    if (this.#immediate !== undefined) return this.#immediate.script(lua, readonly, words);
    // a script that the server did not know could only be sent again behind what comes after it
    const scripts = (this.#scripts ??= new Set());
    const few = scripts.size < SCRIPTS;
    const known = few && scripts.has(lua) && (this.#transaction || lua.length > BRIEF);
    const command = (known ? "EVALSHA" : "EVAL") + (readonly ? "_RO" : "");
    const row = rowOf(command);
    // its digest is that of its UTF-8, whatever the encoding of data is
    const text = this.#view.mode & ENCODED ? new TextEncoder().encode(lua) : lua;
    this.#append(row, command, [known ? this.shaOf(lua) : text, ...words], needsOf(row), 0);
    if (few) scripts.add(lua);
    return this;
  }

  async watch(...keys: Key[]): Promise<this> {
    if (this.#multi) throw new RedisError("Cannot issue a WATCH after a MULTI", { command: "WATCH", maybeExecuted: false });
    keys = kept(keys);
    const held = await this.hold();
    if (this.#held === held) this.#watches++;
    try {
      await held.client.watch(...keys);
    } catch (cause) {
      const error = held.isLost ? new WatchError({ command: "WATCH", maybeExecuted: false, cause }) : cause;
      if (this.#held === held && --this.#watches === 0 && !this.#multi) await letGo(this.#part());
      throw error;
    }
    return this;
  }

  /** Whether the connection of its own is lost; `execute` parts with that. */
  get isLost(): boolean {
    return this.#held?.isLost === true;
  }

  /** Takes a connection of its own: commands are executed at once. */
  async hold(): Promise<Held> {
    this.#taken ??= this.#lend();
    const taken = this.#taken;
    try {
      const held = await taken;
      if (this.#taken === taken) this.#held = held;
      else await held.release();
      return held;
    } catch (error) {
      if (this.#taken === taken) this.#taken = undefined;
      throw error;
    }
  }

  multi(): this {
    if (this.#multi) throw new RedisError("Cannot issue nested calls to MULTI", { command: "MULTI", maybeExecuted: false });
    if (this.length > 0) throw new RedisError("Commands without an initial WATCH have already been issued", { command: "MULTI", maybeExecuted: false });
    this.#forget();
    this.#multi = this.#transaction = true;
    return this;
  }

  async unwatch(): Promise<this> {
    if (this.#multi) throw new RedisError("Cannot issue an UNWATCH after a MULTI", { command: "UNWATCH", maybeExecuted: false });
    await letGo(this.#part());
    return this;
  }

  /** Parts with its connection, and tells whether that may watch keys. */
  #part(): Watcher {
    const watcher = { taken: this.#taken, watches: this.#watches > 0 };
    this.#taken = this.#held = undefined;
    this.#watches = 0;
    this.#multi = false;
    this.#transaction = this.#always;
    return watcher;
  }

  async execute({ raiseOnError = true }: { raiseOnError?: boolean } = {}): Promise<unknown[]> {
    const commands = this.#commands;
    if (commands.length === 0) return [];
    const boxes = this.#boxes;
    const channel = this.#channel;
    const tooOld = this.#needs && needing(commands, this.#needs);
    const plans = this.#plans ?? NONE;
    const calls = this.#calls;
    const transaction = this.#transaction;
    const { signal } = this.#view;
    // whatever is said from now on is about what is queued then
    this.#leave();
    const isEarly = this.#taken !== undefined && this.#held === undefined;
    const watcher = this.#part();
    const watched = watcher.watches;
    let results: Promise<unknown[]>;
    try {
      try {
        const refusal = channel.refusal();
        if (refusal !== undefined) throw refusal;
        if (isEarly) throw new RedisError("what is watched guards nothing yet: await 'watch' before", { command: "EXEC", maybeExecuted: false });
        signal?.throwIfAborted();
        const error = tooOld?.(channel.version.limit);
        if (error !== undefined) throw error;
        // EXEC ends watching whatever comes of it, and whoever watches on this connection
        const turns = transaction && watcher.taken === undefined && channel.turns.isTaken ? channel.turns : undefined;
        if (turns !== undefined) await turns.take(signal);
        results = transaction ? this.#transact(channel, boxes[0]!, commands, tooOld, calls) : this.#gather(channel, boxes, commands, tooOld, calls);
        turns?.give();
        if (transaction) watcher.watches = false;
      } finally {
        for (const box of boxes) channel.giveBox(box);
      }
      return finished(this.#decoded(await results, plans), commands, raiseOnError, signal);
    } catch (error) {
      // what was watched has no meaning on another connection
      if (watched && error instanceof ConnectionError && error.maybeExecuted === false) throw new WatchError({ command: "EXEC", maybeExecuted: false, cause: error });
      throw error;
    } finally {
      if (watcher.taken !== undefined) await letGo(watcher);
    }
  }

  exec(options?: { raiseOnError?: boolean }): Promise<unknown[]> {
    return this.execute(options);
  }

  async reset(): Promise<void> {
    this.#forget();
    await letGo(this.#part());
  }

  discard(): Promise<void> {
    return this.reset();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.reset();
  }

  #decoded(results: unknown[], plans: readonly (Plan | undefined)[]): unknown[] {
    plans.forEach((plan, position) => {
      const result = results[position];
      if (plan === undefined || result instanceof Failed || result instanceof RedisError) return;
      try {
        results[position] = adapted(this.#view.adapter!, plan, result);
      } catch (error) {
        results[position] = error;
      }
    });
    return results;
  }

  #gather(channel: Channel, boxes: Outbox[], commands: string[], tooOld: Trial["refusalOf"] | undefined, calls: Set<number> | undefined): Promise<unknown[]> {
    const { timeout, signal } = this.#view;
    const mode = modeOf(this.#view);
    return new Promise((resolve, reject) => {
      let trial: Trial | undefined;
      const gathered = new Gathered(commands.length, (results) => (trial?.error === undefined ? resolve(results) : reject(trial.error)));
      let at = 0;
      for (const box of boxes) {
        const slots = new Array<number>(box.count);
        for (let position = 0; position < box.count; position++, at++) slots[position] = channel.reserve(gathered, at, commands[at]!, calls?.has(at) ? mode | Mode.WIDE : mode);
        if (signal !== undefined) for (const slot of slots) channel.abortable(slot, signal);
        trial = channel.engine.prove(slots, tooOld);
        channel.submit(box, timeout !== undefined, slots, signal);
      }
    });
  }

  async #transact(channel: Channel, box: Outbox, commands: string[], tooOld: Trial["refusalOf"] | undefined, calls: Set<number> | undefined): Promise<unknown[]> {
    const { flags, timeout, signal } = this.#view;
    box.push(0, rowOf("EXEC") | Flag.EXEC | (flags & Flag.RAW), timeout, "EXEC", []);
    let slot!: number;
    const reply = await new Promise<unknown>((resolve) => {
      slot = channel.reserve(resolve, (error) => resolve(new Failed(error)), "EXEC", modeOf(this.#view) | Mode.EACH);
      if (calls !== undefined) channel.engine.widen(slot, calls);
      if (signal !== undefined) channel.abortable(slot, signal);
      channel.engine.prove([slot], tooOld);
      channel.submit(box, timeout !== undefined, slot, signal);
    });
    const refused = channel.takeRefused(slot);
    const failed = reply instanceof Failed;
    if (failed && reply.error === signal?.reason) throw reply.error;
    const [multi] = refused;
    // the server took the commands for single ones, or for those of another transaction
    if (multi !== undefined) throw Object.assign(multi, { command: "MULTI", maybeExecuted: true });
    if (failed) {
      const position = refused.findIndex((error) => error !== undefined) - 1;
      throw position < 0 ? reply.error : placed(refused[position + 1]!, position, commands[position]!, []);
    }
    if (reply === null) throw new WatchError({ command: "EXEC", maybeExecuted: false });
    if (Array.isArray(reply) && reply.length === commands.length) return reply;
    throw new ProtocolError("EXEC did not give a reply for each command", { command: "EXEC", maybeExecuted: true });
  }
}
