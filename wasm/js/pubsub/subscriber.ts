import type { Channel } from "../channel.js";
import { rowOf } from "../commands/plan.js";
import type { Listener } from "../settings.js";
import { PubSubError, type RedisError } from "../errors.js";
import { Flag, unexpected, type Key } from "../outbox.js";
import { ENCODED, Mode } from "../reader.js";
import type { SetOf, Str } from "../replies.js";
import { later, type Timer } from "../timer.js";
import { encoded } from "../view.js";
import { Inbox, type Item } from "./inbox.js";
import { Loss } from "./loss.js";
import { DATA, keyOf, namesIn, shown, told } from "./names.js";
import { Kind, kindOfNotice, Notice, type Gap, type Message, type Names, type Published, type Told } from "./notices.js";
import type { GetMessageOptions, Handler, PubSub, PubSubOptions, RunOptions, Worker } from "./types.js";

/** A name that is subscribed to. */
interface Entry {
  name: Str;
  handler: Handler<Str> | undefined;
  /** Whether the last confirmation that was read said so. */
  confirmed: boolean;
  /** Subscriptions whose confirmation was not read. */
  pending: number;
  /** Whether it was to end, and that was given up. */
  unwanted?: boolean | undefined;
}

/** Who waits for what comes next. */
interface Reader {
  ignore: boolean;
  /** Takes it; null where a handler did, or nobody is meant to. */
  take(message: Message<Str> | null): void;
  fail(error: unknown): void;
  /** Whether only messages are of interest. */
  skips: boolean;
}

/** Who runs handlers. */
interface Running extends RunOptions<Str> {
  succeed(): void;
  fail(error: unknown): void;
}

const VERBS = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"] as const;
/** What has to be added to a kind for the verb that ends it. */
const ENDS = 3;
/** How long a server may take to confirm that all is ended, when it is closed. */
const FAREWELL = 1_000;
const OVERFLOWS: readonly unknown[] = [undefined, "drop-oldest", "drop-newest", "close"];

/** The implementation of {@link PubSub}. */
export class Subscriber implements PubSub<Str>, Listener {
  readonly mode: number;
  readonly #make: (listener: Listener) => Channel;
  #made: Channel | undefined;
  readonly #timeout: number | undefined;
  /** Gives up subscribing. */
  readonly #signal: AbortSignal | undefined;
  readonly #options: PubSubOptions<Str>;
  readonly #onLoss: ((loss: Loss, gap: Gap<Str>) => void) | undefined;
  readonly #inbox: Inbox;
  readonly #entries: readonly Map<string, Entry>[] = [new Map(), new Map(), new Map()];
  readonly #readers: Reader[] = [];
  #running: Running | undefined;
  #pumping = false;
  /** What a handler failed with while nobody ran it. */
  #fault: { error: unknown } | undefined;
  #used = false;
  #ended = false;
  /** The channel of the message that was told before. */
  #last: Str = "";
  /** Why it ended, unless it was closed. */
  #failure: unknown;

  /**
   * Listens on a channel made by `make`; `mode` is how data is read, `timeout` that of its commands, and `signal` gives up subscribing; `onLoss`
   * takes gaps with the names that are meant.
   */
  constructor(
    make: (listener: Listener) => Channel,
    mode: number,
    timeout: number | undefined,
    options: PubSubOptions<Str> = {},
    signal?: AbortSignal,
    onLoss?: (loss: Loss, gap: Gap<Str>) => void,
  ) {
    const { ignoreSubscribeMessages, bufferLimit = 10_000, onOverflow, onGap } = options;
    if (ignoreSubscribeMessages !== undefined && typeof ignoreSubscribeMessages !== "boolean") throw unexpected("pubsub: 'ignoreSubscribeMessages'", "a boolean", ignoreSubscribeMessages);
    if (!Number.isInteger(bufferLimit) || bufferLimit < 1) throw unexpected("pubsub: 'bufferLimit'", "a whole number from 1", bufferLimit);
    if (!OVERFLOWS.includes(onOverflow)) throw unexpected("pubsub: 'onOverflow'", '"drop-oldest", "drop-newest" or "close"', onOverflow);
    if (onGap !== undefined && typeof onGap !== "function") throw unexpected("pubsub: 'onGap'", "a function", onGap);
    this.mode = mode & DATA;
    this.#timeout = timeout;
    this.#signal = signal;
    this.#options = options;
    this.#onLoss = onLoss;
    this.#inbox = new Inbox(bufferLimit, onOverflow === "drop-newest", (told) => this.#note(told));
    this.#make = make;
  }

  /** Its own, from the first use on. */
  get #channel(): Channel {
    if (this.#ended && this.#made === undefined) throw new PubSubError("it is closed");
    return (this.#made ??= this.#make(this));
  }

  subscribe(...names: readonly unknown[]): Promise<void> {
    return this.#subscribe(Kind.CHANNEL, names);
  }

  psubscribe(...patterns: readonly unknown[]): Promise<void> {
    return this.#subscribe(Kind.PATTERN, patterns);
  }

  ssubscribe(...names: readonly unknown[]): Promise<void> {
    return this.#subscribe(Kind.SHARD, names);
  }

  unsubscribe(...names: readonly unknown[]): Promise<void> {
    return this.#unsubscribe(Kind.CHANNEL, names);
  }

  punsubscribe(...patterns: readonly unknown[]): Promise<void> {
    return this.#unsubscribe(Kind.PATTERN, patterns);
  }

  sunsubscribe(...names: readonly unknown[]): Promise<void> {
    return this.#unsubscribe(Kind.SHARD, names);
  }

  async #subscribe(kind: Kind, given: readonly unknown[]): Promise<void> {
    const method = VERBS[kind]!.toLowerCase();
    const [first] = given;
    const plain = typeof first !== "object" || first === null || Array.isArray(first) || first instanceof Uint8Array;
    const pairs = plain ? undefined : first instanceof Map ? [...(first as Map<unknown, unknown>)] : Object.entries(first);
    const names = namesIn(method, pairs?.map(([name]) => name) ?? given);
    if (names.length === 0) throw new TypeError(`${method}: expected one name at least`);
    for (const [, handler] of pairs ?? []) if (typeof handler !== "function") throw unexpected(`${method}: a handler`, "a function", handler);
    if (pairs === undefined && this.#running !== undefined) throw new PubSubError(`${method}: while run() reads, a name needs a handler`);
    const signal = this.#signal;
    signal?.throwIfAborted();
    const entries = this.#entries[kind]!;
    const asked = names.map((name, at) => {
      const own = told(name, this.mode);
      const key = keyOf(own);
      const entry = entries.get(key) ?? { name: own, handler: undefined, confirmed: false, pending: 0 };
      const before = entry.handler;
      if (pairs !== undefined) entry.handler = pairs[at]![1] as Handler<Str>;
      entry.pending++;
      entry.unwanted = false;
      entries.set(key, entry);
      return { key, entry, before, handler: entry.handler };
    });
    this.#used = true;
    try {
      await this.#send(kind, names, undefined, signal);
    } catch (error) {
      for (const { key, entry, before, handler } of asked) {
        if (entry.handler === handler) entry.handler = before;
        if (entry.pending > 0) entry.pending--;
        if (entry.pending === 0 && !entry.confirmed) entries.delete(key);
      }
      // the server may have got it
      const left = asked.filter(({ key }) => !entries.has(key)).map(({ entry }) => entry.name);
      if (signal?.aborted && left.length > 0 && this.#made?.engine.status === "ready") this.#send(kind + ENDS, left).catch(() => {});
      else if (!this.subscribed && this.#running === undefined && this.#readers.length === 0) this.#rest();
      throw error;
    }
  }

  async #unsubscribe(kind: Kind, given: readonly unknown[]): Promise<void> {
    const names = namesIn(VERBS[kind + ENDS]!.toLowerCase(), given);
    const entries = this.#entries[kind]!;
    const left = names.length === 0 ? [...entries.values()] : names.flatMap((name) => entries.get(keyOf(told(name, this.mode))) ?? []);
    for (const entry of left) entry.unwanted = undefined;
    try {
      await this.#send(kind + ENDS, names);
    } catch (error) {
      // unless it was subscribed to again
      for (const entry of left) entry.unwanted ??= true;
      throw error;
    }
  }

  /** Gives its connection back. */
  #rest(): void {
    const made = this.#made;
    this.#made = undefined;
    made?.engine.destroy();
  }

  /** Ends what was subscribed to again though it was to end. */
  readonly #endAgain = (): void => {
    for (const [kind, entries] of this.#entries.entries()) {
      const names = [...entries.values()].filter(({ unwanted }) => unwanted).map(({ name }) => name);
      if (names.length > 0) this.#unsubscribe(kind, names).catch(() => {});
    }
  };

  #send(verb: number, names: readonly Key[], timeout = this.#timeout, signal?: AbortSignal): Promise<unknown> {
    const command = VERBS[verb]!;
    const refusal = this.#failure ?? this.#channel.refusal(command);
    if (refusal !== undefined) return Promise.reject(refusal);
    return this.#channel.send(rowOf(command) | Flag.IDEMPOTENT, timeout, command, this.mode & ENCODED ? encoded(command, names, this.mode) : names, this.mode, signal);
  }

  get subscribed(): boolean {
    return this.#entries.some((entries) => entries.size > 0);
  }

  get channels(): SetOf<Str> {
    return this.#namesOf(Kind.CHANNEL, Kind.SHARD);
  }

  get patterns(): SetOf<Str> {
    return this.#namesOf(Kind.PATTERN);
  }

  #namesOf(...kinds: Kind[]): SetOf<Str> {
    const names = kinds.flatMap((kind) => [...this.#entries[kind]!.values()].map(({ name }) => shown(name, this.mode)));
    return (this.mode & Mode.BYTES ? names : new Set(names)) as SetOf<Str>;
  }

  getMessage(options: GetMessageOptions = {}): Promise<Message<Str> | null> {
    const { timeout, signal, ignoreSubscribeMessages: ignore = this.#options.ignoreSubscribeMessages ?? false } = options;
    return new Promise((resolve, reject) => {
      if (timeout !== undefined && !(typeof timeout === "number" && timeout >= 0)) throw unexpected("getMessage: 'timeout'", "milliseconds, a number from 0", timeout);
      signal?.throwIfAborted();
      let timer: Timer;
      const settled = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
      };
      const abort = (): void => {
        this.#leave(reader);
        reader.fail(signal!.reason);
      };
      const leave = (): void => {
        this.#leave(reader);
        reader.take(null);
      };
      const reader: Reader = { ignore, skips: false, take: (message) => (settled(), resolve(message)), fail: (error) => (settled(), reject(error)) };
      if (this.#read(reader)) return;
      signal?.addEventListener("abort", abort);
      if (timeout === 0) leave();
      else if (timeout !== undefined) timer = later(leave, timeout);
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<Message<Str>> {
    const ignore = this.#options.ignoreSubscribeMessages ?? false;
    const end = { value: undefined, done: true } as const;
    const next = (): Promise<IteratorResult<Message<Str>>> => {
      // what is there already costs no reader
      while (this.#readers.length === 0 && this.#running === undefined && this.#fault === undefined && !this.#ended) {
        const value = this.#next(ignore);
        if (value === undefined) break;
        if (value !== null) return Promise.resolve({ value, done: false });
      }
      return new Promise((resolve, reject) => {
        this.#read({ ignore, take: (value) => resolve(value === null ? end : { value, done: false }), fail: reject, skips: true });
      });
    };
    return { next, return: () => Promise.resolve(end) };
  }

  /** Gives `reader` what comes next, now (true) or when it comes. */
  #read(reader: Reader): boolean {
    if (!this.#used) throw new PubSubError("nothing was subscribed to: call subscribe() or psubscribe() first");
    if (this.#running !== undefined) throw new PubSubError("run() is reading: stop it first");
    this.#readers.push(reader);
    this.#pump();
    return !this.#readers.includes(reader);
  }

  #leave(reader: Reader): void {
    this.#readers.splice(this.#readers.indexOf(reader), 1);
    this.#hold();
  }

  /** Holds the process open while somebody reads. */
  #hold(): void {
    this.#made?.engine.listen(this.#running !== undefined || this.#readers.length > 0);
  }

  run(options: RunOptions<Str> = {}): Worker {
    const { onError } = options;
    if (onError !== undefined && typeof onError !== "function") throw unexpected("run: 'onError'", "a function", onError);
    if (this.#running !== undefined || this.#readers.length > 0) throw new PubSubError("run: somebody is reading already");
    for (const entries of this.#entries) {
      for (const { name, handler } of entries.values()) if (handler === undefined) throw new PubSubError(`run: '${shown(name, 0)}' has no handler`);
    }
    const refusal = this.#failure ?? this.#channel.refusal();
    if (refusal !== undefined) throw refusal;
    const done = new Promise<void>((succeed, fail) => (this.#running = { onError, succeed, fail }));
    done.catch(() => {});
    this.#schedule();
    return { stop: () => this.close(), done };
  }

  take(notice: Notice, first: unknown, second: unknown, third: unknown): void {
    if (this.#ended) return;
    if (this.#options.onOverflow === "close" && this.#running === undefined && this.#inbox.isFull) {
      this.#failure ??= new PubSubError("more messages wait to be read than 'bufferLimit' allows: read faster, or raise it");
      return queueMicrotask(() => this.#channel.engine.destroy());
    }
    // what runs reads everything before more can come
    this.#inbox.push(this.#itemOf(notice, first, second, third), this.#running === undefined);
    if (!this.#pumping && (this.#running !== undefined || this.#readers.length > 0)) this.#schedule();
  }

  /** Gives what was told as it waits. */
  #itemOf(notice: Notice, first: unknown, second: unknown, third: unknown): Item {
    if (notice === Notice.AGAIN) return { type: "message", channel: typeof this.#last === "string" ? this.#last : this.#last.slice(), pattern: null, data: first as Str };
    if (notice === Notice.PMESSAGE) return { type: "pmessage", channel: second as Str, pattern: first as Str, data: third as Str };
    if (notice <= Notice.SMESSAGE) return { type: "message", channel: (this.#last = first as Str), pattern: null, data: second as Str };
    if (notice === Notice.GAP) {
      queueMicrotask(this.#endAgain);
      return Loss.ofGap(first as number, second as number | RedisError, third as Names);
    }
    return [notice, first, second];
  }

  /** Not at once: handlers must not run while the core is being worked with. */
  #schedule(): void {
    this.#pumping = true;
    queueMicrotask(this.#pump);
  }

  /** Gives what is there to whoever reads. */
  readonly #pump = (): void => {
    this.#pumping = false;
    while (this.#failure !== undefined || !this.#ended) {
      const reader = this.#readers[0];
      if (reader === undefined && this.#running === undefined) break;
      const fault = this.#fault;
      if (reader !== undefined && fault !== undefined) {
        this.#fault = undefined;
        this.#readers.shift();
        reader.fail(fault.error);
        continue;
      }
      const message = this.#next(reader?.ignore ?? true);
      if (message === undefined) break;
      // a handler may have read, or closed
      if (reader === undefined || reader !== this.#readers[0] || (message === null && (reader.skips || this.#fault !== undefined))) continue;
      this.#readers.shift();
      reader.take(message);
    }
    if (this.#ended) this.#finish();
    this.#hold();
  };

  /** Takes what comes next: null where somebody else has it, undefined where there is nothing. */
  #next(ignore: boolean): Message<Str> | null | undefined {
    const item = this.#inbox.shift();
    if (item === undefined) return undefined;
    if ("type" in item) {
      const handler = this.#handlerOf(item);
      show(item, this.mode);
      if (handler === undefined) return item as Message<Str>;
      this.#call(handler, item, item);
      return null;
    }
    if (item instanceof Loss) {
      const { onGap } = this.#options;
      const gap = item.gap(this.mode);
      for (const word of item.ended) this.#note(word);
      if (this.#onLoss !== undefined) this.#onLoss(item, gap);
      else if (onGap !== undefined) this.#call(onGap, gap, undefined);
      else if (gap.error !== undefined) this.#report(gap.error, undefined);
      return this.#next(ignore);
    }
    this.#note(item);
    return ignore ? null : confirmationOf(item, this.mode);
  }

  #handlerOf({ channel, pattern }: Published<Str>): Handler<Str> | undefined {
    // not taken apart: this is done for each message
    const entries = this.#entries;
    if (pattern !== null) return entries[Kind.PATTERN]!.get(keyOf(pattern))?.handler;
    const key = keyOf(channel);
    return (entries[Kind.CHANNEL]!.get(key) ?? entries[Kind.SHARD]!.get(key))?.handler;
  }

  /** Calls what is the caller's; what it fails with, about `message`, goes to whoever takes it. */
  #call<T>(theirs: (given: T) => unknown, given: T, message: Published<Str> | undefined): void {
    try {
      const result = theirs(given);
      if (result instanceof Promise) result.catch((error: unknown) => this.#report(error, message));
    } catch (error) {
      this.#report(error, message);
    }
  }

  #report(error: unknown, message: Published<Str> | undefined): void {
    const running = this.#running;
    if (running === undefined) {
      this.#fault ??= { error };
      this.#schedule();
    } else if (running.onError === undefined || message === undefined) {
      running.fail(error);
    } else {
      try {
        running.onError(error, message);
      } catch (fault) {
        running.fail(fault);
      }
    }
  }

  /** Takes the server's word that a subscription began or ended. */
  #note([notice, name]: Told): void {
    if (name === null) return;
    const entries = this.#entries[kindOfNotice(notice)]!;
    const key = keyOf(name as Str);
    const entry = entries.get(key);
    const confirmed = notice < Notice.UNSUBSCRIBE;
    if (entry === undefined) {
      if (confirmed) entries.set(key, { name: name as Str, handler: undefined, confirmed, pending: 0 });
      return;
    }
    entry.confirmed = confirmed;
    if (entry.pending === 0) {
      if (!confirmed) entries.delete(key);
    } else if (confirmed) entry.pending--;
  }

  /** Nothing more comes. */
  ended(error?: unknown): void {
    // what it gave back is nothing to it
    if (this.#ended || this.#made === undefined) return;
    this.#failure ??= error;
    this.#ended = true;
    this.#schedule();
  }

  #finish(): void {
    const failure = this.#failure;
    this.#made?.engine.destroy();
    for (const reader of this.#readers.splice(0)) {
      if (failure === undefined) reader.take(null);
      else reader.fail(failure);
    }
    const running = this.#running;
    this.#running = undefined;
    if (failure === undefined) running?.succeed();
    else running?.fail(failure);
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const kinds = [Kind.CHANNEL, Kind.PATTERN, Kind.SHARD].filter((kind) => this.#entries[kind]!.size > 0);
    if (this.#made?.engine.status === "ready") await Promise.allSettled(kinds.map((kind) => this.#send(kind + ENDS, [], FAREWELL)));
    for (const entries of this.#entries) entries.clear();
    this.#finish();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Makes a message what callers see. */
const show = (message: Published<Str>, mode: number): void => {
  message.channel = shown(message.channel, mode);
  if (message.pattern !== null) message.pattern = shown(message.pattern, mode);
  message.data = shown(message.data, mode);
};

/** Gives the confirmation that was told as callers see it. */
const confirmationOf = ([notice, name, count]: Told, mode: number): Message<Str> => {
  const channel = (name && shown(name as Str, mode)) as Str;
  return { type: VERBS[notice - Notice.SUBSCRIBE]!.toLowerCase() as "subscribe", channel, pattern: kindOfNotice(notice) === Kind.PATTERN ? channel : null, data: count as number };
};
