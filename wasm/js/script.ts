import { kindOf, unexpected, type Key, type Value } from "./outbox.js";
import type { Methods } from "./commands/methods.js";
import type { Queue, RawPipeline } from "./pipeline.js";
import type { AnyWorld } from "./replies.js";

/** What a script or a function of a library is called with. */
export interface CallOptions {
  /** KEYS in Lua. */
  keys?: readonly Key[];
  /** ARGV in Lua. */
  args?: readonly Value[];
  /** Whether the server may run it on a replica and refuses its writes (EVALSHA_RO, FCALL_RO); by default a function's flags decide. */
  readonly?: boolean;
}

/** Whoever runs scripts and gives promises of their results: a client, a view, a lease, a pipeline that watches. */
export interface Caller {
  fcall(name: Value, keys?: readonly Key[], ...args: [readonly Value[]]): Promise<unknown>;
  fcallRo(name: Value, keys?: readonly Key[], ...args: [readonly Value[]]): Promise<unknown>;
}

/**
 * A Lua script: call it. EVALSHA is sent, and EVAL where the server does not know the script, whatever `SCRIPT FLUSH` comes between. In a
 * pipeline, where nothing can be sent a second time in its place, the first call of each script is an EVAL; so is each call of a script
 * that is not among the first 256 of its pipeline, with those that EVAL is given behind the first. Outside transactions, where a flush
 * may come between two calls, each call of a script of up to 1 024 characters is an EVAL; a later call of a longer one may be a
 * `NoScriptError`. An error of the script's own rejects with a `ResponseError`.
 */
export interface Script<R = unknown> {
  /** Runs it, on the client that made it or on `client`, and gives what it returns. */
  (options?: CallOptions & { client?: Caller }): Promise<R>;
  /** Appends it to the pipeline `client`. */
  <W extends AnyWorld, T extends unknown[]>(options: CallOptions & { client: Queue<W, T> }): Queue<W, [...T, R]>;
  (options: CallOptions & { client: RawPipeline }): RawPipeline;
  /** The SHA-1 of the script, 40 hexadecimal digits: its name on servers. Worked out here, no server is asked. */
  readonly sha: string;
}

/** Whoever can run or append a script. @internal */
export interface Runner extends Methods {
  /** Gives the script's SHA-1. */
  shaOf(lua: string): string;
  /** Calls the script `lua` with the words that follow its name. */
  script(lua: string, readonly: boolean, words: unknown[]): unknown;
}

/** Makes the script `lua` of `home`. @internal */
export const scriptOf = (home: Runner, lua: string): Script => {
  if (typeof lua !== "string" || lua === "") throw new TypeError(`registerScript: parameter 'lua' expected the text of a script, got ${lua === "" ? "none" : kindOf(lua)}`);
  const call = (given: CallOptions & { client?: Caller } = {}): unknown => {
    const refused = optionsRefusal("script", given);
    if (refused !== undefined) return Promise.reject(refused);
    const { client = home as unknown as Caller, ...options } = given;
    const runner = client as unknown as Runner;
    if (typeof runner?.script !== "function") return Promise.reject(unexpected("script: option 'client'", "a client or a pipeline", client));
    let words: unknown[];
    try {
      words = wordsOf(options);
    } catch (error) {
      return runner.fail(error);
    }
    return runner.script(lua, options.readonly === true, words);
  };
  return Object.defineProperty(call, "sha", { get: () => home.shaOf(lua), enumerable: true }) as unknown as Script;
};

/** Gives the error for what are no options of `method`. @internal */
export const optionsRefusal = (method: string, options: unknown): TypeError | undefined =>
  Object(options) !== options || Array.isArray(options) ? unexpected(`${method}: parameter 'options'`, "an object", options) : undefined;

/** Gives what a script is called with, behind its name. */
const wordsOf = ({ keys = [], args = [] }: CallOptions): unknown[] => {
  for (const [name, list] of Object.entries({ keys, args })) {
    if (!Array.isArray(list)) throw unexpected(`script: option '${name}'`, "an array", list);
  }
  return [keys.length, ...keys, ...args];
};
