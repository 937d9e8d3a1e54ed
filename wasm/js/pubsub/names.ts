import { unexpected, type Key } from "../outbox.js";
import { ENCODED, Mode, textOf } from "../reader.js";
import type { Str } from "../replies.js";
import { encode, exactly, latin1 } from "../text.js";

/** The longest name that the core holds, in bytes. */
const LONGEST = 64 << 10;

/** The part of a mode that says how user data is read. */
export const DATA = Mode.BYTES | ENCODED;

const bytesOf = (name: Key): Uint8Array => (typeof name === "string" ? encode(name) : name);

/**
 * Gives the names that `method` was called with.
 * @throws TypeError when one is none.
 */
export const namesIn = (method: string, given: readonly unknown[]): Key[] => {
  const names = given.length === 1 && Array.isArray(given[0]) ? (given[0] as unknown[]) : given;
  for (const name of names) {
    if (typeof name !== "string" && !(name instanceof Uint8Array)) throw unexpected(`${method}: a name`, "string | Uint8Array", name);
    if (name.length > LONGEST / 3 && bytesOf(name).length > LONGEST) throw new TypeError(`${method}: a name is longer than 64 KiB`);
  }
  return [...names] as Key[];
};

/** Gives the name that a caller gave as the core's word has it: as text, or as bytes where they are none, or where nothing is decoded. */
export const told = (name: Key, mode: number): Str => {
  if (typeof name === "string" && mode & ENCODED) return name;
  const bytes = bytesOf(name);
  return mode & Mode.BYTES ? new Uint8Array(bytes) : exactly(bytes, textOf(bytes, mode));
};

/** Gives what was told as callers see it. */
export const shown = (value: Str, mode: number): Str => (typeof value === "string" || mode & Mode.BYTES ? value : textOf(value, mode));

/** Gives what stands for a name that was told: no text has a surrogate alone. */
export const keyOf = (name: Str): string => (typeof name === "string" ? name : `\ud800${latin1(name)}`);
