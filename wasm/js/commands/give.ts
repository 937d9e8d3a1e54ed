import type { Pipeline } from "../pipeline.js";
import type { Forms, Str } from "../replies.js";

/** What methods make of a reply: `result` says it, in terms of `reply`. */
export interface Kind {
  readonly reply: unknown;
  readonly result: unknown;
}

/** A promise of it. */
export interface Promised extends Kind {
  readonly result: Promise<this["reply"]>;
}

/** A promise of whatever the server sent. */
export interface Raw extends Kind {
  readonly result: Promise<unknown>;
}

/** A promise that settles when the command was written. */
export interface Unanswered extends Kind {
  readonly result: Promise<void>;
}

/** A pipeline one longer. */
export interface Queued<S extends Str, T extends unknown[], N, F extends Forms, V, I> extends Kind {
  readonly result: Pipeline<S, [...T, this["reply"]], N, F, V, I>;
}

/** What methods of kind `K` give for a reply of type `R`. */
export type Give<K extends Kind, R> = (K & { readonly reply: R })["result"];
