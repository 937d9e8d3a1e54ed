import type { Host } from "./host.js";

/** Longer texts are not kept twice. */
const LONG = 1024;
/** No more values are kept than this. */
const MOST = 1024;
/** Of so many hits the core gives one, and so knows what was used last. */
const SHARE = 64;

/**
 * Values of replies that the core keeps, for those who ask again: most hits need no call of the core. It is the core that knows what is
 * kept: all of them hold until its epoch changes, which it does when any reply is let go.
 */
export class Memo {
  /** Values that were given since the start. */
  hits = 0;
  /** Where the core's epoch is, and what it was. */
  #at = 0;
  #epoch = -1;
  /** By command, and then by arguments. */
  readonly #values = new Map<number, Map<string, unknown>>();
  #count = 0;
  /** How many hits there are to be until the core is asked. */
  #rest = SHARE;

  /** Gives the value of a reply; `undefined` where it is not known. Whatever was asked for before must be known to the core. */
  recall(host: Host, what: number, mode: number, args: readonly unknown[]): unknown {
    if (host.words[this.#at] !== this.#epoch) return undefined;
    const key = keyOf(args);
    const value = key === undefined ? undefined : this.#values.get(what * 256 + mode)?.get(key);
    if (value === undefined) return undefined;
    if (--this.#rest === 0) {
      this.#rest = SHARE;
      return undefined;
    }
    this.hits++;
    return value;
  }

  /** Keeps the value of a reply that the core keeps, unless it is one that its taker can change. */
  remember(host: Host, what: number, mode: number, args: readonly unknown[], value: unknown): void {
    const key = keyOf(args);
    if (key === undefined || (typeof value === "object" && value !== null) || (typeof value === "string" && value.length > LONG)) return;
    this.#at = host.exports.host_cache_epoch() >>> 2;
    const epoch = host.words[this.#at]!;
    if (epoch !== this.#epoch || this.#count === MOST) {
      this.#values.clear();
      this.#count = 0;
    }
    this.#epoch = epoch;
    const command = what * 256 + mode;
    let values = this.#values.get(command);
    if (values === undefined) this.#values.set(command, (values = new Map()));
    this.#count -= values.size;
    values.set(key, value);
    this.#count += values.size;
  }
}

/** Names one or two arguments, as they are mostly. */
const keyOf = (args: readonly unknown[]): string | undefined => {
  const [first, second] = args;
  if (typeof first !== "string") return undefined;
  if (args.length === 1) return first;
  return args.length === 2 && typeof second === "string" ? `${first.length} ${first}${second}` : undefined;
};
