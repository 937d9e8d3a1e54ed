import { WASM, WASM_SIZE } from "#wasm";
import { builtin } from "./builtin.js";
import { ClientError } from "./errors.js";
import { createCodec, type Codec } from "./text.js";

/** What the module exports (`wasm/src/host.rs`, where each is described); the first argument is the machine's address. */
interface Exports {
  memory: { buffer: ArrayBuffer };
  host_new(): number;
  host_registers(self: number): number;
  host_input(self: number, bytes: number): number;
  host_words(self: number, count: number): number;
  host_configure(self: number): void;
  host_submit(self: number, now: number, words: number, text: number, side: number, utf16: number): number;
  host_cancel(self: number, slot: number): number;
  host_connect(self: number, now: number): void;
  host_shutdown(self: number): void;
  host_opened(self: number, now: number, link: number): void;
  host_closed(self: number, now: number, link: number): void;
  host_timeout(self: number, now: number): void;
  host_next_timeout(self: number): number;
  host_window(self: number): number;
  host_receive(self: number, now: number, link: number, count: number): number;
  host_read(self: number, link: number, count: number): number;
  host_tape(self: number): number;
  host_transmit(self: number, link: number): number;
  host_poll(self: number): number;
  host_detail(self: number): number;
  host_version(self: number): number;
  host_key_slot(self: number, length: number): number;
}

let compiled: WebAssembly.Module | undefined;

const compile = (): WebAssembly.Module => {
  if (typeof WebAssembly !== "object") {
    throw new ClientError("WebAssembly is switched off in this process, and redwire's core is WebAssembly: allow it (for Node, without --jitless)");
  }
  const zlib = builtin<typeof import("node:zlib")>("node:zlib");
  if (zlib === undefined) {
    throw new ClientError("this runtime lacks node:zlib, which unpacks redwire's core: use Node >= 20.19, Bun or Deno");
  }
  return new WebAssembly.Module(zlib.brotliDecompressSync(Buffer.from(WASM, "base64"), { maxOutputLength: WASM_SIZE }));
};

/** The module asks for a table of JavaScript values that its numbers-only surface never uses, and for a way to throw. */
const imports = {
  get(_: object, module: string): Record<string, unknown> {
    return new Proxy({}, { get: (_, name) => (String(name).includes("throw") ? refuse : ignore), has: () => module !== "" });
  },
};
const ignore = (): void => {};
const refuse = (): never => {
  throw new ClientError("redwire's core was entered twice");
};

/** One machine in its own wasm instance, with views of its memory that hold until the next call. */
export class Host {
  readonly codec: Codec = createCodec();
  readonly exports: Exports;
  readonly self: number;
  readonly #registers: number;
  #buffer: ArrayBuffer | undefined;
  #bytes!: Uint8Array;
  #words!: Uint32Array;

  constructor() {
    compiled ??= compile();
    this.exports = new WebAssembly.Instance(compiled, new Proxy({}, imports)).exports as unknown as Exports;
    this.self = this.exports.host_new();
    this.#registers = this.exports.host_registers(this.self) >>> 2;
  }

  #refresh(): void {
    const { buffer } = this.exports.memory;
    if (this.#buffer === buffer) return;
    this.#buffer = buffer;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.codec.attach(buffer);
  }

  /** Memory as bytes. Never keep it: growth ends it. */
  get bytes(): Uint8Array {
    this.#refresh();
    return this.#bytes;
  }

  /** Memory as words. Never keep it: growth ends it. */
  get words(): Uint32Array {
    this.#refresh();
    return this.#words;
  }

  /** Gives what the last call left in a register. */
  register(index: 0 | 1): number {
    return this.words[this.#registers + index]!;
  }

  /** Gives the text whose length a call gave and whose address it left in the first register. */
  text(length: number): string {
    const start = this.register(0);
    return this.codec.utf8(start, start + length);
  }
}

let shared: Host | undefined;

/** Gives a machine for pure functions. */
export const pure = (): Host => (shared ??= new Host());
