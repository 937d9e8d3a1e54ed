import type { Place, Plan } from "./commands/plan.js";
import { DecodeError } from "./errors.js";
import { kindOf, type Value } from "./outbox.js";

/**
 * Makes what keys hold of a program's own values, and the program's values of what keys hold: strings, elements of lists, members of sets
 * and sorted sets, values of the fields of hashes and streams, elements of arrays, items of filters. Keys, names of fields, patterns,
 * ids, pieces of strings (APPEND, GETRANGE), scripts' arguments and messages are left alone, and so is what `call` and `raw` give.
 */
export interface Adapter<In = any, Out = any, Data = any> {
  /** Gives what is sent for `value`. When it throws, or gives nothing that can be sent, its command fails with nothing sent. */
  encode(value: In): Value;
  /** Gives what `data` stands for: a string, or bytes with `decodeResponses: false`. When it throws, its command fails with {@link DecodeError}. */
  decode(data: Data): Out;
}

/** Tells whether `value` can adapt. @internal */
export const isAdapter = (value: unknown): value is Adapter =>
  typeof value === "object" && value !== null && typeof (value as Adapter).encode === "function" && typeof (value as Adapter).decode === "function";

/**
 * Gives `reply`, the reply to a command of `plan`, with all its values decoded; aggregates are changed in place.
 * @throws DecodeError when `adapter` throws, or when members of a set become one.
 * @internal
 */
export const adapted = (adapter: Adapter, { name, values }: Plan, reply: unknown): unknown => {
  try {
    return values === "-" ? reply : decoded(adapter, values, reply);
  } catch (cause) {
    const message = cause instanceof Merged ? "members of a set become one" : `it threw ${cause instanceof Error ? cause.name : kindOf(cause)}`;
    throw new DecodeError(`the adapter does not decode the reply: ${message}`, { command: name, cause });
  }
};

class Merged extends Error {}

const decoded = (adapter: Adapter, place: Place, value: unknown): unknown => {
  if (typeof value === "string" || value instanceof Uint8Array) return place === "v" ? adapter.decode(value) : value;
  if (place === "-" || typeof value !== "object" || value === null) return value;
  const { kind, of } = place === "v" ? EVERYWHERE : place;
  if (value instanceof Set) {
    const members = new Set([...value].map((member) => decoded(adapter, of[0]!, member)));
    if (members.size < value.size) throw new Merged();
    return members;
  }
  if (value instanceof Map) {
    for (const [field, one] of value) value.set(field, decoded(adapter, of[0]!, one));
  } else if (!Array.isArray(value)) {
    const fields = value as Record<string, unknown>;
    for (const field of Object.keys(fields)) fields[field] = decoded(adapter, of[0]!, fields[field]);
  } else if (kind === "{") {
    // fields as pairs; names alone where no values were asked for
    for (const pair of value as unknown[]) if (Array.isArray(pair)) pair[1] = decoded(adapter, of[0]!, pair[1]);
  } else {
    for (let at = 0; at < value.length; at++) value[at] = decoded(adapter, kind === "(" ? (of[at] ?? "-") : of[0]!, value[at]);
  }
  return value;
};

const EVERYWHERE: Place & object = { kind: "[", of: ["v"] };
