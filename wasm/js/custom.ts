import { unexpected, type Key, type Value } from "./outbox.js";

/** A command that redwire's table does not know: of a module, or of a server newer than this version. */
export interface CommandDefinition<R> {
  /** As Redis spells it; words separated by spaces. */
  name: string;
  /** How many of the first arguments are keys, by default none. */
  keys?: number;
  /** Makes the result of the reply, which is neutral to the protocol; without it, the reply itself. */
  reply?: (reply: unknown) => R;
}

/**
 * Gives a function that calls the command of `definition` through `call`.
 * @throws TypeError when the definition is none.
 * @internal
 */
export const customCommand = <R>(definition: CommandDefinition<R>, call: (name: string, ...args: Value[]) => Promise<unknown>): ((...args: Value[]) => Promise<R>) => {
  if (typeof definition !== "object" || definition === null) throw unexpected("defineCommand: parameter 'definition'", "an object", definition);
  const { name, keys = 0, reply, ...others } = definition;
  for (const [other, value] of Object.entries(others)) throw unexpected(`defineCommand: '${other}'`, "to be 'name', 'keys' or 'reply'", value);
  if (typeof name !== "string" || name.trim() === "") throw unexpected("defineCommand: 'name'", "a command's name", name);
  if (!Number.isInteger(keys) || keys < 0) throw unexpected("defineCommand: 'keys'", "a number from 0", keys);
  if (reply !== undefined && typeof reply !== "function") throw unexpected("defineCommand: 'reply'", "a function", reply);
  const isKey = (value: unknown): value is Key => typeof value === "string" || value instanceof Uint8Array;
  return async (...args) => {
    for (let at = 0; at < keys; at++) {
      if (!isKey(args[at])) throw unexpected(`${name.toLowerCase()}: argument ${at + 1} is a key and`, "string | Uint8Array", args[at]);
    }
    const given = await call(name, ...args);
    return reply === undefined ? (given as R) : reply(given);
  };
};
