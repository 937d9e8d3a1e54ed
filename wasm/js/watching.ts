import type { Commands } from "./generated/commands.js";
import type { Key, Value } from "./outbox.js";
import type { Pipeline, RawPipeline } from "./pipeline.js";
import type { Forms, Plain, Str, World } from "./replies.js";

/** A {@link Pipeline} that watches keys: commands are executed at once, on its own connection, until `multi`. */
export interface Watching<S extends Str = string, N = number, F extends Forms = Plain, V = S, I = Value> extends Commands<World<S, N, F, V, I>> {
  /** See {@link Redis.call}. */
  call(name: string, ...args: Value[]): Promise<unknown>;
  /** Watches more keys. */
  watch(...keys: Key[]): Promise<Watching<S, N, F, V, I>>;
  /** From now on commands are queued, for a transaction that is executed only if no watched key changes before. Throws the second time. */
  multi(): Pipeline<S, [], N, F, V, I>;
  /** Watches nothing any more, and gives the connection back: from now on commands are queued. */
  unwatch(): Promise<Pipeline<S, [], N, F, V, I>>;
  /** Gives up what is watched. */
  reset(): Promise<void>;
  /** Alias of `reset`. */
  discard(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
  readonly then?: never;
}

/** A {@link RawPipeline} that watches keys. */
export interface RawWatching extends Commands<World, "raw">, Omit<Watching, keyof Commands | "watch" | "multi" | "unwatch"> {
  /** See {@link Watching.watch}. */
  watch(...keys: Key[]): Promise<RawWatching>;
  /** See {@link Watching.multi}. */
  multi(): RawPipeline;
  /** See {@link Watching.unwatch}. */
  unwatch(): Promise<RawPipeline>;
}

/** How {@link Redis.transaction} works. Times are in milliseconds. */
export interface TransactionOptions {
  /** How long to wait before another try; default 0. */
  watchDelay?: number;
  /** Whether to give what the function gave instead of the transaction's results. */
  valueFromCallable?: boolean;
  /** How often to try at most, before {@link WatchError} is thrown; no limit by default. */
  maxAttempts?: number;
  /** Gives it up: its promise rejects with `signal.reason`. */
  signal?: AbortSignal;
}
