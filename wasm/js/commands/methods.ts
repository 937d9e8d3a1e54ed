import type { Adapter } from "../adapter.js";
import { builds } from "../bitfield.js";
import { encode } from "./encode.js";
import type { InertCommand } from "./inert.js";
import { unexpected } from "../outbox.js";
import { names } from "../packed.js";
import { effectOf, methodOf, planOf, rowOf, type Plan } from "./plan.js";
import { leaseRefusalOf, refusalOf } from "./reserved.js";
import type { Needs } from "./versions.js";

/** Turns calls into rows and arguments, for whoever sends or queues them. Its methods are those of the table. */
export abstract class Methods {
  /** Whether types are checked that the server would check too. */
  readonly #checks: boolean;
  /** What makes values of the caller's own, if anything does. */
  readonly #adapter: Adapter | undefined;

  constructor(checks: boolean, adapter: Adapter | undefined) {
    this.#checks = checks;
    this.#adapter = adapter;
  }

  /** Takes one command, which not every server knows if it has needs; `what` are flags of its. */
  abstract run(row: number, command: string, args: unknown[], needs?: Needs, what?: number): unknown;

  /** Reports that a command cannot be made of what was given. */
  abstract fail(error: unknown): unknown;

  /** Makes the command of `plan` of what a method was called with. */
  static make(target: Methods, row: number, plan: Plan, args: unknown[]): unknown {
    const asGiven = !target.#checks && target.#adapter === undefined && plan.since === undefined;
    if (plan.direct && asGiven && args.length === plan.required) return target.run(row, plan.name, args);
    if (plan.spread && asGiven && args.length >= plan.required) {
      const last = args[args.length - 1];
      if (!Array.isArray(last)) return target.run(row, plan.name, args);
      if (args.length === plan.required && last.length > 0) {
        args.pop();
        for (let at = 0; at < last.length; at++) args.push(last[at]);
        return target.run(row, plan.name, args);
      }
    }
    let words: unknown[];
    const needs: Needs = { since: plan.since, option: "" };
    try {
      words = encode(plan, args, target.#checks, needs, target.#adapter);
    } catch (error) {
      return target.fail(error);
    }
    return target.run(row, plan.name, words, needs.since === undefined ? undefined : needs);
  }
}

const { make } = Methods;
/** Rows of commands that change a connection. */
const reserved = new Set<number>();

/**
 * Appends an inert command, which is one of `what`, to `target`.
 * @throws TypeError when it is none.
 */
export const take = (target: Methods, inert: InertCommand, what: string): void => {
  const row = typeof inert === "object" && inert !== null && Array.isArray(inert.args) ? rowOf(inert.command) : 0;
  if (row === 0 || reserved.has(row)) throw unexpected(what, "commands made by redwire/commands, builders after execute()", inert);
  make(target, row, planOf(row), inert.args as unknown[]);
};

/** The commands of a module, under its name. */
class Namespace {
  constructor(readonly target: Methods) {}
}

type Method = (this: Methods, ...args: unknown[]) => unknown;
/** Methods by their names. Gathered in an object of their own: adding them to a class one by one takes a hundred times as long. */
type Gathered = Record<string, unknown>;

/** The classes' methods; those of namespaces by their names. */
const gathered: Gathered = Object.create(null);
const namespaces = new Map<string, Gathered>();
/** Methods of leases only. */
const leased: Gathered = Object.create(null);

/** Gives the methods of a namespace, which a getter of {@link Methods} makes. */
const namespace = (name: string): Gathered => {
  let methods = namespaces.get(name);
  if (methods !== undefined) return methods;
  namespaces.set(name, (methods = Object.create(null) as Gathered));
  const made = class extends Namespace {};
  Object.setPrototypeOf(made.prototype, methods);
  Object.defineProperty(gathered, name, {
    get(this: Methods) {
      const value = new made(this);
      Object.defineProperty(this, name, { value });
      return value;
    },
  });
  return methods;
};

for (let row = 1; row < names.length; row++) {
  const name = names[row]!;
  const effect = effectOf(row);
  if (effect !== undefined) reserved.add(row);
  if (effect === "internal") continue;
  const [module, method] = methodOf(name);
  let plan: Plan | undefined;
  if (module !== undefined) {
    namespace(module)[method] = function (this: Namespace, ...args: unknown[]) {
      return make(this.target, row, (plan ??= planOf(row)), args);
    };
    continue;
  }
  const send = function (this: Methods, ...args: unknown[]): unknown {
    return make(this, row, (plan ??= planOf(row)), args);
  };
  if (effect === undefined) gathered[method] = send;
  else if (leaseRefusalOf(method, name, effect) === undefined) leased[method] = send;
  // waiting for replicas is about one's own connection: whoever looks for it is told
  if (effect === "writes") {
    gathered[method] = function (this: Methods) {
      return this.fail(refusalOf(method, name, effect));
    };
  }
}
gathered["bitfield"] = builds(gathered["bitfield"] as Method, true);
gathered["bitfieldRo"] = builds(gathered["bitfieldRo"] as Method, false);
for (const methods of [gathered, ...namespaces.values()]) Object.setPrototypeOf(methods, Object.prototype);
Object.setPrototypeOf(Methods.prototype, gathered);

/** Gives the class of leases the commands that change their connection, but for what it calls otherwise. */
export const addLeased = (prototype: Methods, base: object): void => {
  for (const [name, value] of Object.entries(leased)) {
    if (!Object.hasOwn(base, name)) Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  }
};
