import type { RedisError } from "../errors.js";
import type { Str } from "../replies.js";

/** What the core tells a listener; numbers are those of `core/src/pubsub/mod.rs`. @internal */
export const enum Notice {
  MESSAGE,
  PMESSAGE,
  SMESSAGE,
  SUBSCRIBE,
  PSUBSCRIBE,
  SSUBSCRIBE,
  UNSUBSCRIBE,
  PUNSUBSCRIBE,
  SUNSUBSCRIBE,
  LINE,
  GAP,
  /** The data of another message of the channel that the message before was of: a text instead of an array. */
  AGAIN,
}

/** What can be subscribed to. */
export const enum Kind {
  CHANNEL,
  PATTERN,
  SHARD,
}

/** Names by kind. @internal */
export type Names = readonly [channels: Str[], patterns: Str[], shards: Str[]];

/** What the core tells: see `core/src/pubsub/mod.rs` for what is behind the first element. @internal */
export type Told = readonly [notice: Notice, first: unknown, second?: unknown, third?: unknown];

/** What was published: to a channel (`message`), or to one that a pattern matches (`pmessage`). */
export interface Published<S extends Str = string> {
  type: "message" | "pmessage";
  channel: S;
  /** The pattern that matched, for `pmessage`. */
  pattern: S | null;
  data: S;
}

/** The server's word that a subscription began or ended. */
export interface Confirmation<S extends Str = string> {
  type: "subscribe" | "unsubscribe" | "psubscribe" | "punsubscribe" | "ssubscribe" | "sunsubscribe";
  /** The channel's name, or the pattern; null where nothing was named and there was nothing to end. */
  channel: S;
  /** The pattern, where it is about one. */
  pattern: S | null;
  /** How many subscriptions the connection has now: channels and patterns together, or shard channels. */
  data: number;
}

/** What a reader of a {@link PubSub} gets. */
export type Message<S extends Str = string> = Published<S> | Confirmation<S>;

/** Messages may be missing: those that were published to these names in this time. */
export interface Gap<S extends Str = string> {
  channels: S[];
  patterns: S[];
  /** In milliseconds since 1970, as `Date.now()` gives them. */
  from: number;
  to: number;
  /** Why these names are not subscribed to any more, where that is so; `to` is Infinity then. */
  error?: RedisError;
  /** How many were let go because nobody read them in time; 0 where the connection was lost, and nobody can know. */
  dropped: number;
}

/** What is told is about. @internal */
export const kindOfNotice = (notice: Notice): Kind => notice % 3;
