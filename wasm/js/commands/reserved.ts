import { unexpected } from "../outbox.js";
import { effectOf, isFamily, rowOf, wordOf } from "./plan.js";

/** What to use instead of a command that changes what a connection is, by its effect: other callers share the connection. */
const alternatives: Readonly<Record<string, string>> = {
  auth: "the options 'username' and 'password'",
  hello: "the option 'protocol'",
  select: "the option 'db'",
  name: "the option 'clientName'",
  multi: "redis.multi()",
  exec: "redis.multi()",
  discard: "redis.multi()",
  watch: "redis.pipeline()",
  unwatch: "redis.pipeline()",
  reset: "redis.destroy()",
  quit: "redis.close()",
};

/** What turns a connection into something that answers no commands any more: not even a lease takes it. */
const streams: Readonly<Record<string, string>> = {
  subscribe: "redis.subscribe() or redis.pubsub()",
  unsubscribe: "redis.subscribe() or redis.pubsub()",
  monitor: "redis.monitor()",
  replication: "a replica",
};

/** Gives the error for a command that a shared connection cannot take. */
export const refusalOf = (method: string, name: string, effect: string): TypeError =>
  new TypeError(
    effect === "writes"
      ? `${method}: ${name} is about the writes of its own connection, which all callers share: use \`await redis.lease()\``
      : `${method}: ${name} would change the connection that all callers share: use ${alternatives[effect] ?? streams[effect] ?? "`await redis.lease()`"}`,
  );

/** Gives the name, of one word or two, that the table may know a raw command by. */
export const knownAs = (words: readonly unknown[]): string => {
  const first = String(words[0]).toUpperCase();
  if (!isFamily(first)) return first;
  const two = `${first} ${wordOf(words[1])}`;
  return rowOf(two) > 0 ? two : first;
};

/** Gives the error for a command that a leased connection cannot take, if it cannot. */
export const leaseRefusalOf = (method: string, name: string, effect: string): TypeError | undefined =>
  effect in streams ? new TypeError(`${method}: ${name} would end the conversation on the lease: use ${streams[effect]}`) : undefined;

/** Gives the error for a command that a pipeline on a connection of its own cannot take, if it cannot: it would begin or end a transaction of the pipeline's. */
export const queueRefusalOf = (method: string, name: string, effect: string): TypeError | undefined =>
  /^(multi|exec|discard|watch|unwatch|reset)$/.test(effect)
    ? new TypeError(`${method}: ${name} is said by the pipeline itself: use its watch(), unwatch(), multi(), execute() and reset()`)
    : leaseRefusalOf(method, name, effect);

/** Gives the error for a command that cannot go unanswered, if it cannot: it would change how the connection answers, or whom. */
export const silentRefusalOf = (command: string, row: number): TypeError | undefined => {
  const effect = effectOf(row);
  if (effect === undefined || effect === "writes" || effect === "internal") return undefined;
  return new TypeError(`${command} would change the connection: use \`await redis.lease()\``);
};

/**
 * Gives the words of a raw command, unless `refuse` gives why what has its effect cannot be taken.
 * @throws TypeError then, and when the name is none.
 */
export const rawCall = (name: unknown, args: readonly unknown[], refuse: typeof leaseRefusalOf): unknown[] => {
  if (typeof name !== "string" || name.trim() === "") throw unexpected("call: parameter 'name'", "a command's name", name);
  const words: unknown[] = name.trim().split(/ +/);
  for (const arg of args) words.push(arg);
  const known = knownAs(words);
  const effect = effectOf(rowOf(known));
  const refusal = effect === undefined || effect === "internal" ? undefined : refuse("call", known, effect);
  if (refusal !== undefined) throw refusal;
  return words;
};
