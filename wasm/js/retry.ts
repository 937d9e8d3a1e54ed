import { unexpected } from "./outbox.js";
import { CommandNotSupportedError, ConnectionError, LeaseError, RedisError, TimeoutError } from "./errors.js";

/** A command that failed. */
export interface Failed {
  /** Why, this time. */
  error: RedisError;
  /** How often it failed so far, from 1. */
  attempt: number;
  /** Milliseconds since it was called. */
  elapsed: number;
  /** Its name. */
  command: string;
  /** Whether sending it again does no harm: the server executed nothing, or executing it twice changes nothing. */
  safe: boolean;
}

/**
 * Decides whether a command that failed is sent again. It is asked only where that does no harm: about commands of which the server
 * executed nothing, that only read, or of `with({ idempotent: true })`. Make one of your own, or with
 * {@link constantRetry}, {@link exponentialRetry}, {@link compositeRetry}.
 */
export interface RetryPolicy {
  /** Gives the milliseconds to wait before the command is sent again; `undefined`, or what is no such number: it has failed for good. */
  next(failed: Failed): number | undefined;
  /** Whether it is asked about every command: what may have been executed is executed again then. Default `false`. */
  readonly atLeastOnce?: boolean;
}

/** What policies have in common. */
export interface RetryOptions {
  /** How often a command is sent again at most. */
  retries: number;
  /** Which errors are worth it; default: {@link isTransient}. */
  on?: (error: RedisError) => boolean;
  /** Milliseconds from the call after which nothing is sent again; default: no limit. */
  deadline?: number;
  /** Is told of each failure that another attempt follows, and after how many milliseconds. */
  onFailure?: (failed: Failed, delay: number) => void;
  /** See {@link RetryPolicy.atLeastOnce}. */
  atLeastOnce?: boolean;
}

const transient = new Set(["CLUSTERDOWN", "LOADING", "MASTERDOWN", "TRYAGAIN"]);

/** Tells whether an error may be gone next time: no connection, a lost one, no reply in time, a server or cluster that is busy with itself. */
export const isTransient = (error: RedisError): boolean =>
  (error instanceof ConnectionError && !(error instanceof LeaseError)) || error instanceof TimeoutError || transient.has((error as { code?: string }).code ?? "");

const policy = (name: string, options: RetryOptions, delays: readonly (readonly [name: string, value: unknown])[], delay: (attempt: number) => number): RetryPolicy => {
  const { retries, on = isTransient, deadline = Infinity, onFailure, atLeastOnce = false } = options;
  for (const [option, value] of [["retries", retries], ["deadline", deadline], ...delays] as const) {
    if (typeof value !== "number" || !(value >= 0)) throw unexpected(`${name}: '${option}'`, "a number from 0", value);
  }
  return {
    atLeastOnce,
    next(failed) {
      if (failed.attempt > retries || !on(failed.error)) return undefined;
      const wait = delay(failed.attempt);
      if (failed.elapsed + wait > deadline) return undefined;
      // what it fails with, now or later, must not hide what the command did
      (async () => onFailure?.(failed, wait))().catch(() => {});
      return wait;
    },
  };
};

/** Waits `delay` milliseconds before each attempt. */
export const constantRetry = (options: RetryOptions & { delay: number }): RetryPolicy =>
  policy("constantRetry", options, [["delay", options.delay]], () => options.delay);

/** Waits up to `delay` milliseconds (default 50) before the second attempt and up to twice the time before each later one, `maxDelay` (default 2 000) at most; with `jitter: false` exactly as long. */
export const exponentialRetry = (options: RetryOptions & { delay?: number; maxDelay?: number; jitter?: boolean }): RetryPolicy => {
  const { delay = 50, maxDelay = 2_000, jitter = true } = options;
  return policy("exponentialRetry", options, [["delay", delay], ["maxDelay", maxDelay]], (attempt) => Math.min(delay * 2 ** (attempt - 1), maxDelay) * (jitter ? Math.random() : 1));
};

/** Asks `policies` in turn; the first that gives a time decides. What may have been executed is sent again only by those with `atLeastOnce`. */
export const compositeRetry = (...policies: RetryPolicy[]): RetryPolicy => ({
  atLeastOnce: policies.some((policy) => policy.atLeastOnce),
  next(failed) {
    for (const policy of policies) {
      const wait = ask(policy, failed);
      if (wait !== undefined) return wait;
    }
    return undefined;
  },
});

const ask = (policy: RetryPolicy, failed: Failed): number | undefined => (failed.safe || policy.atLeastOnce ? policy.next(failed) : undefined);

/** How a command is sent, and what is known about it. @internal */
export interface Attempts {
  command: string;
  send(): Promise<unknown>;
  /** Whether executing it twice changes nothing. */
  isRepeatable(): boolean;
  /** Whether nothing is sent any more. */
  isOver(): boolean;
  /** Resolves after so many milliseconds, or sooner and to `true` when nothing is wanted any more. */
  pause(milliseconds: number): Promise<boolean>;
}

/** Sends a command until it succeeds or `policy` gives it up. @internal */
export const persist = async (policy: RetryPolicy, attempts: Attempts): Promise<unknown> => {
  const started = performance.now();
  let doubtful = false;
  for (let attempt = 1; ; attempt++) {
    try {
      return await attempts.send();
    } catch (error) {
      if (!(error instanceof RedisError) || error instanceof CommandNotSupportedError) throw error;
      if (doubtful && error.maybeExecuted === false) Object.assign(error, { maybeExecuted: true });
      doubtful ||= error.maybeExecuted === true;
      if (attempts.isOver()) throw error;
      const safe = error.maybeExecuted === false || attempts.isRepeatable();
      const wait = ask(policy, { error, attempt, elapsed: performance.now() - started, command: attempts.command, safe });
      if (!(Number.isFinite(wait) && wait! >= 0)) throw error;
      // who sends then is told why it is over
      if (await attempts.pause(wait!)) return attempts.send();
    }
  }
};

/** Tells whether `value` is a policy. @internal */
export const isRetryPolicy = (value: unknown): value is RetryPolicy => typeof (value as RetryPolicy | null)?.next === "function";
