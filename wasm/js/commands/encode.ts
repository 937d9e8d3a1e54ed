import type { Adapter } from "../adapter.js";
import { kindOf } from "../outbox.js";
import { planOf, type Form, type Part, type Piece, type Plan, type Scalar } from "./plan.js";
import { isOlder, type Needs } from "./versions.js";

/** A member of an object that was given, by name. */
type Members = Readonly<Record<string, unknown>>;

/** What the caller gave: parameters by their place, or members of an object. */
interface Given {
  parameters: readonly unknown[];
  members: Members | undefined;
  /** How many of the members were taken. */
  taken: number;
  /** What all of them are called. */
  name: string;
  /** Whether the only member was given in place of the object, and is called like that. */
  alone: boolean;
}

/** What each kind of value is made of, for messages. */
const expectations: Readonly<Record<Scalar, string>> = {
  k: "string | Uint8Array",
  v: "string | Uint8Array | number | bigint",
  x: "string | Uint8Array | number | bigint",
  i: "whole number | bigint",
  d: "number",
  s: "whole number | bigint | Date",
  m: "whole number | bigint | Date",
};

/**
 * Gives what is sent for a call by `plan`; `checks` says whether types are checked that the server would check too. What is needed for it
 * is noted in `needs`.
 */
export const encode = (plan: Plan, args: readonly unknown[], checks: boolean, needs: Needs, adapter?: Adapter): unknown[] =>
  new Encoder(plan, checks, needs, adapter).encode(args);

/** Gives the error for an argument that is none, in a call that was sent as it is. */
export const illegal = (row: number, index: number, value: unknown): TypeError => {
  const { method, parameters } = planOf(row);
  const { name, form } = parameters[Math.min(index, parameters.length - 1)]!;
  return new TypeError(`${method}: ${describe(name, expected(form.kind === "list" ? form.element : form))}, got ${kindOf(value)}`);
};

/** What the members are called that are not in an object of another name. */
const OPTIONS = "options";

const describe = (name: string, expectation: string): string => `parameter '${name}' expected ${expectation}`;

/** Says what `form` takes. */
const expected = (form: Form): string => {
  switch (form.kind) {
    case "scalar":
      return expectations[form.scalar];
    case "flag":
      return "true";
    case "literal":
      return [...form.words.keys()].map((word) => `"${word}"`).join(" | ");
    case "list":
      return form.empty ? "an array" : "a non-empty array";
    case "map":
      return `${form.empty ? "" : "a non-empty "}object, Map or array of pairs`;
    case "tuple":
      return `[${form.parts.map((part) => part.name).join(", ")}]`;
    case "object":
      return [...(form.sole === true ? ["true"] : form.sole === undefined ? [] : [expected(form.sole.form)]), `{ ${names(form.pieces).join(", ")} }`].join(" | ");
    case "either":
      return form.forms.map(expected).join(" | ");
  }
};

/** Gives the names in `pieces`, each once. */
const names = (pieces: readonly Piece[]): string[] => [
  ...new Set(pieces.flatMap((piece) => (piece.type === "part" ? [piece.name] : piece.type === "fixed" ? [] : names(piece.pieces)))),
];

/** Whether `value` is an object of members and nothing else, of this realm or another: options, and what is given by name. */
const isPlainObject = (value: unknown): value is Members => {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
};

class Encoder {
  readonly #plan: Plan;
  readonly #checks: boolean;
  readonly #needs: Needs;
  readonly #adapter: Adapter | undefined;
  readonly #words: unknown[] = [];

  constructor(plan: Plan, checks: boolean, needs: Needs, adapter: Adapter | undefined) {
    this.#adapter = adapter;
    this.#plan = plan;
    this.#checks = checks;
    this.#needs = needs;
  }

  encode(args: readonly unknown[]): unknown[] {
    const given = this.#bind(args);
    this.#pieces(this.#plan.pieces, given);
    this.#rest(this.#plan.pieces, given, "option");
    return this.#words;
  }

  /** Tells parameters and options apart. */
  #bind(args: readonly unknown[]): Given {
    const { parameters, required, hasOptions, rest } = this.#plan;
    let count = args.length;
    while (count > required && args[count - 1] === undefined) count--;
    let members: Members | undefined;
    const last = parameters.length - 1;
    // objects that are given one by one are no options
    const objects = rest && last < required && !Array.isArray(args[last]) && this.#takesObjects(parameters[last]!.form);
    if (hasOptions && !objects && count > required && isPlainObject(args[count - 1])) members = args[--count] as Members;
    const values = count === args.length ? (args as unknown[]) : args.slice(0, count);
    if (rest && count > last && !(count === last + 1 && (Array.isArray(args[last]) || args[last] === undefined))) {
      if (hasOptions && Array.isArray(args[last]) && !isListOfLists(parameters[last]!.form)) this.#fail(OPTIONS, "a plain object", args[count - 1]);
      return { parameters: [...args.slice(0, last), args.slice(last, count)], members, taken: 0, name: OPTIONS, alone: false };
    }
    if (values.length > parameters.length) {
      const extra = args[parameters.length];
      if (hasOptions) this.#fail(OPTIONS, "a plain object", extra);
      throw new TypeError(`${this.#plan.method}: expected at most ${parameters.length} argument${parameters.length === 1 ? "" : "s"}, got ${count}`);
    }
    return { parameters: values, members, taken: 0, name: OPTIONS, alone: false };
  }

  #takesObjects(form: Form): boolean {
    return form.kind === "list" && (form.element.kind === "object" || (form.element.kind === "scalar" && form.element.scalar === "x" && this.#adapter !== undefined));
  }

  #fail(name: string, expectation: string, value: unknown, got = kindOf(value)): never {
    throw new TypeError(`${this.#plan.method}: ${describe(name, expectation)}, got ${got}`);
  }

  #value(part: Part, given: Given): unknown {
    if (part.index >= 0) return given.parameters[part.index];
    const { members } = given;
    if (members === undefined || !Object.hasOwn(members, part.name)) return undefined;
    const value = members[part.name];
    return value === false && part.form.kind === "flag" ? undefined : value;
  }

  /** Tells whether what makes `piece` be sent was given. */
  #isThere(piece: Piece, given: Given): boolean {
    if (piece.type === "part") return this.#value(piece, given) !== undefined;
    if (piece.type === "fixed") return false;
    const all = piece.type === "choice" ? piece.pieces : piece.needed;
    for (let at = 0; at < all.length; at++) if (this.#isThere(all[at]!, given)) return true;
    return false;
  }

  #piece(piece: Piece, given: Given): void {
    switch (piece.type) {
      case "part":
        return this.#part(piece, given);
      case "fixed":
        this.#words.push(...piece.tokens);
        return;
      case "choice": {
        const all = piece.pieces;
        for (let at = 0; at < all.length; at++) if (this.#isThere(all[at]!, given)) return this.#piece(all[at]!, given);
        if (piece.required) this.#none(piece.pieces, given);
        return;
      }
      case "group":
        if (piece.optional && !this.#isThere(piece, given)) return;
        this.#need(piece.since, piece.tokens[0] ?? "");
        this.#words.push(...piece.tokens);
        this.#counted(piece.counted, piece.pieces, given);
        if (piece.counted && this.#words.at(-1) === 0) this.#none(piece.pieces, given);
    }
  }

  #none(pieces: readonly Piece[], given: Given): never {
    this.#fail(given.name, `one of ${names(pieces).map((name) => `'${name}'`).join(", ")}`, undefined, "none");
  }

  #pieces(pieces: readonly Piece[], given: Given): void {
    for (let at = 0; at < pieces.length; at++) this.#piece(pieces[at]!, given);
  }

  /** Sends `pieces`, behind the number of their words if they are counted. */
  #counted(counted: boolean, pieces: readonly Piece[], given: Given): void {
    const at = this.#words.length;
    if (counted) this.#words.push(0);
    this.#pieces(pieces, given);
    if (counted) this.#words[at] = this.#words.length - at - 1;
  }

  #need(since: string | undefined, option: string): void {
    if (since === undefined) return;
    if (this.#needs.since === undefined || isOlder(this.#needs.since, since)) {
      this.#needs.since = since;
      this.#needs.option = option;
    }
  }

  #part(part: Part, given: Given): void {
    const value = this.#value(part, given);
    const { form } = part;
    const name = given.alone ? given.name : part.name;
    if (value === undefined) {
      if (!part.optional) this.#fail(name, expected(form), value);
      if (part.numbered) this.#words.push(0);
      return;
    }
    if (part.index < 0) given.taken++;
    this.#need(part.since, part.name);
    if (part.each) return this.#each(part, value);
    const { tokens } = part;
    for (let at = 0; at < tokens.length; at++) this.#words.push(tokens[at]);
    if (form.kind === "scalar") this.#scalar(form.scalar, value, name);
    else this.#form(form, value, name);
  }

  /** Sends the tokens before each element. */
  #each(part: Part, value: unknown): void {
    const { form, name, tokens } = part;
    if (form.kind === "list") {
      for (const element of this.#list(form, value, name)) {
        this.#words.push(...tokens);
        this.#form(form.element, element, name);
      }
    } else if (form.kind === "map") {
      for (const [key, one] of this.#entries(form, value, name)) {
        this.#words.push(...tokens);
        this.#scalar(form.key, key, name);
        this.#scalar(form.value, one, name);
      }
    }
  }

  #form(form: Form, value: unknown, name: string): void {
    switch (form.kind) {
      case "scalar":
        return this.#scalar(form.scalar, value, name);
      case "flag":
        if (value !== true) this.#fail(name, "true", value);
        return;
      case "literal": {
        const word = typeof value === "string" ? form.words.get(value) : undefined;
        if (word === undefined) this.#fail(name, expected(form), value);
        this.#need(word.since, `${name}: "${String(value)}"`);
        this.#words.push(word.token);
        return;
      }
      case "list": {
        const list = this.#list(form, value, name);
        const { element, count } = form;
        if (count === "#") this.#words.push(list.length);
        const start = this.#words.length;
        if (count === "%") this.#words.push(0);
        for (let at = 0; at < list.length; at++) {
          const one = list[at];
          if (element.kind === "scalar") this.#scalar(element.scalar, one, name);
          else this.#form(element, one, name);
        }
        if (count === "%") this.#words[start] = this.#words.length - start - 1;
        return;
      }
      case "map":
        return this.#map(form, value, name);
      case "tuple":
        if (!Array.isArray(value) || value.length !== form.parts.length) this.#fail(name, expected(form), value);
        form.parts.forEach((part, at) => {
          this.#words.push(...part.tokens);
          this.#form(part.form, (value as unknown[])[at], part.name === name ? name : `${name}.${part.name}`);
        });
        return;
      case "object":
        return this.#object(form, value, name);
      case "either": {
        const fitting = form.forms.find((one) => accepts(one, value)) ?? this.#fail(name, expected(form), value);
        const before = this.#words.length;
        this.#form(fitting, value, name);
        if (this.#words.length === before) this.#fail(name, expected(form), value, "an empty one");
        return;
      }
    }
  }

  #scalar(scalar: Scalar, value: unknown, name: string): void {
    const adapter = scalar === "x" ? this.#adapter : undefined;
    if (adapter !== undefined) value = adapter.encode(value);
    if (typeof value === "string" && !this.#checks) {
      this.#words.push(value);
      return;
    }
    if (scalar === "x") scalar = "v";
    const isTime = scalar === "s" || scalar === "m";
    let fits: boolean;
    switch (typeof value) {
      case "string":
        fits = scalar === "k" || scalar === "v";
        break;
      case "number":
        fits = !Number.isNaN(value) && (!this.#checks || (scalar !== "k" && (scalar === "v" || scalar === "d" || Number.isInteger(value))));
        break;
      case "bigint":
        fits = !this.#checks || (scalar !== "k" && scalar !== "d");
        break;
      default:
        fits = value instanceof Uint8Array ? !this.#checks || scalar === "k" || scalar === "v" : isTime && value instanceof Date && !Number.isNaN(value.getTime());
    }
    if (!fits) this.#fail(name, expectations[scalar] + (adapter === undefined ? "" : " of the adapter"), value);
    this.#words.push(value instanceof Date ? (scalar === "s" ? Math.floor(value.getTime() / 1000) : value.getTime()) : value);
  }

  #list(form: Form & { kind: "list" }, value: unknown, name: string): readonly unknown[] {
    if (!Array.isArray(value)) this.#fail(name, expected(form), value);
    if (value.length === 0 && !form.empty) this.#fail(name, expected(form), value, "an empty one");
    return value;
  }

  #entries(form: Form & { kind: "map" }, value: unknown, name: string): [unknown, unknown][] {
    if (typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof Date) this.#fail(name, expected(form), value);
    const pairs = Symbol.iterator in value ? [...(value as Iterable<unknown>)] : Object.entries(value as Members);
    if (pairs.length === 0 && !form.empty) this.#fail(name, expected(form), value, "an empty one");
    for (const pair of pairs) if (!Array.isArray(pair) || pair.length !== 2) this.#fail(name, "pairs", pair);
    return pairs as [unknown, unknown][];
  }

  #map(form: Form & { kind: "map" }, value: unknown, name: string): void {
    const pairs = this.#entries(form, value, name);
    const isObject = !(Symbol.iterator in (value as object));
    if (form.count !== "") this.#words.push(form.count === "#" ? pairs.length : pairs.length * 2);
    // names in objects are texts, whatever they stand for; elsewhere they are no numbers
    const key = (one: unknown): void => this.#scalar(form.key === "x" ? "x" : isObject ? "v" : form.key === "v" ? "k" : form.key, one, name);
    if (form.order === "/") {
      for (const pair of pairs) key(pair[0]);
      for (const pair of pairs) this.#scalar(form.value, pair[1], name);
      return;
    }
    for (const pair of pairs) {
      if (form.order === "~") this.#scalar(form.value, pair[1], name);
      key(pair[0]);
      if (form.order === "") this.#scalar(form.value, pair[1], name);
    }
  }

  #object(form: Form & { kind: "object" }, value: unknown, name: string): void {
    const { pieces, sole, counted } = form;
    let members: Members;
    const isObject = isPlainObject(value);
    if (isObject) members = value;
    else if (sole === true && value === true) members = {};
    else if (typeof sole === "object" && value !== undefined) members = { [sole.name]: value };
    else if (typeof value === "string" && isBare(pieces, value)) members = { [value]: true };
    else this.#fail(name, expected(form), value);
    const given: Given = { parameters: [], members, taken: 0, name, alone: !isObject };
    this.#counted(counted, pieces, given);
    this.#rest(pieces, given, `member of '${name}'`);
  }

  /** Refuses members that nothing was sent for. */
  #rest(pieces: readonly Piece[], { members, taken }: Given, what: string): void {
    if (members === undefined) return;
    let left = -taken;
    for (const name of Object.keys(members)) if (members[name] !== undefined) left++;
    if (left === 0) return;
    const all = Object.entries(members).filter(([, value]) => value !== undefined);
    const known = names(pieces);
    const unknown = all.find(([name]) => !known.includes(name));
    if (unknown !== undefined) throw new TypeError(`${this.#plan.method}: '${unknown[0]}' is not ${/^[aeiou]/.test(what) ? "an" : "a"} ${what} of this command: check its name among ${known.join(", ")}`);
    const sent = all.filter(([, value]) => value !== false);
    if (sent.length <= taken) return;
    throw new TypeError(`${this.#plan.method}: ${sent.map(([name]) => `'${name}'`).join(", ")} cannot go together, or one of them needs another`);
  }
}

/** Tells whether a list's elements are lists themselves. */
const isListOfLists = (form: Form): boolean => form.kind === "list" && form.element.kind === "tuple";

/** Tells whether `word` stands for `{ [word]: true }`. */
const isBare = (pieces: readonly Piece[], word: string): boolean => {
  const [only] = pieces;
  return only?.type === "choice" && only.required && pieces.length === 1 && only.pieces.some((one) => one.type === "part" && one.form.kind === "flag" && one.name === word);
};

/** Tells whether `form` is what `value` is meant as. */
const accepts = (form: Form, value: unknown): boolean => {
  switch (form.kind) {
    case "literal":
      return typeof value === "string" && form.words.has(value);
    case "list":
    case "tuple":
      return Array.isArray(value);
    case "object":
      return isPlainObject(value);
    case "scalar":
      return typeof value === "string" || typeof value === "number" || typeof value === "bigint" || value instanceof Uint8Array;
    default:
      return false;
  }
};
