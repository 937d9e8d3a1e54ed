import { RedisError } from "./errors.js";
import { Operation, type Keeper } from "./lock.js";
import { unexpected } from "./outbox.js";
import { optionsRefusal, type CallOptions, type Caller } from "./script.js";

/** A function of a library. */
export type LibraryFunction = (options?: CallOptions & { client?: Caller }) => Promise<unknown>;

/** A class whose libraries have functions of their own, with `NAME` and `CODE`; see {@link Library.wraps}. */
export type LibraryClass<L extends Library> = (new () => L) & { NAME: string; CODE?: string };

/** Where a library is, and what its functions are. */
interface Binding {
  name: string;
  client: Caller;
  /** The same client. */
  home: Keeper;
  functions: Record<string, LibraryFunction>;
}

/** Binds `library`, and gives it its functions; those of `code`, which is loaded first where there is some. */
let bind: (library: Library, binding: Binding, code: string | undefined, replace: boolean) => Promise<void>;

/**
 * A library of functions on the server (Redis 7.0), bound to a client by `registerLibrary` or `loadLibrary`. A class of your own names
 * its functions:
 *
 * ```ts
 * class MyLib extends Library {
 *   static override NAME = "mylib";
 *   static override CODE = "#!lua name=mylib ...";
 *   get = Library.wraps("get", (key: string) => ({ keys: [key] }));
 * }
 * const lib = await redis.registerLibrary(MyLib, { replace: true });
 * await lib.get("co");
 * ```
 */
export abstract class Library {
  /** The library's name. */
  static NAME?: string;
  /** Its code, which begins with `#!lua name=...`. */
  static CODE?: string;
  #binding: Binding | undefined;

  /**
   * Gives a method that calls the function `name` with what `map` makes of its parameters, and gives what `reply` makes of the result.
   * The method rejects with a {@link RedisError} where the library has no such function.
   */
  static wraps<P extends unknown[], R = string>(name: string, map: (...params: P) => CallOptions, reply?: (result: any) => R): (...params: P) => Promise<R> {
    return async function (this: unknown, ...params: P): Promise<R> {
      if (!(this instanceof Library)) throw new TypeError(`${name}: call it as a method of its library`);
      const { name: library, functions } = this.#bound();
      const called = functions[name];
      if (called === undefined) throw new RedisError(`library ${library} has no function ${name}: register its code anew, with replace: true`, { command: "FCALL", maybeExecuted: false });
      const result = await called(map(...params));
      return reply === undefined ? (result as R) : reply(result);
    };
  }

  static {
    bind = async (library, binding, code, replace) => {
      library.#binding = binding;
      await library.#read(code?.trimStart(), replace);
    };
  }

  /** The functions by their names. One that is flagged `no-writes` is called by FCALL_RO, any other by FCALL. */
  get functions(): Readonly<Record<string, LibraryFunction>> {
    return this.#bound().functions;
  }

  /** FUNCTION LOAD REPLACE: replaces the library's code, whose first line must name it, and reads its functions anew. */
  async update(code: string): Promise<boolean> {
    if (typeof code !== "string") throw unexpected("update: parameter 'code'", "string", code);
    await this.#read(code.trimStart(), true);
    return true;
  }

  /** Reads what functions it has, after loading `code` where there is some. */
  async #read(code: string | undefined, replace: boolean): Promise<void> {
    const binding = this.#bound();
    const { name, client, home } = binding;
    const command = code === undefined ? "FUNCTION LIST" : "FUNCTION LOAD";
    const found: Awaited<ReturnType<typeof home.plain.functionList>> =
      code === undefined ? await home.plain.functionList({ libraryname: name }) : await home.operate(Operation.LIBRARY, command, [...(replace ? ["REPLACE"] : []), code]);
    if (!Object.hasOwn(found, name)) {
      const [other] = Object.keys(found);
      const alien = code !== undefined && other !== undefined;
      throw new RedisError(alien ? `the code is that of library ${other}, which is loaded now, not of ${name}` : `No library found for ${name}`, { command });
    }
    binding.functions = Object.create(null) as Binding["functions"];
    for (const [called, { flags }] of Object.entries(found[name]!.functions)) {
      binding.functions[called] = functionOf(client, called, flags.has("no-writes"));
    }
  }

  #bound(): Binding {
    if (this.#binding === undefined) throw new RedisError("the library has no client: make it by redis.registerLibrary or redis.loadLibrary");
    return this.#binding;
  }
}

class Plain extends Library {}

/** Gives the function `name`, called by `home` unless its caller says otherwise. */
const functionOf =
  (home: Caller, name: string, reads: boolean): LibraryFunction =>
  async (options = {}) => {
    const refused = optionsRefusal(name, options);
    if (refused !== undefined) throw refused;
    const { keys = [], args = [], client = home, readonly = reads } = options;
    if (typeof client?.fcall !== "function") throw unexpected(`${name}: option 'client'`, "a client", client);
    return readonly ? client.fcallRo(name, keys, args) : client.fcall(name, keys, args);
  };

/** Gives the library that `what`, a name or a class, is about, bound to `client`; loads `code`, or that of the class, first. @internal */
export const libraryOf = async (what: string | LibraryClass<Library>, client: Caller, home: Keeper, load?: { code?: unknown; replace: boolean }): Promise<Library> => {
  const type = typeof what === "function" ? what : undefined;
  const name = type === undefined ? what : type.NAME;
  const code: unknown = load?.code ?? (load && type?.CODE);
  if (typeof name !== "string" || name === "") throw unexpected("library: parameter 'name'", "a name, or a class with NAME", what);
  if (load !== undefined && typeof code !== "string" && (code !== undefined || type === undefined || load.replace)) {
    throw unexpected("registerLibrary: parameter 'code'", `the code of library ${name}`, code);
  }
  const library = type === undefined ? new Plain() : new type();
  await bind(library, { name, client, home, functions: {} }, code as string | undefined, load?.replace === true);
  return library;
};
