import { DecodeError, IntegerRangeError, RedisError, ResponseError } from "./errors.js";
import type { Gatherer } from "./slots.js";

/** Waits for all of several commands. */
export class Gathered implements Gatherer {
  readonly #results: unknown[];
  readonly #resolve: (results: unknown[]) => void;
  #left: number;

  constructor(count: number, resolve: (results: unknown[]) => void) {
    this.#results = new Array<unknown>(count);
    this.#left = count;
    this.#resolve = resolve;
  }

  take(index: number, value: unknown, failed: boolean): void {
    this.#results[index] = failed && !isOfReply(value) ? new Failed(value) : value;
    if (--this.#left === 0) this.#resolve(this.#results);
  }
}

/** Tells whether an error stands for a reply: the server's, or what one to a command that was executed suffers from. */
const isOfReply = (error: unknown): boolean => error instanceof ResponseError || error instanceof DecodeError || error instanceof IntegerRangeError;

/** Marks a result that is no reply of the server's. */
export class Failed {
  constructor(readonly error: unknown) {}
}

/** Gives `results`, with errors in their places unless `raiseOnError`; throws what is no answer of the server's, the reason of `signal` as it is. */
export const finished = (results: unknown[], commands: string[], raiseOnError: boolean, signal: AbortSignal | undefined): unknown[] => {
  let refused = -1;
  let failed = -1;
  for (let at = 0; at < results.length; at++) {
    const result = results[at];
    if (result instanceof Failed) {
      results[at] = result.error;
      if (failed < 0) failed = at;
    } else if (result instanceof RedisError) {
      if (refused < 0) refused = at;
      // EXEC's errors do not know what they are about
      if (result.command === undefined) Object.assign(result, { command: commands[at]! });
    }
  }
  if (failed < 0 && raiseOnError) failed = refused;
  if (failed >= 0) throw results[failed] === signal?.reason ? results[failed] : placed(results[failed], failed, commands[failed]!, results);
  return results;
};

/** Tells an error where in the pipeline it arose. */
export const placed = (error: unknown, position: number, command: string, results: unknown[]): unknown => {
  if (!(error instanceof RedisError)) return error;
  error.message = `Command # ${position + 1} (${command}) of pipeline caused error: ${error.message}`;
  return Object.assign(error, { command, position, results });
};
