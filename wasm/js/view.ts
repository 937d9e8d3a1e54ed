import type { Adapter } from "./adapter.js";
import { Flag } from "./outbox.js";
import { Mode } from "./reader.js";
import type { Forms, Str } from "./replies.js";
import type { RetryPolicy } from "./retry.js";

/** What replies become. */
export interface DecodingOptions {
  /**
   * Whether user data becomes strings (default) or stays `Uint8Array`. Statuses, cursors, ids and names are strings either way.
   *
   * Types follow what is written: a `boolean` gives `string | Uint8Array`, while options of the type `Options`, which do not show whether they
   * say so, are taken for those that do not. Annotate with `satisfies Options` instead, where they do.
   */
  decodeResponses?: boolean;
  /** How user data is text, in replies and arguments: `"utf-8"` (default), `"latin1"` or `"ascii"`. */
  encoding?: "utf-8" | "latin1" | "ascii";
  /**
   * What integers become: a `number`, beyond 2^53-1 an {@link IntegerRangeError} (`"number"`, default); a `bigint` where a number is not
   * exact (`"exact"`); always a `bigint` (`"bigint"`).
   */
  integers?: "number" | "exact" | "bigint";
  /** What maps become: a plain object (`"object"`, default), a `Map`, or pairs (`"entries"`). */
  maps?: "object" | "map" | "entries";
  /** What sets become: a `Set` (default) or an `"array"`. Of bytes they are arrays always. */
  sets?: "set" | "array";
}

/** What user data is with `O`, where it was `S`. */
export type DataWith<O, S extends Str> = O extends { decodeResponses: infer D } ? (D extends false ? Uint8Array : D extends true ? string : S) : S;

/** What integers are with `O`, where they were `N`. */
export type IntegersWith<O, N> = O extends { integers: infer I } ? (I extends "bigint" ? bigint : I extends "exact" ? number | bigint : number) : N;

/** The forms of sets and maps with `O`, where they were `F`. */
export type FormsWith<O, F extends Forms> = O extends { sets: Forms["sets"] } | { maps: Forms["maps"] }
  ? { sets: O extends { sets: infer A extends Forms["sets"] } ? A : F["sets"]; maps: O extends { maps: infer A extends Forms["maps"] } ? A : F["maps"] }
  : F;

/** What may come with an adapter. */
export interface Adapting {
  adapter?: Adapter;
}

/** What values are with `O`, where they were `V` and other user data `S`. */
export type ValuesWith<O, S extends Str, V> = O extends { adapter: Adapter<any, infer Out> } ? Out : [S, V] extends [V, S] ? DataWith<O, S> : V;

/** What values may be given as with `O`, where they were `I`; anything where its adapter takes the unknown. */
export type GivenWith<O, I> = O extends { adapter: Adapter<infer In> } ? (unknown extends In ? any : In) : I;

/** Nothing where the adapter in `O` decodes what a view with `O` has, else the adapter that would. */
export type Fitting<O, S extends Str> = O extends { adapter: Adapter<any, any, infer Data> } ? (DataWith<O, S> extends Data ? unknown : { adapter: Adapter<any, any, DataWith<O, S>> }) : unknown;

/** What views of a client differ in. @internal */
export interface View {
  mode: number;
  /** Those of its commands: raw, idempotent, and whether replies may be kept. */
  flags: number;
  timeout: number | undefined;
  retry: RetryPolicy | undefined;
  signal: AbortSignal | undefined;
  adapter: Adapter | undefined;
}

/** Gives how replies become values: where nobody says what they are, an integer is whole. @internal */
export const modeOf = ({ mode, flags }: View): number => (flags & Flag.RAW ? mode | Mode.WIDE : mode);

/** The part of a mode that each option decides, and what each of its values makes of it. */
const modes: Readonly<Record<keyof DecodingOptions, Readonly<Record<string, number>>>> = {
  decodeResponses: { true: 0, false: Mode.BYTES },
  encoding: { "utf-8": 0, latin1: Mode.LATIN1, ascii: Mode.ASCII },
  integers: { number: 0, exact: Mode.WIDE, bigint: Mode.BIGINT },
  maps: { object: 0, map: Mode.MAPS, entries: Mode.ENTRIES },
  sets: { set: 0, array: Mode.ARRAYS },
};

/** Gives what the option `name` takes, in words; nothing where it is no such option. @internal */
export const decodingValues = (name: string): string | undefined =>
  Object.hasOwn(modes, name) ? (name === "decodeResponses" ? "a boolean" : Object.keys(modes[name as keyof DecodingOptions]).map((value) => `"${value}"`).join(" or ")) : undefined;

/** Whether the option `name` takes `value`. @internal */
export const decodes = (name: string, value: unknown): boolean =>
  Object.hasOwn(modes, name) && Object.hasOwn(modes[name as keyof DecodingOptions], String(value)) && typeof value === (name === "decodeResponses" ? "boolean" : "string");

/** Gives `mode` with what `options` decide. @internal */
export const withDecoding = (mode: number, options: DecodingOptions): number => {
  for (const [name, values] of Object.entries(modes)) {
    const value = options[name as keyof DecodingOptions];
    if (value === undefined) continue;
    for (const bits of Object.values(values)) mode &= ~bits;
    mode |= values[String(value)]!;
  }
  return mode;
};

const NOT_ASCII = /[^\x00-\x7f]/;

/**
 * Gives `args` of `command` as they are sent in the encoding of `mode`, which is not UTF-8.
 * @throws TypeError when one has characters that the encoding lacks.
 * @internal
 */
export const encoded = (command: string, args: readonly unknown[], mode: number): unknown[] =>
  args.map((arg, index) => {
    if (typeof arg !== "string" || !NOT_ASCII.test(arg)) return arg;
    if (mode & Mode.ASCII || /[^\x00-\xff]/.test(arg)) {
      throw new TypeError(`${command.toLowerCase()}: argument ${index + 1} has characters that the encoding ${mode & Mode.ASCII ? "ascii" : "latin1"} lacks`);
    }
    return Uint8Array.from(arg, (char) => char.charCodeAt(0));
  });
