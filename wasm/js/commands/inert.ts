import { builds } from "../bitfield.js";
import type { Commands } from "../generated/commands.js";
import type { Forms, MapOf, Maps, SetOf, Str, World } from "../replies.js";

/** A command that is not sent yet: `redis.execute` sends it. */
export interface InertCommand<R = unknown> {
  /** As Redis spells it. */
  readonly command: string;
  readonly args: readonly unknown[];
  /** For types only: what it gives, whatever client executes it. */
  readonly reply?: R;
}

/** Makes the function that makes inert commands called `command`. @internal */
export const of =
  (command: string): any =>
  (...args: unknown[]): InertCommand => ({ command, args });

/** The same, which makes builders too. @internal */
export const building = (command: string): any => builds(of(command), command === "BITFIELD");

declare const data: unique symbol;
declare const integer: unique symbol;
declare const own: unique symbol;
/** User data, integers and values of a client that nobody knows yet. */
type Data = string & { readonly [data]: true };
type Integer = number & { readonly [integer]: true };
type Own = string & { readonly [own]: true };
interface Undecided extends Forms {
  sets: "set";
  maps: "inert";
}

/** The functions that make inert commands: each takes what the method of the same name takes. */
export interface Inert extends Commands<World<Data, Integer, Undecided, Own>, "inert"> {}

/** What a client gives for an inert command. */
export type ReplyOf<C, S extends Str, N, F extends Forms, V = S> = C extends InertCommand<infer R> ? Filled<R, S, N, F, V> : never;

/** Puts what a client makes of user data, integers, sets and maps into a reply's type. Arrays come before tuples, since only they may contain themselves. */
// prettier-ignore
type Filled<R, S extends Str, N, F extends Forms, V> =
  unknown extends R ? unknown :
  R extends Data ? S :
  R extends Own ? V :
  R extends Integer ? N :
  R extends string | number | bigint | boolean | null | undefined | Uint8Array | Error ? R :
  R extends Set<infer T> ? SetOf<S, F, Filled<T, S, N, F, V>> :
  R extends Maps<infer K, infer T>["inert"] ? MapOf<F, Filled<K, S, N, F, V>, Filled<T, S, N, F, V>> :
  R extends (infer T)[] ? T[] extends R ? Filled<T, S, N, F, V>[] : { [K in keyof R]: Filled<R[K], S, N, F, V> } :
  { [K in keyof R]: Filled<R[K], S, N, F, V> };
