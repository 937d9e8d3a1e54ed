/** The compiled module as the build inlines it. */
declare module "#wasm" {
  /** The module, compressed with Brotli, in base64. */
  export const WASM: string;
  /** Length of the inflated module in bytes. */
  export const WASM_SIZE: number;
}

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
