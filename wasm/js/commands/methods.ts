import { CommandNotSupportedError } from "../errors.js";
import { encode, isOlder, type Needs } from "./encode.js";
import { effectOf, lines, methodOf, planOf, type Plan } from "./plan.js";
import { refusalOf } from "./reserved.js";

/** Turns calls into rows and arguments, for whoever sends or queues them. Its methods are those of the table. */
export abstract class Methods {
  /** Takes one command. */
  abstract run(row: number, command: string, args: unknown[]): unknown;

  /** Reports that a command cannot be made of what was given. */
  abstract fail(error: unknown): unknown;

  /** Whether types are checked that the server would check too. */
  abstract get checks(): boolean;

  /** The version of the server that commands must not be newer than, once it is known. */
  abstract get version(): string | undefined;
}

/** Makes the command of `plan` of what a method was called with. */
const take = (target: Methods, row: number, plan: Plan, args: unknown[]): unknown => {
  const { checks } = target;
  if (plan.direct && args.length === plan.required && !checks && (plan.since === undefined || target.version === undefined)) return target.run(row, plan.name, args);
  const { version } = target;
  let words: unknown[];
  try {
    const needs: Needs = { since: plan.since, option: "" };
    words = encode(plan, args, checks, needs);
    if (version !== undefined && needs.since !== undefined && isOlder(version, needs.since)) throw notSupported(plan.name, needs, version);
  } catch (error) {
    return target.fail(error);
  }
  return target.run(row, plan.name, words);
};

const notSupported = (command: string, { since, option }: Needs, version: string): CommandNotSupportedError =>
  new CommandNotSupportedError(`${command}${option === "" ? "" : ` with '${option}'`} needs version ${since} of the server, which is ${version}`, {
    command,
    maybeExecuted: false,
  });

/** The commands of a module, under its name. */
class Namespace {
  constructor(readonly target: Methods) {}
}

const define = (prototype: object, name: string, value: unknown): void => {
  Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
};

const namespaces = new Map<string, { prototype: object }>();

/** Gives the class of a module's commands, which a getter of {@link Methods} makes. */
const namespace = (name: string): { prototype: object } => {
  const known = namespaces.get(name);
  if (known !== undefined) return known;
  const made = class extends Namespace {};
  namespaces.set(name, made);
  Object.defineProperty(Methods.prototype, name, {
    get(this: Methods) {
      const commands = new made(this);
      define(this, name, commands);
      return commands;
    },
    configurable: true,
  });
  return made;
};

for (let row = 1; row < lines.length; row++) {
  const line = lines[row]!;
  const end = line.search(/[@!:]/);
  const name = line.slice(0, end);
  const effect = line[end] === ":" ? undefined : effectOf(row);
  // waiting for replicas is about one's own connection: whoever looks for it is told
  if (effect !== undefined && effect !== "writes") continue;
  const [module, method] = methodOf(name);
  let plan: Plan | undefined;
  if (effect !== undefined) {
    define(Methods.prototype, method, function (this: Methods) {
      return this.fail(refusalOf(method, name, effect));
    });
  } else if (module === undefined) {
    define(Methods.prototype, method, function (this: Methods, ...args: unknown[]) {
      return take(this, row, (plan ??= planOf(row)), args);
    });
  } else {
    define(namespace(module).prototype, method, function (this: Namespace, ...args: unknown[]) {
      return take(this.target, row, (plan ??= planOf(row)), args);
    });
  }
}
