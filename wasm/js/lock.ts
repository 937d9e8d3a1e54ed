import { checkSignal } from "./aborts.js";
import { ClientError, LockError, RedisError } from "./errors.js";
import { unexpected, type Key } from "./outbox.js";
import type { Redis } from "./redis.js";
import { laterUnheld, type Timer } from "./timer.js";

/** What a lock is. Times are whole milliseconds, below 2^32. */
export interface LockOptions {
  /** How long it is held unless it is extended, 3 at least, since clocks differ; absent: until it is released. */
  timeout?: number;
  /** How long to wait between two tries, half as much more or less; default 100. */
  sleep?: number;
  /** How long `acquire` tries, and in an outage as long as the last try may wait (`queueTimeout`, `timeout`); absent: for ever. */
  blockingTimeout?: number;
  /** `LuaLock` (default), or `Lock`. */
  lockClass?: new (home: Keeper, name: Key, options: LockOptions) => Lock;
}

/** What a lock asks of its client. */
export interface Keeper {
  /** The client, whose replies have their plain form. */
  readonly plain: Redis;
  /** Carries on a conversation of the core's: see `operation::kind` there. The client's signal gives it up, or `signal` in its place; `null`: none does. */
  operate<R = number>(kind: Operation, command: string, args: unknown[], signal?: AbortSignal | null): Promise<R>;
}

/** Numbers of `operation::kind` in the core. */
export const enum Operation {
  ACQUIRE = 1,
  RELEASE,
  EXTEND,
  FENCE,
  WATCH_RELEASE,
  WATCH_EXTEND,
  LIBRARY,
  KEEP,
  WATCH_KEEP,
}

/** How a lock is held. */
export interface HoldOptions {
  /** Whether it is extended as long as it is held. That holds no process open, and ends with the client: the lock's time is up then. */
  autoExtend?: boolean;
  /** Gives the try to take it up. */
  signal?: AbortSignal;
}

/** One acquisition of a lock. */
interface Grip {
  /** What the key holds; none once it was released. */
  token: string | undefined;
  /** See {@link Held.validUntil}. */
  until: number;
}

/** A lock that is held. */
export interface Held {
  /** Aborts when the lock is lost, or its time is up: with a {@link LockError} that says so. */
  readonly signal: AbortSignal;
  /** Until when it is held for sure, on the clock of `performance.now()`; `Infinity` without a timeout. */
  readonly validUntil: number;
  /** See {@link Lock.fence}. */
  fence(): Promise<number>;
  /** Releases it; where that failed, once more. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A lock: a key on one server that holds its owner's token, 128 random bits, and goes by itself when its time is up. It is released and
 * extended by transactions that watch the key. One object is one owner, whose methods are about what it acquired last; each block holds the
 * lock for itself.
 *
 * A lock that ran out while its owner was busy protects nothing, and a server that loses its memory forgets it: what must never be done twice
 * needs more than a lock.
 */
export class Lock {
  readonly #home: Keeper;
  /** The key. */
  readonly #name: Key;
  readonly #timeout: number | undefined;
  readonly #sleep: number;
  readonly #blockingTimeout: number | undefined;
  #grip: Grip = { token: undefined, until: 0 };

  /** For `redis.lock(name, options)`. */
  constructor(home: Keeper, name: Key, { timeout, sleep = Math.min(100, timeout ?? 100), blockingTimeout }: LockOptions) {
    if (typeof name !== "string" && !(name instanceof Uint8Array)) throw unexpected("lock: parameter 'name'", "string | Uint8Array", name);
    for (const [option, value] of Object.entries({ timeout, sleep, blockingTimeout })) check(`lock: option '${option}'`, value, option === "timeout" ? 3 : 0);
    if (timeout !== undefined && sleep > timeout) throw new LockError("'sleep' must be less than 'timeout'");
    this.#home = home;
    this.#name = typeof name === "string" ? name : new Uint8Array(name);
    this.#timeout = timeout;
    this.#sleep = sleep;
    this.#blockingTimeout = blockingTimeout;
  }

  /** Until when this object holds it for sure, on the clock of `performance.now()`: `Infinity` without a timeout, 0 when it does not. */
  get validUntil(): number {
    return this.#grip.until;
  }

  /**
   * Takes the lock (SET NX PX) and gives whether it was to be had, trying again and again for `blockingTimeout` ms unless `blocking` is false.
   * Where the outcome of a try stays unknown, or `signal` gives it up, which rejects with its reason, the lock is released behind the scenes.
   * Rejects with what a command can fail with, too.
   */
  async acquire(options?: { blocking?: boolean; blockingTimeout?: number | undefined; signal?: AbortSignal | undefined }): Promise<boolean> {
    return (await this.#take(options)) !== undefined;
  }

  async #take({ blocking = true, blockingTimeout = this.#blockingTimeout, signal }: Parameters<Lock["acquire"]>[0] = {}): Promise<Grip | undefined> {
    check("acquire: option 'blockingTimeout'", blockingTimeout, 0);
    checkSignal("acquire", signal);
    const [random, ...words] = crypto.getRandomValues(new Uint32Array(5));
    const token = words.map((word) => word.toString(16).padStart(8, "0")).join("");
    const wait = blocking ? (blockingTimeout ?? "") : 0;
    const until = await this.#operate(Operation.ACQUIRE, "SET", [token, this.#timeout ?? 0, this.#sleep, wait, random], signal);
    if (until === 0) return undefined;
    return (this.#grip = { token, until: until < 0 ? Infinity : until });
  }

  /**
   * Releases the lock, where it is still this object's, even when the view's signal has aborted. A release that was lost with its connection, which rejects with a `ConnectionError`, is sent again behind the scenes, however long the outage, as long as the client is open;
   * where the error says that nothing was executed, the lock is this object's still, to be released again.
   * @throws LockError when this object does not hold it, or does not any more.
   */
  async release(): Promise<void> {
    await this.#release(this.#grip);
  }

  async #release(grip: Grip): Promise<void> {
    const { token, until } = grip;
    if (token === undefined) throw new LockError("Cannot release an unlocked lock");
    grip.token = undefined;
    grip.until = 0;
    const [command, release] = this.ways;
    try {
      if ((await this.#operate(release, command, [token], null)) === 0) throw new LockError("Cannot release a lock that's no longer owned");
    } catch (error) {
      if (error instanceof RedisError && error.maybeExecuted === false) Object.assign(grip, { token, until });
      throw error;
    }
  }

  /**
   * Adds `milliseconds` to the time for which the lock is held.
   * @throws LockError when this object does not hold it, or does not any more, or holds it without a timeout.
   */
  async extend(milliseconds: number): Promise<true> {
    const grip = this.#grip;
    const { token } = grip;
    if (token === undefined) throw new LockError("Cannot extend an unlocked lock");
    if (this.#timeout === undefined) throw new LockError("Cannot extend a lock with no timeout");
    check("extend: parameter 'milliseconds'", milliseconds, 1);
    const [command, , extend] = this.ways;
    await this.#prolong(grip, extend, command, [token, milliseconds]);
    return true;
  }

  /** Extends it for as long as nobody releases it, whenever a third of its time is over, until `signal` aborts. */
  async #keep(grip: Grip, signal: AbortSignal): Promise<void> {
    const [command, , , keep] = this.ways;
    for (let failed = false; grip.token !== undefined; ) {
      try {
        await this.#prolong(grip, keep, command, [grip.token, this.#timeout, grip.until], signal);
        failed = false;
      } catch (error) {
        // a fresh core goes on
        if (failed || !(error instanceof ClientError)) throw error;
        failed = true;
      }
    }
  }

  async #prolong(grip: Grip, kind: Operation, command: string, args: unknown[], signal?: AbortSignal): Promise<void> {
    const until = await this.#operate(kind, command, args, signal);
    if (until === 0) throw new LockError("Cannot extend a lock that's no longer owned");
    if (grip.token !== undefined) grip.until = until;
  }

  /**
   * Gives a number above all that holders of this lock were given before, for a resource that refuses what comes with a smaller one than it
   * has seen: whoever was held up for longer than the lock lived does no harm then. It is kept in the key `{name}:fence`, for a day, and
   * never less than the server's time in microseconds: it grows even when a replica that has not got everything takes the server's place,
   * as long as their clocks differ by less than that takes.
   * @throws LockError when this object does not hold it, or does not any more.
   */
  async fence(): Promise<number> {
    return this.#fence(this.#grip);
  }

  async #fence({ token }: Grip): Promise<number> {
    const fence = token === undefined ? 0 : await this.#operate(Operation.FENCE, "EVALSHA", [token]);
    if (fence === 0) throw new LockError("Cannot fence a lock that's not owned");
    return fence;
  }

  /** Tells whether anybody holds it: EXISTS. */
  async locked(): Promise<boolean> {
    return (await this.#home.plain.exists(this.#name)) === 1;
  }

  /** Tells whether this object holds it, by the server: GET. */
  async owned(): Promise<boolean> {
    const { token } = this.#grip;
    return token !== undefined && (await this.#home.plain.get(this.#name)) === token;
  }

  /**
   * Takes the lock for a block: `await using held = await lock.hold()`. With `autoExtend` it is extended whenever a third of its timeout is over.
   * @throws LockError when it was not to be had within `blockingTimeout`.
   */
  async hold({ autoExtend = false, signal }: HoldOptions = {}): Promise<Held> {
    const grip = await this.#take({ signal });
    if (grip === undefined) throw new LockError("the lock was not to be had within 'blockingTimeout'");
    return new Holding(
      grip,
      autoExtend && grip.until !== Infinity ? (stop) => this.#keep(grip, stop) : undefined,
      () => this.#release(grip),
      () => this.#fence(grip),
    );
  }

  /**
   * Takes the lock, runs `fn`, releases it, and gives what `fn` gave.
   * @throws LockError when it was not to be had within `blockingTimeout`, or was lost before `fn` was done.
   */
  async run<R>(fn: (held: Held) => Promise<R> | R, options?: HoldOptions): Promise<R> {
    if (typeof fn !== "function") throw unexpected("run: parameter 'fn'", "a function", fn);
    const held = await this.hold(options);
    let result: R;
    try {
      result = await fn(held);
    } catch (error) {
      await held[Symbol.asyncDispose]().catch(() => {});
      throw error;
    }
    let cause: unknown;
    await held[Symbol.asyncDispose]().catch((error: unknown) => (cause = error));
    if (held.signal.aborted) throw cause === undefined ? held.signal.reason : new LockError((held.signal.reason as LockError).message, { cause });
    if (cause !== undefined) throw cause;
    return result;
  }

  #operate(kind: Operation, command: string, args: unknown[], signal?: AbortSignal | null): Promise<number> {
    return this.#home.operate(kind, command, [this.#name, ...args], signal);
  }

  /** The core's conversations that release and extend it, and what is said first there. */
  protected get ways(): readonly [command: string, release: Operation, extend: Operation, keep: Operation] {
    return ["WATCH", Operation.WATCH_RELEASE, Operation.WATCH_EXTEND, Operation.WATCH_KEEP];
  }
}

/** A {@link Lock} that is released and extended by scripts: one round trip each. */
export class LuaLock extends Lock {
  protected override get ways(): readonly [command: string, release: Operation, extend: Operation, keep: Operation] {
    return ["EVALSHA", Operation.RELEASE, Operation.EXTEND, Operation.KEEP];
  }
}

class Holding implements Held {
  readonly #grip: Grip;
  readonly #release: () => Promise<void>;
  readonly fence: () => Promise<number>;
  readonly #loss = new AbortController();
  /** Ends what keeps it. */
  readonly #end = new AbortController();
  #released: Promise<void> | undefined;
  #expiry: Timer;

  constructor(grip: Grip, keep: ((stop: AbortSignal) => Promise<void>) | undefined, release: () => Promise<void>, fence: () => Promise<number>) {
    this.#grip = grip;
    this.#release = release;
    this.fence = fence;
    if (grip.until !== Infinity) this.#expire();
    // where it could not be kept, its time will be up
    keep?.(this.#end.signal).catch((error: unknown) => error instanceof LockError && this.#lose(error));
  }

  get signal(): AbortSignal {
    return this.#loss.signal;
  }

  get validUntil(): number {
    return this.#grip.until;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#released ??= this.#giveBack());
  }

  async #giveBack(): Promise<void> {
    this.#stop();
    try {
      await this.#release();
    } catch (error) {
      // the signal has told it
      if (this.signal.aborted && error instanceof LockError) return;
      this.#released = undefined;
      throw error;
    }
  }

  #expire(): void {
    const left = this.validUntil - performance.now();
    if (left > 0) this.#expiry = laterUnheld(() => this.#expire(), left);
    else this.#lose(new LockError("the lock's time is up"));
  }

  #lose(error: LockError): void {
    this.#stop();
    this.#loss.abort(error);
  }

  #stop(): void {
    clearTimeout(this.#expiry);
    this.#end.abort();
  }
}

const check = (what: string, value: number | undefined, least: number): void => {
  if (value !== undefined && !(Number.isInteger(value) && value >= least && value < 2 ** 32)) {
    throw unexpected(what, `whole milliseconds, at least ${least}`, value);
  }
};
