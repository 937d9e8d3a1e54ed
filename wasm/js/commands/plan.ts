import { calls, names } from "../packed.js";

/** What single values are; the letters of the table. */
export type Scalar = "k" | "v" | "x" | "i" | "d" | "s" | "m";

/** How a value is given and sent. */
export type Form =
  | { kind: "scalar"; scalar: Scalar }
  | { kind: "flag" }
  | { kind: "literal"; words: ReadonlyMap<string, Word> }
  | { kind: "list"; element: Form; count: Count; empty: boolean }
  | { kind: "map"; key: Scalar; value: Scalar; order: "" | "~" | "/"; count: Count; empty: boolean }
  | { kind: "tuple"; parts: readonly Part[] }
  | { kind: "object"; pieces: readonly Piece[]; counted: boolean; sole: Part | true | undefined }
  | { kind: "either"; forms: readonly Form[] };

/** Whether a number is sent before what it counts: elements (`#`) or words (`%`). */
export type Count = "" | "#" | "%";

/** A word as it is sent. */
export interface Word {
  token: string;
  since: string | undefined;
}

/** What the caller gives under a name. */
export interface Part {
  type: "part";
  name: string;
  /** Its place among the parameters; -1 for an option. */
  index: number;
  tokens: readonly string[];
  /** Whether the tokens are sent before each element. */
  each: boolean;
  form: Form;
  optional: boolean;
  /** Whether its number is sent even where it is left out. */
  numbered: boolean;
  since: string | undefined;
}

/** A part of what is sent, in the order in which it is sent. */
export type Piece =
  | Part
  | { type: "fixed"; tokens: readonly string[] }
  | { type: "choice"; required: boolean; pieces: readonly Piece[] }
  | { type: "group"; tokens: readonly string[]; counted: boolean; optional: boolean; since: string | undefined; pieces: readonly Piece[]; /** Those of which any brings it about. */ needed: readonly Piece[] };

/** Where a reply has values that an adapter takes: all of its texts are, none is, or it depends on where they are. */
export type Place = "v" | "-" | { kind: "[" | "{" | "("; of: readonly Place[] };

/** How a command is called and sent. */
export interface Plan {
  /** As Redis spells it. */
  name: string;
  /** The version of the server that brought it, unless all have it. */
  since: string | undefined;
  /** The word that makes it block, empty where it always does; absent where it never does. */
  blocks: string | undefined;
  /** As in errors: the method's name. */
  method: string;
  pieces: readonly Piece[];
  /** Parameters in the order of a call: what is required first. */
  parameters: readonly Part[];
  required: number;
  hasOptions: boolean;
  /** Whether the last parameter is a list that may be given one by one. */
  rest: boolean;
  /** Where its reply has values. */
  values: Place;
  /** Whether a call with just the required arguments can be sent as it is. */
  direct: boolean;
  /** Whether all there is are plain arguments and, last, a plain list. */
  spread: boolean;
}

/** Gives what the command in row `row` does to its connection; `internal` for what nobody should call. */
export const effectOf = (row: number): string | undefined => /^[^:!]*!([^:~]+)[:~]/.exec(calls[row]!)?.[1];

let rows: Map<string, number> | undefined;
let families: Set<string> | undefined;

/** Gives the row of a command by its name in upper case, 0 when the table does not know it. */
export const rowOf = (name: string): number => {
  rows ??= new Map(names.map((name, row) => [name, row]));
  return rows.get(name) ?? 0;
};

/** Tells whether `word`, in upper case, is the first of a name of two. */
export const isFamily = (word: string): boolean => {
  families ??= new Set(names.filter((name) => name.includes(" ")).map((name) => name.split(" ")[0]!));
  return families.has(word);
};

/** Gives the word of a command that `arg` is sent as, in upper case. */
export const wordOf = (arg: unknown): string => (arg instanceof Uint8Array ? new TextDecoder().decode(arg) : String(arg)).toUpperCase();

/** Gives the method's name and, for commands of modules, the namespace before it. */
export const methodOf = (name: string): [namespace: string | undefined, method: string] => {
  const dot = name.indexOf(".");
  const lower = name.toLowerCase();
  return dot < 0 ? [undefined, camel(lower)] : [lower.slice(0, dot), camel(lower.slice(dot + 1).replace(/^_/, ""))];
};

const camel = (words: string): string => words.replace(/[ _-]./g, (joint) => joint[1]!.toUpperCase());

const plans = new Array<Plan | undefined>(calls.length);

/** Gives how the command in row `row` is called. */
export const planOf = (row: number): Plan => (plans[row] ??= new Parser(calls[row]!).plan(names[row]!));

/** Tells whether the command in row `row` blocks with `args`. */
export const blocks = (row: number, args: readonly unknown[]): boolean => {
  const word = row === 0 ? undefined : planOf(row).blocks;
  return word !== undefined && (word === "" || args.some((arg) => wordOf(arg) === word));
};

/** Reads one row; the notation is described in `xtask/src/codegen/typescript_table.rs`. */
class Parser {
  readonly #text: string;
  #at = 0;
  readonly #parameters: Part[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  plan(name: string): Plan {
    this.#take(" ");
    const since = this.#since();
    const marks = this.#match(/[^:]*:/y);
    const pieces = this.#pieces(true);
    const values = this.#take(">") ? this.#place() : "-";
    const parameters = this.#parameters;
    const optional = new Set(pieces.flatMap((piece) => (piece.type === "group" && piece.optional ? positional(piece.pieces) : [])));
    const needed = parameters.filter((part) => !part.optional && !optional.has(part));
    parameters.sort((one, other) => Number(!needed.includes(one)) - Number(!needed.includes(other)));
    parameters.forEach((part, index) => (part.index = index));
    const last = parameters.at(-1);
    return {
      name,
      since,
      values,
      spread: pieces.every((piece) => piece.type === "part" && !piece.optional && (piece === last ? isPlainList(piece) : piece.index >= 0 && isPlain(piece))),
      blocks: /~(.*):/.exec(marks)?.[1],
      method: methodOf(name).filter(Boolean).join("."),
      pieces,
      parameters,
      required: needed.length,
      hasOptions: pieces.some(isOption),
      rest: parameters.at(-1)?.form.kind === "list",
      direct: pieces.every((piece) =>
        piece.type === "part" ? (piece.optional ? !piece.numbered : piece.index >= 0 && isPlain(piece)) : piece.type !== "fixed" && !isRequired(piece),
      ),
    };
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const text = pattern.exec(this.#text)![0];
    this.#at += text.length;
    return text;
  }

  #take(text: string): boolean {
    const taken = this.#text.startsWith(text, this.#at);
    if (taken) this.#at += text.length;
    return taken;
  }

  #tokens(): string[] | undefined {
    if (!this.#take("'")) return undefined;
    const words = this.#match(/[^']*/y);
    this.#at++;
    return words === "" ? [] : words.split(" ");
  }

  #since(): string | undefined {
    return this.#take("@") ? this.#match(/[\d.]+/y) : undefined;
  }

  #pieces(top: boolean): Piece[] {
    const pieces: Piece[] = [];
    while (this.#at < this.#text.length && !")>".includes(this.#text[this.#at]!)) {
      pieces.push(this.#piece(top));
      this.#take(" ");
    }
    return pieces;
  }

  #piece(top: boolean): Piece {
    if (this.#take("<")) {
      const pieces: Piece[] = [];
      do pieces.push(maybe(this.#piece(top)));
      while (this.#take("|"));
      this.#at++;
      return { type: "choice", required: !this.#take("?"), pieces };
    }
    if (this.#take("(")) {
      const tokens = this.#tokens() ?? [];
      const counted = this.#take("%");
      const pieces = this.#pieces(top);
      this.#at++;
      const required = pieces.filter(isRequired);
      return { type: "group", tokens, counted, pieces, needed: required.length > 0 ? required : pieces, optional: this.#take("?"), since: this.#since() };
    }
    const tokens = this.#tokens();
    if (tokens !== undefined && " )".includes(this.#text[this.#at] ?? " ")) return { type: "fixed", tokens };
    const flag = this.#take("+");
    const option = flag || this.#take(".");
    const form: Form = flag ? { kind: "flag" } : this.#form();
    const name = this.#match(/\w+/y);
    const each = this.#take("*");
    const words = tokens ?? (option ? [tokenOf(name)] : []);
    const part: Part = {
      type: "part",
      name,
      index: option ? -1 : 0,
      tokens: words,
      each,
      form,
      numbered: words.length === 0 && countOf(form) !== "",
      optional: this.#take("?"),
      since: this.#since(),
    };
    if (!option && top) this.#parameters.push(part);
    return part;
  }

  #form(): Form {
    const letter = this.#text[this.#at++]!;
    switch (letter) {
      case "=": {
        const words = new Map<string, Word>();
        do {
          const token = this.#match(/[^,@=]+/y);
          words.set(token.toLowerCase(), { token, since: this.#since() });
        } while (this.#take(","));
        this.#at++;
        return { kind: "literal", words };
      }
      case "[": {
        const element = this.#form();
        this.#at++;
        return { kind: "list", element, ...this.#count() };
      }
      case "{": {
        const [key, value] = [this.#text[this.#at]!, this.#text[this.#at + 1]!] as [Scalar, Scalar];
        this.#at += 3;
        const order = this.#take("~") ? "~" : this.#take("/") ? "/" : "";
        return { kind: "map", key, value, order, ...this.#count() };
      }
      case "t": {
        this.#at++;
        const parts = this.#pieces(false) as Part[];
        this.#at++;
        return { kind: "tuple", parts };
      }
      case "o": {
        const counted = this.#take("%");
        this.#at++;
        const pieces = this.#pieces(false);
        this.#at++;
        const required = pieces.filter(isRequired);
        const only = required.length === 1 ? required[0]! : undefined;
        const sole = required.length === 0 ? true : only?.type === "part" && only.tokens.length === 0 ? only : undefined;
        return { kind: "object", pieces, counted, sole };
      }
      case "e": {
        this.#at++;
        const forms: Form[] = [];
        while (!this.#take(")")) {
          const form = this.#form();
          // what has no token sends nothing as an empty object
          forms.push(form.kind === "object" && form.sole === true ? { ...form, sole: undefined } : form);
        }
        return { kind: "either", forms };
      }
      default:
        return { kind: "scalar", scalar: letter as Scalar };
    }
  }

  #place(): Place {
    const kind = this.#text[this.#at++] as "v" | "-" | "[" | "{" | "(";
    if (kind === "v" || kind === "-") return kind;
    const of: Place[] = [];
    while (!this.#close()) of.push(this.#place());
    return { kind, of };
  }

  #close(): boolean {
    const closes = ")]}".includes(this.#text[this.#at]!);
    if (closes) this.#at++;
    return closes;
  }

  #count(): { count: Count; empty: boolean } {
    const count = this.#take("#") ? "#" : this.#take("%") ? "%" : "";
    return { count, empty: this.#take("0") };
  }
}

const maybe = (piece: Piece): Piece => (piece.type === "part" || piece.type === "group" ? { ...piece, optional: true } : piece);

/** Gives the token that an option has when none is said. */
const tokenOf = (name: string): string => name.replace(/[A-Z]/g, "_$&").toUpperCase();

const positional = (pieces: readonly Piece[]): Part[] =>
  pieces.flatMap((piece) => (piece.type === "part" ? (piece.index >= 0 ? [piece] : []) : piece.type === "fixed" ? [] : positional(piece.pieces)));

const isOption = (piece: Piece): boolean => (piece.type === "part" ? piece.index < 0 : piece.type !== "fixed" && piece.pieces.some(isOption));

/** Tells whether something has to be given for `piece`. */
export const isRequired = (piece: Piece): boolean =>
  piece.type === "part" ? !piece.optional : piece.type === "choice" ? piece.required : piece.type === "group" && !piece.optional;

/** Tells whether a parameter is one word that is sent as it is given. */
const isPlain = ({ tokens, form }: Part): boolean => tokens.length === 0 && form.kind === "scalar" && form.scalar !== "s" && form.scalar !== "m";

const isPlainList = ({ tokens, form }: Part): boolean =>
  tokens.length === 0 && form.kind === "list" && form.count === "" && !form.empty && form.element.kind === "scalar" && !"sm".includes(form.element.scalar);

/** Gives how the values of `form` are counted. */
const countOf = (form: Form): Count => (form.kind === "list" || form.kind === "map" ? form.count : "");
