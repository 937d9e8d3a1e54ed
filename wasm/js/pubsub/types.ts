import type { Key } from "../outbox.js";
import type { SetOf, Str } from "../replies.js";
import type { Gap, Message, Published } from "./notices.js";

/** Takes what was published. What it gives is not waited for: the next message may come before a promise of its settles. */
export type Handler<S extends Str = string> = (message: Published<S>) => void | Promise<void>;

/** Names with who takes what is published to them. */
export type Handlers<S extends Str = string> = Readonly<Record<string, Handler<S>>> | ReadonlyMap<Key, Handler<S>>;

/** Names, one by one or as an array. */
export type Names = readonly Key[] | readonly [readonly Key[]];

/** How a {@link PubSub} behaves. */
export interface PubSubOptions<S extends Str = string> {
  /** Whether confirmations are left out; default false. */
  ignoreSubscribeMessages?: boolean;
  /** How many messages and confirmations may wait to be read; default 10 000. No more than 64 MiB of messages and their names wait either way. */
  bufferLimit?: number;
  /** What becomes of messages beyond: the oldest are let go (`"drop-oldest"`, default), the new ones are, or it ends with a {@link PubSubError}. */
  onOverflow?: "drop-oldest" | "drop-newest" | "close";
  /**
   * Is told, between the messages around it, that some may be missing: the connection was lost and made again, or they were not read in time.
   * Where a name is not allowed any more (`gap.error`), whoever reads next rejects with the error if this is not there.
   */
  onGap?: (gap: Gap<S>) => void;
}

/** How to wait for a message. */
export interface GetMessageOptions {
  /** How long to wait, in milliseconds; 0: not at all; default: no limit. */
  timeout?: number;
  /** Ends the waiting: it rejects with `signal.reason`. */
  signal?: AbortSignal;
  /** The same as in {@link PubSubOptions}, for this call. */
  ignoreSubscribeMessages?: boolean;
}

/** How {@link PubSub.run} behaves. */
export interface RunOptions<S extends Str = string> {
  /** Takes what a handler threw, or its promise rejected with. */
  onError?: (error: unknown, message: Published<S>) => void;
}

/** Reads in the background. */
export interface Worker {
  /** Ends it, with all subscriptions. */
  stop(): Promise<void>;
  /** Settles when it has ended; rejects with the first error, of a handler or for a name that is not allowed any more, that nobody takes, though reading goes on. */
  readonly done: Promise<void>;
}

/**
 * Subscriptions on a connection of their own. What comes is delivered while it is read: by `getMessage`, by `for await`, or by `run`. When
 * the connection is lost it is made again, and everything is subscribed to again.
 */
export interface PubSub<S extends Str = string> extends AsyncIterable<Message<S>> {
  /** SUBSCRIBE; resolves when the server has confirmed every name. With handlers, messages of a name go to its handler. */
  subscribe(...names: Names | [Handlers<S>]): Promise<void>;
  /** PSUBSCRIBE: subscribes to the channels that match glob patterns. */
  psubscribe(...patterns: Names | [Handlers<S>]): Promise<void>;
  /** SSUBSCRIBE: subscribes to shard channels. */
  ssubscribe(...names: Names | [Handlers<S>]): Promise<void>;
  /**
   * UNSUBSCRIBE; without names, from all channels. Resolves when the server has confirmed it. Where it rejects since there was no connection
   * in time, that is done on the next one.
   */
  unsubscribe(...names: Names): Promise<void>;
  /** PUNSUBSCRIBE, likewise. */
  punsubscribe(...patterns: Names): Promise<void>;
  /** SUNSUBSCRIBE, likewise. */
  sunsubscribe(...names: Names): Promise<void>;
  /** Gives what comes next; null when time is up, when a handler took it, and for a confirmation that is left out. */
  getMessage(options?: GetMessageOptions): Promise<Message<S> | null>;
  /** Reads on until it is stopped, and holds the process open. Every name needs a handler. */
  run(options?: RunOptions<S>): Worker;
  /** Whether anything is subscribed to: from the call of `subscribe` until the confirmation of the last `unsubscribe` is read. */
  readonly subscribed: boolean;
  /** The channels subscribed to, shard channels among them. */
  readonly channels: SetOf<S>;
  /** The patterns subscribed to. */
  readonly patterns: SetOf<S>;
  /** Ends everything: whoever waits for a message gets null, and iteration ends. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
