import { unlessAborted } from "../aborts.js";
import type { Channel } from "../channel.js";
import type { Listener } from "../settings.js";
import type { RedisError } from "../errors.js";
import { unexpected, type Key } from "../outbox.js";
import type { Str } from "../replies.js";
import { DATA, keyOf, namesIn, told } from "./names.js";
import type { Loss } from "./loss.js";
import type { Gap, Kind, Published } from "./notices.js";
import { Subscriber } from "./subscriber.js";
import type { Handler } from "./types.js";

/** How {@link Redis.subscribe} behaves. */
export interface SubscribeOptions<S extends Str = string> {
  /** Takes what the handler threw, or its promise rejected with; by default the console does. */
  onError?: (error: unknown, message: Published<S>) => void;
  /** Is told that messages may be missing: the connection was lost, and made again. Where the subscription has ended, it has an `error`, which the console is told by default. */
  onGap?: (gap: Gap<S>) => void;
}

/** Who wants the messages of a name. */
interface Listening extends SubscribeOptions<Str> {
  handler: Handler<Str>;
}

/** A name that somebody listens to. */
interface Heard {
  listening: readonly Listening[];
  /** Settles when the server has confirmed it. */
  ready: Promise<void>;
}

const VERBS = ["subscribe", "psubscribe", "ssubscribe"] as const;
const ENDS = ["unsubscribe", "punsubscribe", "sunsubscribe"] as const;

/** Handlers of many callers on one connection, which is there while one of them listens: each name is subscribed to once. */
class Listeners {
  readonly #make: (listener: Listener) => Channel;
  readonly #mode: number;
  readonly #heard: readonly Map<string, Heard>[] = [new Map(), new Map(), new Map()];
  #subscriber: Subscriber | undefined;

  constructor(make: (listener: Listener) => Channel, mode: number) {
    this.#make = make;
    this.#mode = mode;
  }

  /** Gives every message of `name` to `handler` until the function given back is called; `signal` gives up waiting for that. */
  async add(kind: Kind, name: Key, handler: Handler<Str>, { onError, onGap }: SubscribeOptions<Str> = {}, signal?: AbortSignal): Promise<() => Promise<void>> {
    const verb = VERBS[kind]!;
    for (const [what, given] of Object.entries({ handler, onError, onGap })) {
      if (typeof given !== "function" && (given !== undefined || what === "handler")) throw unexpected(`${verb}: '${what}'`, "a function", given);
    }
    signal?.throwIfAborted();
    // the caller may change what was given
    const own = told(namesIn(verb, [name])[0]!, this.#mode);
    const key = keyOf(own);
    const subscriber = (this.#subscriber ??= this.#start());
    const all = this.#heard[kind]!;
    let heard = all.get(key);
    if (heard === undefined) {
      const made: Heard = { listening: [], ready: subscriber[verb](new Map([[own, (message: Published<Str>) => deliver(made.listening, message)]])) };
      all.set(key, (heard = made));
    }
    const listening: Listening = { handler, onError, onGap };
    // a new array each time: the old one may be gone through
    heard.listening = [...heard.listening, listening];
    const stop = async (): Promise<void> => {
      if (!heard.listening.includes(listening)) return;
      heard.listening = heard.listening.filter((other) => other !== listening);
      if (heard.listening.length > 0 || all.get(key) !== heard) return;
      all.delete(key);
      return this.#rest() ?? subscriber[ENDS[kind]!](own);
    };
    try {
      await unlessAborted(heard.ready, signal);
    } catch (error) {
      const stopped = stop().catch(() => {});
      if (!signal?.aborted) await stopped;
      throw error;
    }
    return stop;
  }

  /** Ends the connection if nobody listens any more. */
  #rest(): Promise<void> | undefined {
    if (this.#heard.some(({ size }) => size > 0)) return undefined;
    const subscriber = this.#subscriber;
    this.#subscriber = undefined;
    return subscriber?.close();
  }

  #start(): Subscriber {
    // of all names where none are said
    const onLoss = (loss: Loss | undefined, gap: Gap<Str>): void => {
      const { error } = gap;
      const told: Listening[] = [];
      for (const [kind, heard] of this.#heard.entries()) {
        for (const key of [...((kind === 1 ? loss?.patterns : loss?.channels) ?? heard).keys()]) {
          told.push(...(heard.get(key)?.listening ?? []));
          if (error !== undefined) heard.delete(key);
        }
      }
      // they may subscribe again
      for (const { onGap } of told) {
        if (onGap !== undefined) call(onGap, gap, fallback);
        else if (error !== undefined) fallback(error);
      }
      if (error !== undefined) void this.#rest();
    };
    const subscriber = new Subscriber(this.#make, this.#mode, undefined, {}, undefined, onLoss);
    // a connection that ended, as that of a core that failed, is not used again
    subscriber.run().done.catch((error: RedisError) => {
      this.#subscriber = undefined;
      onLoss(undefined, { channels: [...subscriber.channels], patterns: [...subscriber.patterns], from: Date.now(), to: Infinity, dropped: 0, error });
    });
    return subscriber;
  }
}

const known = new WeakMap<Channel, Map<number, Listeners>>();

/** Gives the handlers of all callers of `channel` who want data as `mode` says. @internal */
export const listenersOf = (channel: Channel, mode: number): Listeners => {
  const data = mode & DATA;
  let listeners = known.get(channel);
  if (listeners === undefined) known.set(channel, (listeners = new Map()));
  let own = listeners.get(data);
  if (own === undefined) listeners.set(data, (own = new Listeners((listener) => channel.child(listener), data)));
  return own;
};

const fallback = (error: unknown): void => console.error(error);

const deliver = (all: readonly Listening[], message: Published<Str>): void => {
  for (let at = 0; at < all.length; at++) {
    const { handler, onError } = all[at]!;
    call(handler, message, onError === undefined ? fallback : (error) => onError(error, message));
  }
};

/** Calls what is a caller's, whose error must not keep others from being called. */
const call = <T>(theirs: (given: T) => unknown, given: T, failed: (error: unknown) => void): void => {
  try {
    const result = theirs(given);
    if (result instanceof Promise) result.catch((error: unknown) => call(failed, error, fallback));
  } catch (error) {
    if (failed === fallback) fallback(error);
    else call(failed, error, fallback);
  }
};
