import { kindOf, type Key, type Value } from "./outbox.js";

/** Fields and their values: an object, a `Map`, or pairs. */
export type Fields<V extends Value = Value> = Readonly<Record<string, V>> | ReadonlyMap<Key, V> | ReadonlyArray<readonly [Key, V]>;

/** What a token takes: nothing (`true`), one value, a moment in seconds or milliseconds, or several values. */
export type Takes = "flag" | "value" | "seconds" | "milliseconds" | "values";

/** Appends the pairs of `fields`, the value first where `swapped`. */
export const pairs = (command: string, into: unknown[], fields: Fields, swapped = false): unknown[] => {
  if (typeof fields !== "object" || fields === null || fields instanceof Uint8Array) {
    throw new TypeError(`${command}: fields expected an object, a Map or pairs, got ${kindOf(fields)}`);
  }
  const entries = Symbol.iterator in fields ? (fields as Iterable<readonly [Key, Value]>) : Object.entries(fields as Record<string, Value>);
  let empty = true;
  for (const [name, value] of entries) {
    empty = false;
    if (swapped) into.push(value, name);
    else into.push(name, value);
  }
  if (empty) throw new TypeError(`${command}: fields expected at least one pair, got none`);
  return into;
};

/** Appends `rest`, which is a list of values or one array of them. */
export const list = (command: string, into: unknown[], rest: readonly unknown[]): unknown[] => {
  const values = rest.length === 1 && Array.isArray(rest[0]) ? (rest[0] as unknown[]) : rest;
  if (values.length === 0) throw new TypeError(`${command}: expected at least one value, got none`);
  for (let at = 0; at < values.length; at++) into.push(values[at]);
  return into;
};

/** Appends what `options` says, each token in upper case before its values. */
export const tokens = (command: string, into: unknown[], options: object | undefined, known: Readonly<Record<string, Takes>>): unknown[] => {
  if (options === undefined) return into;
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(known, name)) throw new TypeError(`${command}: '${name}' is not an option of this command`);
    if (value === undefined || (value === false && known[name] === "flag")) continue;
    into.push(name.toUpperCase());
    switch (known[name]!) {
      case "flag":
        if (value !== true) throw new TypeError(`${command}: option '${name}' expected true, got ${kindOf(value)}`);
        break;
      case "seconds":
        into.push(value instanceof Date ? Math.floor(value.getTime() / 1000) : value);
        break;
      case "milliseconds":
        into.push(value instanceof Date ? value.getTime() : value);
        break;
      case "values":
        list(command, into, [value]);
        break;
      case "value":
        into.push(value);
    }
  }
  return into;
};
