import { unlessAborted } from "./aborts.js";
import { adapted } from "./adapter.js";
import type { InertCommand } from "./commands/inert.js";
import { Methods, take } from "./commands/methods.js";
import type { Channel } from "./channel.js";
import { planOf, type Plan } from "./commands/plan.js";
import { unsupported, type Needs } from "./commands/versions.js";
import { LeaseError, type RedisError } from "./errors.js";
import { Flag } from "./outbox.js";
import { Failed, placed } from "./gathered.js";
import { ENCODED } from "./reader.js";
import type { Gatherer } from "./slots.js";
import { later } from "./timer.js";
import { encoded, modeOf, type View } from "./view.js";

/** How {@link Redis.pipelineStream} works. */
export interface StreamOptions<R = unknown> {
  /** How many commands are on their way, or have results that wait for `onResult`, at most; default 1 000. */
  window?: number;
  /**
   * Takes each result, or the error in its place, in the order of the commands. When it gives a promise, it is called again once that
   * is fulfilled. What it throws ends the stream. Without it the first error does.
   */
  onResult?: (result: R | RedisError | TypeError, index: number) => void | Promise<void>;
  /** Ends the stream, whose promise rejects with `signal.reason`; what was written may be executed. Default: that of the view. */
  signal?: AbortSignal;
}

/** The commands of {@link Redis.pipelineStream}. */
export type Source<C> = Iterable<C> | AsyncIterable<C>;

const PENDING = Symbol();

/** After so many commands all others have their turn, though each may settle at once. */
const TURN = 10_000;
/** Resolves when timers and sockets had their turn. */
const turn = (): Promise<void> => new Promise((resolve) => void (typeof setImmediate === "function" ? setImmediate(resolve) : later(resolve, 0)));

/** That no more commands come. */
interface End {
  /** What all end with. */
  error?: unknown;
  /** What is thrown when those that came are settled. */
  last?: unknown;
}

/** Sends commands as they come, and holds no more of them than its window takes. @internal */
export class Stream extends Methods implements Gatherer {
  readonly #channel: Channel;
  readonly #view: View;
  /** What is in the window, each command in the place of its number modulo the window's size. */
  readonly #results: unknown[];
  readonly #slots: number[];
  readonly #commands: string[] = [];
  readonly #plans: Plan[] = [];
  /** The number of the oldest command in the window, and of the next that comes. */
  #oldest = 0;
  #next = 0;
  /** Set once no more commands come. */
  #end: End | undefined;
  readonly #room = new Bell();
  readonly #settled = new Bell();

  constructor(channel: Channel, view: View, window: number) {
    super(channel.checks, view.adapter);
    this.#channel = channel;
    this.#view = view;
    this.#results = new Array<unknown>(window);
    this.#slots = new Array<number>(window);
  }

  /** Sends all commands of `source` and gives how many there were. */
  async execute(source: Source<InertCommand>, { onResult, signal = this.#view.signal }: StreamOptions): Promise<number> {
    signal?.throwIfAborted();
    const channel = this.#channel;
    const refusal = channel.refusal();
    if (refusal !== undefined) throw refusal;
    const abort = (): void => this.#stop({ error: signal!.reason });
    const leave = channel.onStateChange((status) => status === "closed" && this.#stop({ last: channel.refusal() }));
    signal?.addEventListener("abort", abort);
    this.#send(source).then(
      () => this.#stop({}),
      (error: unknown) => this.#stop({ error }),
    );
    try {
      await this.#deliver(onResult, signal);
    } catch (error) {
      this.#stop({ error });
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      leave();
    }
    return this.#next;
  }

  async #send(source: Source<InertCommand>): Promise<void> {
    for await (const command of source) {
      while (this.#next - this.#oldest === this.#results.length && this.#end === undefined) await this.#room.rung();
      if (this.#end !== undefined) return;
      this.#results[this.#next % this.#results.length] = PENDING;
      take(this, command, "pipelineStream: parameter 'source'");
      if (++this.#next % TURN === 0) await turn();
    }
  }

  async #deliver(onResult: StreamOptions["onResult"], signal: AbortSignal | undefined): Promise<void> {
    const results = this.#results;
    for (;;) {
      for (; this.#oldest < this.#next; this.#oldest++, this.#room.ring()) {
        if (this.#end !== undefined && "error" in this.#end) throw this.#end.error;
        const index = this.#oldest;
        const place = index % results.length;
        if (results[place] === PENDING) break;
        const result = this.#decoded(results[place], this.#plans[place]);
        results[place] = undefined;
        const failed = result instanceof Failed;
        if (onResult !== undefined) {
          const handled = onResult((failed ? result.error : result) as RedisError, index);
          if (handled !== undefined) await unlessAborted(handled, signal);
        } else if (failed) throw placed(result.error, index, this.#commands[place]!, []);
      }
      if (this.#end !== undefined && "error" in this.#end) throw this.#end.error;
      if (this.#end !== undefined && this.#oldest === this.#next) {
        if (this.#end.last !== undefined) throw this.#end.last;
        return;
      }
      await this.#settled.rung();
    }
  }

  #decoded(result: unknown, plan: Plan | undefined): unknown {
    if (plan === undefined || result instanceof Failed) return result;
    try {
      return adapted(this.#view.adapter!, plan, result);
    } catch (error) {
      return new Failed(error);
    }
  }

  /** Takes no more commands; gives up what is in the window when that is for an error. */
  #stop(end: End): void {
    if (this.#end !== undefined && (!("error" in end) || "error" in this.#end)) return;
    this.#end = end;
    if ("error" in end) {
      const slots: number[] = [];
      for (let index = this.#oldest; index < this.#next; index++) {
        const place = index % this.#results.length;
        if (this.#results[place] === PENDING) slots.push(this.#slots[place]!);
      }
      this.#channel.engine.cancel(slots, end.error);
    }
    this.#room.ring();
    this.#settled.ring();
  }

  run(row: number, command: string, args: unknown[], needs?: Needs): void {
    const channel = this.#channel;
    const { mode, flags, timeout, adapter } = this.#view;
    const place = this.#next % this.#slots.length;
    this.#commands[place] = command;
    const error = (needs !== undefined && unsupported(command, needs, channel.version.limit)) || channel.refusal(command);
    if (error) return this.fail(error);
    if (mode & ENCODED) {
      try {
        args = encoded(command, args, mode);
      } catch (error) {
        return this.fail(error);
      }
    }
    if (adapter !== undefined && !(flags & Flag.RAW)) this.#plans[place] = planOf(row);
    const slot = (this.#slots[place] = channel.open(this, this.#next, row | flags, timeout, command, args, modeOf(this.#view)));
    if (needs !== undefined) channel.engine.prove([slot], (limit) => unsupported(command, needs, limit));
  }

  fail(error: unknown): void {
    this.take(this.#next, error, true);
  }

  take(index: number, value: unknown, failed: boolean): void {
    this.#results[index % this.#results.length] = failed ? new Failed(value) : value;
    // there is no other for it
    if (failed && value instanceof LeaseError) this.#stop({ last: value });
    if (index === this.#oldest) this.#settled.ring();
  }
}

/** Something that is waited for again and again, by one at a time. */
class Bell {
  #answer: (() => void) | undefined;

  rung(): Promise<void> {
    return new Promise((resolve) => (this.#answer = resolve));
  }

  ring(): void {
    this.#answer?.();
    this.#answer = undefined;
  }
}
