import type { HscanOptions, ScanOptions, SscanOptions } from "./generated/options.js";
import type { Key } from "./outbox.js";
import type { Str } from "./replies.js";

/**
 * Iterators over what SCAN and its like give page by page. Whatever is there from the start to the end of an iteration comes at least
 * once; what comes and goes meanwhile may or may not. A page is asked for when the one before is read; leaving the loop ends it.
 */
export interface Iterators<S extends Str, V = S> {
  /** SCAN to its end: the keys of the database. `count` is what the server looks at per page, by default 10. */
  scanIter(options?: ScanOptions): AsyncIterableIterator<S>;
  /** HSCAN to its end: the names of a hash's fields. */
  hscanIter(key: Key, options: HscanOptions & { novalues: true }): AsyncIterableIterator<S>;
  /** HSCAN to its end: the fields of a hash with their values. */
  hscanIter(key: Key, options?: HscanOptions): AsyncIterableIterator<[field: S, value: V]>;
  /** SSCAN to its end: the members of a set. */
  sscanIter(key: Key, options?: SscanOptions): AsyncIterableIterator<V>;
  /** ZSCAN to its end: the members of a sorted set with their scores. */
  zscanIter(key: Key, options?: SscanOptions): AsyncIterableIterator<[member: V, score: number]>;
}

type Page = readonly [cursor: string, page: Iterable<unknown>];

/** Gives what `next` gives, page after page, from cursor 0 until it comes again. @internal */
export async function* pages(next: (cursor: string) => Promise<unknown>): AsyncGenerator<unknown> {
  let cursor = "0";
  do {
    const [following, page] = (await next(cursor)) as Page;
    yield* page;
    cursor = following;
  } while (cursor !== "0");
}
