import type { Value } from "./outbox.js";

/** What user data is: text, or bytes. */
export type Str = string | Uint8Array;

/** What sets and maps become. */
export interface Forms {
  sets: "set" | "array";
  maps: keyof Maps<unknown, unknown>;
}

declare const map: unique symbol;

/** Maps in their forms; the keys of an object are strings whatever they are. */
export interface Maps<K, V> {
  object: Record<string, V>;
  map: Map<K, V>;
  entries: [key: K, value: V][];
  /** That of an inert command, whose client nobody knows yet. */
  inert: { readonly [map]: [K, V] };
}

/** What they become by default. */
export interface Plain extends Forms {
  sets: "set";
  maps: "object";
}

/** What replies and arguments are made of, whatever that is: one parameter for all. */
export interface AnyWorld {
  /** User data. */
  S: Str;
  /** Integers. */
  N: unknown;
  /** What sets and maps become. */
  F: Forms;
  /** Values in replies. */
  V: unknown;
  /** Values as arguments: an adapter makes them of something else. */
  I: unknown;
  /** Maps of user data to values. */
  M: unknown;
}

/** The world of a {@link Redis} with the same parameters. */
export interface World<S extends Str = string, N = number, F extends Forms = Plain, V = S, I = Value> extends AnyWorld {
  S: S;
  N: N;
  F: F;
  V: V;
  I: I;
  M: MapOf<F, S, V>;
}

/** A set of `T`. Bytes are never equal, so where user data is bytes it is an array. */
export type SetOf<S extends Str = string, F extends Forms = Plain, T = S> = S extends string ? { set: Set<T>; array: T[] }[F["sets"]] : T[];

/** A map in the server's order. */
export type MapOf<F extends Forms, K, V> = Maps<K, V>[F["maps"]];

/** The places `P` in a tuple, where the option `O` brings them: where it is `true`. */
export type If<O, P extends unknown[]> = O extends true ? P : [];

/** A value of INFO; an integer beyond 2^53-1 is a bigint, whatever `integers` says. */
export type InfoValue<N = number> = string | number | bigint | N;

/** What INFO tells: numbers where the server writes numbers, an object where it writes `name=value` pairs, an array where it repeats a name. */
export interface Info<N = number> {
  [field: string]: InfoValue<N> | Record<string, InfoValue<N> | InfoValue<N>[]> | Record<string, InfoValue<N>>[];
}

/** A connection as CLIENT LIST tells of it; fields depend on the server's version. */
export interface ClientInfo<N = number> {
  id: N;
  addr: string;
  name: string;
  age: N;
  idle: N;
  flags: string;
  db: N;
  cmd: string;
  user?: string;
  [field: string]: InfoValue<N> | undefined;
}

/** A node as CLUSTER NODES tells of it. */
export interface ClusterNode<S extends Str = string, N = number, F extends Forms = Plain> {
  id: string;
  host: string;
  port: N;
  hostname: string | null;
  flags: SetOf<S, F, string>;
  /** The id of the node that it replicates. */
  master: string | null;
  ping_sent: N;
  pong_recv: N;
  config_epoch: N;
  link_state: string;
  /** First and last slot of each range. */
  slots: N[][];
  /** Slots on their way, as the server writes them. */
  migrations: string[];
}
