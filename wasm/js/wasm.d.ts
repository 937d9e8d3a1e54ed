/** What the build puts at the end of the script. */
declare function redwirePacked(): [
  /** The module and behind it how commands are called, compressed with Brotli, in base64. */
  packed: string,
  /** Length of both in bytes. */
  size: number,
  /** Length of the module. */
  module: number,
  /** Where the names of the commands begin in it. */
  start: number,
  /** Where they end. */
  end: number,
];

/** What we use of it; the types of a whole browser would hide what only a browser has. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module);
    readonly exports: Record<string, unknown>;
  }
  class Memory {
    constructor(limits: { initial: number; maximum?: number });
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  class Table {
    constructor(limits: { element: "externref" | "anyfunc"; initial: number });
    readonly length: number;
    get(index: number): unknown;
    set(index: number, value: unknown): void;
    grow(count: number): number;
  }
  class CompileError extends Error {}
  class RuntimeError extends Error {}
}
