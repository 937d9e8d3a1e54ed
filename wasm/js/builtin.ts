/** Gives the built-in module `name` of Node, Bun or Deno, or undefined elsewhere. */
export const builtin = <Module>(name: string): Module | undefined =>
  typeof process === "object" && typeof process.getBuiltinModule === "function"
    ? (process.getBuiltinModule(name) as Module | undefined)
    : undefined;
