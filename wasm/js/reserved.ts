import { kindOf } from "./outbox.js";

/** Commands that change what a connection is, and what to use instead: other callers share the connection. */
const reserved: Readonly<Record<string, string>> = {
  AUTH: "the options 'username' and 'password'",
  HELLO: "the option 'protocol'",
  SELECT: "the option 'db'",
  MULTI: "redis.multi()",
  EXEC: "redis.multi()",
  DISCARD: "redis.multi()",
  WATCH: "redis.pipeline()",
  UNWATCH: "redis.pipeline()",
  SUBSCRIBE: "a connection of its own",
  PSUBSCRIBE: "a connection of its own",
  SSUBSCRIBE: "a connection of its own",
  UNSUBSCRIBE: "a connection of its own",
  PUNSUBSCRIBE: "a connection of its own",
  SUNSUBSCRIBE: "a connection of its own",
  MONITOR: "a connection of its own",
  RESET: "redis.destroy()",
  QUIT: "redis.close()",
  SYNC: "a replica",
  PSYNC: "a replica",
  "CLIENT REPLY": "a connection of its own",
  "CLIENT SETNAME": "the option 'clientName'",
};

/**
 * Gives the words of a raw command.
 * @throws TypeError when the name is none, or is that of a command that a shared connection cannot take.
 */
export const rawCall = (name: unknown, args: readonly unknown[]): unknown[] => {
  if (typeof name !== "string" || name.trim() === "") throw new TypeError(`call: parameter 'name' expected a command's name, got ${kindOf(name)}`);
  const words: unknown[] = name.trim().split(/ +/);
  for (const arg of args) words.push(arg);
  const first = String(words[0]).toUpperCase();
  const second = typeof words[1] === "string" ? `${first} ${words[1].toUpperCase()}` : first;
  const found = Object.hasOwn(reserved, first) ? first : Object.hasOwn(reserved, second) ? second : undefined;
  if (found !== undefined) throw new TypeError(`call: ${found} would change the connection that all callers share: use ${reserved[found]!}`);
  return words;
};
