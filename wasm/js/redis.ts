import { isAdapter, adapted, type Adapter } from "./adapter.js";
import type { CacheStats } from "./cache.js";
import type { InertCommand, ReplyOf } from "./commands/inert.js";
import { addLeased, Methods, take } from "./commands/methods.js";
import { planOf, rowOf } from "./commands/plan.js";
import { knownAs, leaseRefusalOf, rawCall, refusalOf, silentRefusalOf } from "./commands/reserved.js";
import { isOlder, needsOf, unsupported, type Needs } from "./commands/versions.js";
import { checkSignal, unlessAborted } from "./aborts.js";
import { customCommand, type CommandDefinition } from "./custom.js";
import { Channel } from "./channel.js";
import { Engine } from "./engine.js";
import { ConnectionError, ResponseError, WatchError } from "./errors.js";
import type { Commands, LeaseCommands } from "./generated/commands.js";
import { pure } from "./host.js";
import type { Inspection } from "./inspect.js";
import { pages, type Iterators } from "./iterators.js";
import { connectNode } from "./node.js";
import { resolveOptions, settingsOf, type Options } from "./options.js";
import { kept, kindOf, unexpected, Flag, ROW, type Key, type Value } from "./outbox.js";
import { Library, libraryOf, type LibraryClass } from "./library.js";
import { Lock, LuaLock, Operation, type LockOptions } from "./lock.js";
import { Queued, type Held, type Pipeline, type RawPipeline, type Yields } from "./pipeline.js";
import { engineOf } from "./pool.js";
import { listenersOf, type SubscribeOptions } from "./pubsub/listeners.js";
import { Monitor, type MonitorEntry, type MonitorOptions } from "./pubsub/monitor.js";
import { Kind } from "./pubsub/notices.js";
import { Subscriber } from "./pubsub/subscriber.js";
import type { Handler, PubSub, PubSubOptions } from "./pubsub/types.js";
import { ENCODED, Mode } from "./reader.js";
import type { Forms, Plain, Str, World } from "./replies.js";
import { scriptOf, type Caller, type Script } from "./script.js";
import { Stream, type Source, type StreamOptions } from "./stream.js";
import { isRetryPolicy, persist, type RetryPolicy } from "./retry.js";
import type { Status } from "./status.js";
import { atMost, closeLimit } from "./timer.js";
import { decodes, encoded, withDecoding, type Adapting, type DataWith, type DecodingOptions, type Fitting, type FormsWith, type GivenWith, type IntegersWith, type ValuesWith, type View } from "./view.js";
import type { RawWatching, TransactionOptions, Watching } from "./watching.js";

/** What a view changes. */
export interface ViewOptions extends DecodingOptions {
  /** Whether replies keep the form that the server gave them. */
  raw?: boolean;
  /** Milliseconds from the writing of a command to its reply; 0: no limit. */
  timeout?: number;
  /** Whether it does no harm when commands are executed twice: they are sent again when the connection is lost before the reply. Never in transactions. */
  idempotent?: boolean;
  /** Whether replies may be kept, and be kept ones, where the client keeps any. Default `true`, in mode `"optin"` `false`. */
  cache?: boolean;
  /** When commands that failed are sent again, and after how long; `false`: never, whatever the client's option says. Not of pipelines. */
  retry?: RetryPolicy | false;
  /** Gives up every command made through the view: its promise rejects with `signal.reason`. What is held or listened to already stays, and can be ended. */
  signal?: AbortSignal;
  /** Makes values of the caller's own of what keys hold, and the other way round; `json` of `redwire/adapters` is one. */
  adapter?: Adapter;
}

/**
 * A client of one server. It connects on first use, shares one connection among all callers, and sends what one tick asks for in one
 * write, in order.
 */
export interface Redis<S extends Str = string, N = number, F extends Forms = Plain, V = S, I = Value> extends Commands<World<S, N, F, V, I>>, Iterators<S, V> {
  /** Where it stands: `idle`, `connecting`, `ready`, `reconnecting`, `closing` or `closed`. */
  readonly status: Status;
  /** Settles when it is connected, connecting if need be; rejects when that fails. */
  readonly ready: Promise<void>;
  /** Connects unless connected; rejects when the first attempt fails. */
  connect(): Promise<void>;
  /** Tells what it is at: its connections, who waits for what since when, and the last errors; no values, no secrets. */
  inspect(): Inspection;
  /** Calls `listener` at each change of status, with what led to it, until the function given back is called. */
  onStateChange(listener: (status: Status, cause?: unknown) => void): () => void;
  /** What became of commands whose replies may be kept; `undefined` without the option `cache`. */
  readonly cacheStats: CacheStats | undefined;
  /** Sends any command: `name` as Redis spells it, its words separated by spaces. What the table knows gets its usual reply shape; an integer beyond 2^53-1 is a bigint. */
  call(name: string, ...args: Value[]): Promise<unknown>;
  /**
   * Tells whether the server has a command, of whatever name, connecting if need be; where it may not be asked, whether it is new enough,
   * and `false` for what redwire does not know.
   */
  supports(command: string): Promise<boolean>;
  /** Gives a function for a command that the table does not know. It is sent whatever the server's version, as with {@link call}. */
  defineCommand<R = unknown>(definition: CommandDefinition<R>): (...args: Value[]) => Promise<R>;
  /** Gives a client that shares this one's connection and differs in `options`. */
  with<const O extends ViewOptions & { raw: true }>(options: O & Fitting<O, S>): RawRedis<Viewed<O, S, N, F, V, I>>;
  with<const O extends ViewOptions>(options: O & Fitting<O, S>): Viewed<O, S, N, F, V, I>;
  /**
   * Sends commands made by the functions of `redwire/commands`, together and in order, and gives their results. The first error among
   * them is thrown, with its `position`, `command` and all `results`.
   */
  execute<const C extends readonly InertCommand[]>(commands: C): Promise<{ -readonly [P in keyof C]: ReplyOf<C[P], S, N, F, V> }>;
  /**
   * Sends the commands of `source`, made by the functions of `redwire/commands`, as they come, and gives how many there were: for batches
   * that are too large for a pipeline. Only `window` of them are held at a time. Not a transaction; the stream ends at the first error unless
   * `onResult` takes it. Where it ends early, what was not written never is, and `source` is told by `return()`.
   * @throws TypeError for options that are none.
   */
  pipelineStream<C extends InertCommand>(source: Source<C>, options?: StreamOptions<ReplyOf<C, S, N, F, V>>): Promise<number>;
  /**
   * Gives a pipeline, which is a transaction unless `transaction` is false: commands are held, without limit, until it is executed; where
   * there is no connection then, `offlineQueue` says how many may wait, of a transaction with its MULTI and EXEC. It has what its view
   * says: `with({ signal, timeout }).pipeline()` is one that can be given up.
   */
  pipeline(options?: { transaction?: boolean }): Pipeline<S, [], N, F, V, I>;
  /** Gives a transaction: a pipeline sent as MULTI/EXEC. */
  multi(): Pipeline<S, [], N, F, V, I>;
  /**
   * Gives subscriptions on a connection of their own, which is made when the first name is subscribed to: it waits for one as
   * {@link Redis.lease} does, and holds it until it is closed.
   */
  pubsub(options?: PubSubOptions<S>): PubSub<S>;
  /**
   * Gives each message of a channel to `handler`, until the function given back is called. All callers share one connection, and a
   * channel is subscribed to once. Resolves when the server has confirmed it. The connection is waited for as {@link Redis.lease} does, and
   * held until the last handler is stopped.
   */
  subscribe(channel: Key, handler: Handler<S>, options?: SubscribeOptions<S>): Promise<() => Promise<void>>;
  /** The same for the channels that match a glob pattern. */
  psubscribe(pattern: Key, handler: Handler<S>, options?: SubscribeOptions<S>): Promise<() => Promise<void>>;
  /** The same for a shard channel. */
  ssubscribe(channel: Key, handler: Handler<S>, options?: SubscribeOptions<S>): Promise<() => Promise<void>>;
  /**
   * MONITOR on a connection of its own: the commands that the server executes, from the first `next()` until the loop is left. It throws
   * when the connection is lost, and waits for one as {@link Redis.lease} does. Costs the server much of its speed.
   */
  monitor(options?: MonitorOptions): AsyncIterableIterator<MonitorEntry<S>>;
  /**
   * Watches `keys`, calls `fn` with a pipeline that executes commands at once until its `multi`, and then executes what was queued; all over
   * again, when a watched key changed or that connection was lost meanwhile. Gives the transaction's results, typed where `fn` gives the pipeline. What `fn` throws is thrown.
   *
   * Each try holds a connection of its own (WATCH, MULTI, EXEC, UNWATCH), and waits for one as {@link Redis.lease} does. On a lease it is that
   * of the lease, where whatever else watches keys or is a transaction waits meanwhile: `fn` must not wait for such.
   * @throws WatchError when a key changed in each of `maxAttempts` tries.
   * @throws ConnectionError when the connection is lost behind EXEC, with `maybeExecuted: true`: nothing is tried again then.
   */
  transaction<R>(fn: (watching: Watching<S, N, F, V, I>) => R | Promise<R>, keys: readonly Key[], options: TransactionOptions & { valueFromCallable: true }): Promise<R>;
  transaction<R>(
    fn: (watching: Watching<S, N, F, V, I>) => R | Promise<R>,
    keys: readonly Key[],
    options?: TransactionOptions & { valueFromCallable?: false },
  ): Promise<R extends Yields<infer T> ? T : unknown[]>;
  /** Makes a function of the Lua script `lua`. No server is asked. */
  registerScript<R = unknown>(lua: string): Script<R>;
  /** Loads the library `name` (Redis 7.0), whose functions `code` has. Rejects when there is one, unless it is to be replaced. */
  registerLibrary(name: string, code: string, options?: { replace?: boolean }): Promise<Library>;
  /** Loads the library of a class; where that has no `CODE`, the library must be there. */
  registerLibrary<L extends Library>(library: LibraryClass<L>, options?: { replace?: boolean }): Promise<L>;
  /** Binds a library that is on the server. */
  loadLibrary(name: string): Promise<Library>;
  loadLibrary<L extends Library>(library: LibraryClass<L>): Promise<L>;
  /** Alias of `loadLibrary`. */
  getLibrary: Redis<S, N, F, V, I>["loadLibrary"];
  /**
   * Makes a lock of the key `name`; no server is asked. On a lease it is taken, released and extended on that connection.
   * @throws LockError where `sleep` is longer than `timeout`.
   * @throws TypeError for times that are no whole milliseconds, or 2^32 and more, and for a name that the view's encoding lacks characters for.
   */
  lock(name: Key, options?: LockOptions): Lock;
  /**
   * Takes a connection of its own, once one is free: at most `maxConnections` are in use at once, by leases, blocking commands and what
   * listens, and whoever waits longer than `poolTimeout` rejects with a {@link TimeoutError}. `signal`, by default the view's, gives up waiting.
   */
  lease(options?: { signal?: AbortSignal }): Promise<Lease<S, N, F, V, I>>;
  /**
   * Calls `task` with a client whose commands the server executes without answering: their promises settle once they are written, and
   * what goes wrong is never known. Resolves when the server has executed them all. Each goes on a lease, right behind CLIENT REPLY SKIP.
   */
  ignoreReplies(task: (redis: Commands<World<S, N, F, V, I>, "unanswered">) => unknown): Promise<void>;
  /** Gives a client with connections of its own and the same options, but for `options`; one with a `pool` shares that. */
  duplicate<const O extends Options>(options?: O): Viewed<O, S, N, F, V, I>;
  /**
   * Waits for what is in flight, at most `timeout` ms (default: no limit), then closes the connections; what blocks, or waits for a lock, rejects at once.
   * Takes no more commands at once. With a `pool` it takes no more commands, and everything else is the pool's business.
   */
  close(options?: { timeout?: number }): Promise<void>;
  /** Closes the connections at once; what is in flight rejects. With a `pool`, the same as `close`. */
  destroy(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a client becomes with `O`. */
export type Viewed<O extends DecodingOptions & Adapting, S extends Str = string, N = number, F extends Forms = Plain, V = S, I = Value> = Redis<DataWith<O, S>, IntegersWith<O, N>, FormsWith<O, F>, ValuesWith<O, S, V>, GivenWith<O, I>>;

/** What a lease leaves to the client that it is of. */
type Whole = "connect" | "ready" | "close" | "destroy" | "duplicate" | "ignoreReplies" | "lease" | "with" | "wait" | "waitaof";

/**
 * A client on a connection of its own, until it gives that back: what changes a connection, or is about its writes, changes nobody
 * else's. A lease is one connection's life: when that is lost, everything on it rejects, and from then on with a {@link LeaseError}.
 */
export interface Lease<S extends Str = string, N = number, F extends Forms = Plain, V = S, I = Value> extends Omit<Redis<S, N, F, V, I>, Whole>, LeaseCommands<World<S, N, F, V, I>> {
  /** Gives a client that shares this lease and differs in `options`. */
  with(options: RawOptions & { raw: true }): RawLease<Lease<S, N, F, V, I>>;
  with<const O extends ViewOptions>(options: O & Fitting<O, S>): Lease<DataWith<O, S>, IntegersWith<O, N>, FormsWith<O, F>, ValuesWith<O, S, V>, GivenWith<O, I>>;
  /**
   * Gives the connection back, which is used again if it is as it was, and closed otherwise. What is in flight settles, but for what
   * blocks, which rejects; what comes later rejects with a {@link LeaseError}.
   */
  release(): Promise<void>;
}

/** What of a client says what replies are. */
type Typed = keyof Commands | "with" | "execute" | "pipelineStream" | "pipeline" | "multi" | "transaction" | "lease" | "duplicate";

/** What a view of raw replies may differ in. */
type RawOptions = Omit<ViewOptions, keyof DecodingOptions | "raw" | "adapter">;

/**
 * A client whose replies keep the form that the server gave them: nobody can say what that is. Iterators, which read replies themselves, give
 * what they always give. With `raw: false` it is `B` again.
 */
export interface RawRedis<B = Redis> extends RawCommands, Omit<Redis, Typed> {
  /** See {@link Redis.with}. */
  with(options: RawOptions & { raw: false }): B;
  with(options: RawOptions & { raw?: true }): RawRedis<B>;
  /** See {@link Redis.execute}. */
  execute(commands: readonly InertCommand[]): Promise<unknown[]>;
  /** See {@link Redis.pipelineStream}. */
  pipelineStream(source: Source<InertCommand>, options?: StreamOptions<unknown>): Promise<number>;
  /** See {@link Redis.pipeline}. */
  pipeline(options?: { transaction?: boolean }): RawPipeline;
  /** See {@link Redis.multi}. */
  multi(): RawPipeline;
  /** See {@link Redis.transaction}. */
  transaction<R, O extends TransactionOptions>(fn: (watching: RawWatching) => R | Promise<R>, keys: readonly Key[], options?: O): Promise<O extends { valueFromCallable: true } ? R : unknown[]>;
  /** See {@link Redis.lease}. */
  lease(options?: { signal?: AbortSignal }): Promise<RawLease>;
  /** See {@link Redis.duplicate}. */
  duplicate(options?: Omit<Options, keyof DecodingOptions>): RawRedis<B>;
}

/** A {@link Lease} whose replies keep the form that the server gave them. With `raw: false` it is `L` again: what a view was before `raw`, nobody can say of its leases. */
export interface RawLease<L = unknown> extends Omit<RawRedis, Whole>, LeaseCommands<World, "raw"> {
  /** See {@link Lease.with}. */
  with(options: RawOptions & { raw: false }): L;
  with(options: RawOptions & { raw?: true }): RawLease<L>;
  /** See {@link Lease.release}. */
  release(): Promise<void>;
}

/** The commands of a {@link RawRedis}. */
export type RawCommands = Commands<World, "raw">;

/** The flags that options of a view decide: all of them, and those of `true` and `false`. */
const choices: Readonly<Record<string, [bits: number, yes: number, no: number]>> = {
  raw: [Flag.RAW, Flag.RAW, 0],
  idempotent: [Flag.IDEMPOTENT, Flag.IDEMPOTENT, 0],
  cache: [Flag.CACHED | Flag.UNCACHED, Flag.CACHED, Flag.UNCACHED],
};

/** The methods that the table makes. */
type Method = (...args: unknown[]) => Promise<unknown>;
const made = Methods.prototype as unknown as Readonly<Record<"scan" | "hscan" | "sscan" | "zscan", Method>>;

class Client extends Methods {
  readonly #channel: Channel;
  readonly #view: View;
  /** What it was made with. */
  readonly #options: Options;

  constructor(url?: string | URL | Options | Client, options?: Options | View, channel?: Channel) {
    if (url instanceof Client) {
      super(channel!.checks, (options as View).adapter);
      this.#channel = channel!;
      this.#view = options as View;
      this.#options = url.#options;
      return;
    }
    const resolved = resolveOptions(url, options as Options | undefined);
    const engine = resolved.pool === undefined ? new Engine(settingsOf(resolved, connectNode)) : engineOf(resolved.pool);
    super(engine.checks, undefined);
    this.#channel = new Channel(engine);
    const { url: _, ...others } = resolved;
    this.#options = others;
    this.#view = { mode: withDecoding(0, resolved), flags: 0, timeout: undefined, retry: resolved.retry, signal: undefined, adapter: undefined };
  }

  static fromUrl(url: string | URL, options?: Options): Client {
    return new Client(url, options);
  }

  get status(): Status {
    return this.#home.status;
  }

  /** Where it stands, and who tells. */
  get #home(): Engine | Channel {
    return this.#ownsEngine ? this.#channel.engine : this.#channel;
  }

  get ready(): Promise<void> {
    const ready = this.connect();
    ready.catch(() => {});
    return ready;
  }

  connect(): Promise<void> {
    const refusal = this.#channel.refusal();
    return refusal === undefined ? this.#channel.engine.connect() : Promise.reject(refusal);
  }

  get cacheStats(): CacheStats | undefined {
    return this.#channel.engine.cacheStats;
  }

  inspect(): Inspection {
    return this.#channel.engine.inspect();
  }

  onStateChange(listener: (status: Status, cause?: unknown) => void): () => void {
    if (typeof listener !== "function") throw unexpected("onStateChange: parameter 'listener'", "a function", listener);
    return this.#home.onStateChange(listener);
  }

  run(row: number, command: string, args: unknown[], needs?: Needs, what = 0): Promise<unknown> {
    const { mode, adapter, flags } = this.#view;
    const reply = this.#send(row | what, command, args, mode, needs);
    return adapter === undefined || flags & Flag.RAW ? reply : reply.then((given) => adapted(adapter, planOf(row), given));
  }

  fail(error: unknown): Promise<never> {
    return Promise.reject(error);
  }

  #send(what: number, command: string, args: unknown[], mode: number, needs?: Needs): Promise<unknown> {
    const { retry } = this.#view;
    return retry === undefined ? this.#once(what, command, args, mode, needs) : this.#persist(retry, what, command, args, mode, needs);
  }

  #persist(retry: RetryPolicy, what: number, command: string, given: unknown[], mode: number, needs: Needs | undefined): Promise<unknown> {
    const { flags, signal } = this.#view;
    const args = kept(given);
    return persist(retry, {
      command,
      send: () => this.#once(what, command, args, mode, needs),
      isOver: () => this.#channel.refusal() !== undefined,
      isRepeatable: () => (flags & Flag.IDEMPOTENT) !== 0 || pure().exports.host_repeatable(what & Flag.NAMED ? rowOf(knownAs(args)) : what & ROW) !== 0,
      pause: (milliseconds) => this.#channel.pause(milliseconds, signal),
    });
  }

  #once(what: number, command: string, args: unknown[], mode: number, needs: Needs | undefined): Promise<unknown> {
    const { flags, timeout, signal } = this.#view;
    const channel = this.#channel;
    const refusal = channel.refusal(command) ?? (flags & Flag.SILENT ? silentRefusalOf(command, what & Flag.NAMED ? rowOf(knownAs(args)) : what & ROW) : undefined);
    if (refusal !== undefined) return Promise.reject(refusal);
    if (needs !== undefined) {
      const error = unsupported(command, needs, channel.version.limit);
      if (error !== undefined) return Promise.reject(error);
    }
    if (what & Flag.SCRIPT) args = [channel.engine.learn(args[0] as string), ...args.slice(1)];
    what |= flags;
    if (flags & Flag.RAW) mode |= Mode.WIDE;
    if (mode & ENCODED) {
      try {
        args = encoded(command, args, mode);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (needs === undefined || !channel.version.isAwaited) return channel.send(what, timeout, command, args, mode, signal);
    return new Promise((resolve, reject) => {
      channel.engine.prove([channel.open(resolve, reject, what, timeout, command, args, mode, signal)], (limit) => unsupported(command, needs, limit));
    });
  }

  call(name: string, ...args: unknown[]): Promise<unknown> {
    let words: unknown[];
    try {
      words = rawCall(name, args, this.#channel.lease === 0 ? refusalOf : leaseRefusalOf);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#send(Flag.NAMED, String(words[0]).toUpperCase(), words, this.#view.mode | Mode.WIDE);
  }

  async supports(command: string): Promise<boolean> {
    if (typeof command !== "string") throw unexpected("supports: parameter 'command'", "the name of a command", command);
    await this.#channel.engine.connect();
    const words = command.trim().toUpperCase().split(/\s+/);
    const name = words.join(" ");
    const row = rowOf(name);
    const version = this.#channel.version.redis;
    const since = row === 0 ? undefined : planOf(row).since;
    const isNew = row !== 0 && !name.includes(".") && (since === undefined || Boolean(version && !isOlder(version, since)));
    // before 7.0 COMMAND INFO knew no second words
    if (version && isOlder(version, "7") && words.length > 1) return isNew;
    try {
      // versions tell nothing of modules, nor of forks, and not every server tells its version; the table does not know all that a server may have
      const infos = await this.call("COMMAND INFO", words.join("|"));
      if (Array.isArray(infos)) return infos[0] !== null && infos[0] !== undefined;
    } catch (error) {
      // not everyone may ask
      if (!(error instanceof ResponseError)) throw error;
    }
    return isNew;
  }

  defineCommand<R>(definition: CommandDefinition<R>): (...args: Value[]) => Promise<R> {
    return customCommand(definition, (name, ...args) => this.call(name, ...args));
  }

  #pages(scan: Method, key: Key[], options?: object): AsyncGenerator<unknown> {
    // objects would put names in another order, and have no bytes
    const client = this.with({ raw: false, maps: "entries" });
    return pages((cursor) => scan.call(client, ...key, cursor, options));
  }

  scanIter(options?: object): AsyncGenerator<unknown> {
    return this.#pages(made.scan, [], options);
  }

  hscanIter(key: Key, options?: object): AsyncGenerator<unknown> {
    return this.#pages(made.hscan, [key], options);
  }

  sscanIter(key: Key, options?: object): AsyncGenerator<unknown> {
    return this.#pages(made.sscan, [key], options);
  }

  zscanIter(key: Key, options?: object): AsyncGenerator<unknown> {
    return this.#pages(made.zscan, [key], options);
  }

  with(options: ViewOptions): Client {
    if (typeof options !== "object" || options === null) throw unexpected("with: parameter 'options'", "an object", options);
    const view = { ...this.#view };
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined) continue;
      if (decodes(name, value)) view.mode = withDecoding(view.mode, { [name]: value });
      else if (typeof value === "boolean" && Object.hasOwn(choices, name)) {
        const [bits, yes, no] = choices[name]!;
        view.flags = (view.flags & ~bits) | (value ? yes : no);
      }
      else if (name === "timeout" && Number.isInteger(value) && value >= 0 && value <= 0x7fff_ffff) view.timeout = value;
      else if (name === "retry" && (value === false || isRetryPolicy(value))) view.retry = value || undefined;
      else if (name === "signal" && value instanceof AbortSignal) view.signal = value;
      else if (name === "adapter" && isAdapter(value)) view.adapter = value;
      else throw new TypeError(`with: '${name}' is no option, or does not take ${kindOf(value)}`);
    }
    return this.#viewed(view);
  }

  #viewed(view: View): Client {
    return new (this.#channel.lease === 0 ? Client : Leased)(this, view, this.#channel);
  }

  async execute(commands: readonly InertCommand[]): Promise<unknown[]> {
    if (!Array.isArray(commands)) throw unexpected("execute: parameter 'commands'", "an array", commands);
    const pipeline = this.pipeline({ transaction: false });
    for (const inert of commands as readonly InertCommand[]) take(pipeline, inert, "execute: parameter 'commands'");
    return pipeline.execute();
  }

  async pipelineStream(source: Source<InertCommand>, options: StreamOptions = {}): Promise<number> {
    const { window = 1000 } = options;
    if (Object(source)[Symbol.asyncIterator] === undefined && Object(source)[Symbol.iterator] === undefined) {
      throw unexpected("pipelineStream: parameter 'source'", "an iterable", source);
    }
    if (!Number.isInteger(window) || window < 1) throw unexpected("pipelineStream: option 'window'", "a whole number above 0", window);
    if (options.onResult !== undefined && typeof options.onResult !== "function") throw unexpected("pipelineStream: option 'onResult'", "a function", options.onResult);
    checkSignal("pipelineStream", options.signal);
    return new Stream(this.#channel, this.#view, window).execute(source, options);
  }

  pipeline({ transaction = true }: { transaction?: boolean } = {}): Queued {
    return new Queued(this.#channel, this.#view, transaction, () => this.#hold());
  }

  /** Takes a connection for a pipeline; on a lease, that of the lease, in turn. */
  async #hold(): Promise<Held> {
    const { signal } = this.#view;
    const { lease, turns } = this.#channel;
    if (lease !== 0) await turns.take(signal);
    const client = lease !== 0 ? this : await this.lease(signal && { signal });
    let held = true;
    return {
      client: client as Client & LeaseCommands,
      channel: client.#channel,
      get isLost() {
        return lease === 0 && client.#channel.turns.isOver;
      },
      release: async () => {
        if (!held) return;
        held = false;
        if (lease !== 0) turns.give();
        else await client.close();
      },
    };
  }

  async transaction(
    fn: (watching: Queued) => unknown,
    keys: readonly Key[],
    { watchDelay = 0, valueFromCallable = false, maxAttempts = Infinity, signal = this.#view.signal }: TransactionOptions = {},
  ): Promise<unknown> {
    if (typeof fn !== "function") throw unexpected("transaction: parameter 'fn'", "a function", fn);
    if (!Array.isArray(keys)) throw unexpected("transaction: parameter 'keys'", "an array", keys);
    for (const [option, value, least] of [["watchDelay", watchDelay, 0], ["maxAttempts", maxAttempts, 1]] as const) {
      if (typeof value !== "number" || !(value >= least)) throw unexpected(`transaction: option '${option}'`, `a number from ${least}`, value);
    }
    checkSignal("transaction", signal);
    keys = kept(keys);
    const client = signal === this.#view.signal ? this : this.with({ signal });
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted();
      const pipeline = client.pipeline();
      try {
        if (keys.length > 0) await pipeline.watch(...keys);
        else await pipeline.hold();
        const value = await unlessAborted(fn(pipeline), signal);
        if (value instanceof Queued && value !== pipeline) throw new TypeError("transaction: parameter 'fn' expected to give the pipeline that it was given, or a value, got another pipeline");
        const results = await pipeline.execute();
        return valueFromCallable ? value : results;
      } catch (error) {
        if (!(error instanceof WatchError || (error instanceof ConnectionError && pipeline.isLost)) || attempt >= maxAttempts) throw error;
      } finally {
        await pipeline.reset();
      }
      if (watchDelay > 0) await this.#channel.pause(watchDelay, signal);
    }
  }

  registerScript(lua: string): Script {
    return scriptOf(this, lua);
  }

  shaOf(lua: string): string {
    return this.#channel.engine.learn(lua);
  }

  script(lua: string, readonly: boolean, words: unknown[]): Promise<unknown> {
    const command = readonly ? "EVALSHA_RO" : "EVALSHA";
    const row = rowOf(command);
    return this.run(row, command, [lua, ...words], needsOf(row), Flag.SCRIPT);
  }

  registerLibrary(what: string | LibraryClass<Library>, code?: string | { replace?: boolean }, options?: { replace?: boolean }): Promise<Library> {
    const { replace = false } = (typeof code === "object" ? code : options) ?? {};
    return libraryOf(what, this.#asCaller(), this, { code: typeof code === "object" ? undefined : code, replace });
  }

  loadLibrary(what: string | LibraryClass<Library>): Promise<Library> {
    return libraryOf(what, this.#asCaller(), this);
  }

  getLibrary(what: string | LibraryClass<Library>): Promise<Library> {
    return this.loadLibrary(what);
  }

  #asCaller(): Caller {
    return this as unknown as Caller;
  }

  lock(name: Key, options: LockOptions = {}): Lock {
    const { lockClass = LuaLock } = options;
    if (lockClass !== Lock && !(lockClass?.prototype instanceof Lock)) throw unexpected("lock: option 'lockClass'", "a class of locks", lockClass);
    const { mode } = this.#view;
    return new lockClass(this, mode & ENCODED ? (encoded("lock", [name], mode)[0] as Key) : name, options);
  }

  /** The client without what its view makes of replies, all of which are the server's. */
  get plain(): Redis {
    return this.#plain() as unknown as Redis;
  }

  #plain(signal: AbortSignal | null | undefined = this.#view.signal): Client {
    return this.#viewed({ ...this.#view, mode: 0, flags: Flag.UNCACHED, adapter: undefined, retry: undefined, signal: signal ?? undefined });
  }

  /** Carries on a conversation of the core's, which begins with `command`: see `operation::kind` there. On a lease, those that watch keys take turns. */
  async operate<R>(kind: Operation, command: string, args: unknown[], signal?: AbortSignal | null): Promise<R> {
    const { lease, turns } = this.#channel;
    const watches = lease !== 0 && (kind === Operation.WATCH_RELEASE || kind === Operation.WATCH_EXTEND);
    const plain = this.#plain(signal);
    if (watches) await turns.take(plain.#view.signal);
    try {
      return (await plain.run(kind, command, args, needsOf(rowOf(command)), Flag.OPERATION)) as R;
    } finally {
      if (watches) turns.give();
    }
  }

  multi(): Queued {
    return this.pipeline();
  }

  pubsub(options?: PubSubOptions<Str>): Subscriber {
    const { mode, timeout, signal } = this.#view;
    const refusal = this.#channel.refusal();
    if (refusal !== undefined) throw refusal;
    return new Subscriber((listener) => this.#channel.child(listener), mode, timeout, options, signal);
  }

  subscribe(channel: Key, handler: Handler<Str>, options?: SubscribeOptions<Str>): Promise<() => Promise<void>> {
    return listenersOf(this.#channel, this.#view.mode).add(Kind.CHANNEL, channel, handler, options, this.#view.signal);
  }

  psubscribe(pattern: Key, handler: Handler<Str>, options?: SubscribeOptions<Str>): Promise<() => Promise<void>> {
    return listenersOf(this.#channel, this.#view.mode).add(Kind.PATTERN, pattern, handler, options, this.#view.signal);
  }

  ssubscribe(channel: Key, handler: Handler<Str>, options?: SubscribeOptions<Str>): Promise<() => Promise<void>> {
    return listenersOf(this.#channel, this.#view.mode).add(Kind.SHARD, channel, handler, options, this.#view.signal);
  }

  monitor(options?: MonitorOptions): AsyncIterableIterator<MonitorEntry<Str>> {
    return new Monitor((listener) => this.#channel.child(listener), this.#view.mode, { signal: this.#view.signal, ...options });
  }

  async lease({ signal = this.#view.signal }: { signal?: AbortSignal | undefined } = {}): Promise<Client> {
    checkSignal("lease", signal);
    const refusal = this.#channel.refusal();
    if (refusal !== undefined) throw refusal;
    return new Leased(this, this.#view, await this.#channel.engine.lease(signal));
  }

  async ignoreReplies(task: (redis: Client) => unknown): Promise<void> {
    const lease = (await this.lease()) as Leased;
    try {
      await task(lease.#viewed({ ...lease.#view, flags: lease.#view.flags | Flag.SILENT }));
      await lease.call("PING");
    } finally {
      await lease.release();
    }
  }

  duplicate(options: Options = {}): Client {
    const { host, port, path, db, username, password, tls, ...others } = this.#options;
    const same = options.url === undefined ? this.#options : others;
    const made = new Client({ ...same, ...options });
    const { timeout, retry } = this.#view;
    const view = { ...this.#view, mode: withDecoding(this.#view.mode, options), timeout: options.timeout === undefined ? timeout : undefined, retry: options.retry ?? retry };
    return new Client(made, view, made.#channel);
  }

  async close(options?: { timeout?: number }): Promise<void> {
    const timeout = closeLimit(options);
    const { engine, lease } = this.#channel;
    // an answer to this comes behind those to all before
    const last = lease === 0 && !this.#ownsEngine && engine.slots.waiting > 0 ? this.#plain(null).with({ timeout: 0 }).call("PING") : Promise.resolve();
    this.#channel.close();
    await (this.#ownsEngine ? engine.close(timeout) : atMost(timeout, last.catch(() => {})));
  }

  destroy(): void {
    this.#channel.close();
    if (this.#ownsEngine) this.#channel.engine.destroy();
  }

  get #ownsEngine(): boolean {
    return this.#channel.lease === 0 && this.#options.pool === undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The implementation of {@link Lease}. */
class Leased extends Client {
  release(): Promise<void> {
    return this.close();
  }
}
addLeased(Leased.prototype, Client.prototype);

/** Makes clients; nothing is opened until the first use. */
export const Redis = Client as unknown as {
  new <const O extends Options>(url: string | URL, options: O): Viewed<O>;
  new <const O extends Options>(options: O): Viewed<O>;
  new <S extends Str = string>(url?: string | URL | Options, options?: Options): Redis<S>;
  /** The same as `new Redis(url, options)`. */
  fromUrl<const O extends Options>(url: string | URL, options: O): Viewed<O>;
  fromUrl<S extends Str = string>(url: string | URL, options?: Options): Redis<S>;
};
