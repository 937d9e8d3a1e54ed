import type { CacheSettings, CacheStats } from "./cache.js";
import type { Host } from "./host.js";
import { Memo } from "./memo.js";
import { Reader, type Replies } from "./reader.js";

/** The replies that a core keeps. */
export class Kept {
  readonly #host: Host;
  /** Reads them while others may be half read. */
  readonly #reader: Reader;
  /** The value of the one that was told last. */
  value: unknown;
  /** Their values. What is kept for some time only, the core must be asked for. */
  readonly memo: Memo | undefined;

  /** Has the core keep replies, which `replies` takes. */
  constructor(host: Host, { numbers, prefixes }: CacheSettings, replies: Pick<Replies, "modeOf" | "commandOf" | "reply">) {
    this.#host = host;
    const words = [...numbers, ...host.giveBytes(prefixes)];
    host.giveWords(words);
    host.exports.host_cache(words.length);
    const reply = (slot: number, value: unknown, failed: boolean): void => {
      this.value = value;
      replies.reply(slot, value, failed);
    };
    this.#reader = new Reader({ modeOf: (slot) => replies.modeOf(slot), commandOf: (slot) => replies.commandOf(slot), reply, tell: () => {}, isWide: () => false, refused: () => {} }, host);
    this.memo = numbers[3] === 0 ? new Memo() : undefined;
  }

  /** Settles commands that were submitted and whose replies are kept; tells whether there was one. */
  tell(): boolean {
    const { exports } = this.#host;
    const words = exports.host_cached();
    // such texts stand apart from each other: nothing beside them is worth reading
    if (words > 0) this.#reader.read(this.#host, exports.host_tape() >>> 2, words, 0);
    return words > 0;
  }

  /** What became of commands whose replies may be kept. */
  get stats(): CacheStats {
    const { exports } = this.#host;
    const at = exports.host_cache_stats();
    const [hits, misses, evictions, invalidations, keys, bytes] = new Float64Array(exports.memory.buffer, at, 6) as unknown as [number, number, number, number, number, number];
    return { hits: hits + (this.memo?.hits ?? 0), misses, evictions, invalidations, keys, bytes };
  }
}

/** What is said before there is a core. */
export const NOTHING_KEPT: Readonly<CacheStats> = { hits: 0, misses: 0, evictions: 0, invalidations: 0, keys: 0, bytes: 0 };
