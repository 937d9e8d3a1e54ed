import { kindOf, type Key } from "./outbox.js";
import { encode } from "./text.js";

/**
 * How replies are kept until the server says that one of their keys changed. A lease is given them too, unless something was done to its
 * connection (`WATCH`, `MULTI`, `SELECT` ...). Needs RESP3.
 */
export interface CacheOptions {
  /** Replies kept at most, however many keys each has; what was not used for longest goes first. Default 10 000. */
  maxKeys?: number;
  /** Bytes of commands and replies kept at most, with 128 for each reply. Default 16 MiB. */
  maxBytes?: number;
  /** Milliseconds that a reply is kept at most; default 0: no limit. */
  ttl?: number;
  /**
   * What the server tells of: keys that were read (`"default"`); all keys, or those with `prefixes`, which costs it no memory
   * (`"broadcast"`); keys read through `with({ cache: true })`, and only that is kept (`"optin"`). Default `"default"`.
   */
  mode?: "default" | "broadcast" | "optin";
  /** For `"broadcast"`: only replies about such keys are kept. None begins with another. */
  prefixes?: readonly Key[];
}

/** What became of commands whose replies may be kept, since the client was made. */
export interface CacheStats {
  /** Replies that were given from the cache. */
  hits: number;
  /** Replies that were not there, or not any more, and were asked for to be kept. */
  misses: number;
  /** Replies that went to make room. */
  evictions: number;
  /** Replies that went for a key that changed, a flush, or a lost connection. */
  invalidations: number;
  /** Replies that are kept now, or on their way. */
  keys: number;
  /** Their bytes. */
  bytes: number;
}

/** What the core is told of {@link CacheOptions}. @internal */
export interface CacheSettings {
  /** As `wasm/src/host.rs` has them. */
  numbers: number[];
  prefixes: Uint8Array[];
}

const MODES: readonly unknown[] = ["default", "broadcast", "optin"];

const isKey = (value: unknown): boolean => (typeof value === "string" || value instanceof Uint8Array) && value.length > 0;

/** What some options take. @internal */
export const cacheChecks = {
  mode: (value: unknown): boolean => MODES.includes(value),
  prefixes: (value: unknown): boolean => Array.isArray(value) && value.every(isKey),
};

const startsWith = (bytes: Uint8Array, start: Uint8Array): boolean => start.every((byte, at) => bytes[at] === byte);

/** Gives what the core is told. Throws a TypeError where options contradict each other. @internal */
export const cacheSettings = (options: CacheOptions, protocol: unknown): CacheSettings => {
  const { maxKeys = 10_000, maxBytes = 16 << 20, ttl = 0, mode = "default" } = options;
  const prefixes = (options.prefixes ?? []).map((prefix) => (typeof prefix === "string" ? encode(prefix) : prefix.slice()));
  if (protocol === 2) throw new TypeError("options: 'cache' needs RESP3, and contradicts 'protocol: 2'");
  if (prefixes.length > 0 && mode !== "broadcast") throw new TypeError(`options: 'cache.prefixes' needs 'mode: "broadcast"', got ${kindOf(mode)} "${mode}"`);
  if (prefixes.some((one, at) => prefixes.some((other, place) => at !== place && startsWith(one, other)))) {
    throw new TypeError("options: 'cache.prefixes' overlap: none may begin with another");
  }
  return { numbers: [MODES.indexOf(mode), maxKeys, maxBytes, ttl], prefixes };
};
