import type { Key, Value } from "../outbox.js";

export type { Key, Value };

/** An integer; beyond 2^53-1 only a `bigint` is exact. */
export type Int = number | bigint;

/** A moment: a unix time, or a `Date`. */
export type UnixTime = Int | Date;

/** One value, several, or one array of them. */
export type Several<T> = T[] | [readonly T[]];

/** Groups of values, or one array of them: a single group is in an array too. */
export type Groups<T> = [T, T, ...T[]] | [readonly T[]];

/** Values of a program's own, or one array of them: one array is the list always, and a single value that is an array is in an array too. */
export type Listed<T> = (T & { readonly flatMap?: undefined })[] | [T, T, ...T[]] | [readonly T[]];

/** Names and what belongs to them: an object, a `Map`, or pairs. */
export type Fields<V = Value, K = Key> = Readonly<Record<string, V>> | ReadonlyMap<K, V> | ReadonlyArray<readonly [K, V]>;
