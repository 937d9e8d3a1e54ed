import { ClientError } from "./errors.js";
import { module } from "./packed.js";
import { createCodec, encode, type Codec } from "./text.js";

/** The length of a text that there is none of. */
const ABSENT = 0xffff_ffff;

/** What the module exports (`wasm/src/host.rs`, where each is described). */
interface Exports {
  memory: { buffer: ArrayBuffer };
  host_registers(): number;
  host_input(bytes: number): number;
  host_words(count: number): number;
  host_configure(): void;
  host_submit(now: number, lease: number, words: number, text: number, side: number, how: number): number;
  host_script(length: number, place: number): number;
  host_cache(words: number): void;
  host_cached(): number;
  host_cache_stats(): number;
  host_cache_epoch(): number;
  host_cancel(now: number, slot: number): number;
  host_lease(now: number, slot: number, bare: boolean): void;
  host_release(now: number, lease: number): void;
  host_unblock(now: number): void;
  host_dismiss(now: number, slot: number): void;
  host_connect(now: number): void;
  host_shutdown(): void;
  host_opened(now: number, link: number): void;
  host_closed(now: number, link: number, untrusted: boolean): void;
  host_authenticate(username: number, password: number): void;
  host_timeout(now: number): void;
  host_next_timeout(): number;
  host_window(link: number): number;
  host_receive(now: number, link: number, count: number): number;
  host_read(link: number, count: number): number;
  host_tape(): number;
  host_transmit(link: number): number;
  host_poll(): number;
  host_inspect(now: number): number;
  host_detail(lane: number): number;
  host_version(lane: number): number;
  host_key_slot(length: number): number;
  host_repeatable(row: number): number;
}

let compiled: WebAssembly.Module | undefined;

const compile = (): WebAssembly.Module => {
  if (typeof WebAssembly !== "object") {
    throw new ClientError("WebAssembly is switched off in this process, and redwire's core is WebAssembly: allow it (for Node, without --jitless)");
  }
  return new WebAssembly.Module(module);
};

/** One machine in its own wasm instance, with views of its memory that hold until the next call. */
export class Host {
  readonly codec: Codec = createCodec();
  readonly exports: Exports;
  readonly #registers: number;
  #bytes = new Uint8Array(0);
  #words = new Uint32Array(0);

  constructor() {
    compiled ??= compile();
    this.exports = new WebAssembly.Instance(compiled).exports as unknown as Exports;
    this.#registers = this.exports.host_registers() >>> 2;
  }

  #refresh(): void {
    const { buffer } = this.exports.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.codec.attach(buffer);
  }

  /** Memory as bytes. Never keep it: growth ends it. */
  get bytes(): Uint8Array {
    // growth leaves nothing of a view: asking for the memory each time takes longer
    if (this.#bytes.length === 0) this.#refresh();
    return this.#bytes;
  }

  /** Memory as words. Never keep it: growth ends it. */
  get words(): Uint32Array {
    if (this.#words.length === 0) this.#refresh();
    return this.#words;
  }

  /** Gives what the last call left in a register. */
  register(index: 0 | 1): number {
    return this.words[this.#registers + index]!;
  }

  /** Copies texts to the input, as {@link giveBytes} does. */
  giveTexts(texts: readonly (string | undefined)[]): number[] {
    return this.giveBytes(texts.map((text) => (text === undefined ? undefined : encode(text))));
  }

  /** Copies `parts` to the input, one behind the other; gives their lengths, all ones where there is none. */
  giveBytes(parts: readonly (Uint8Array | undefined)[]): number[] {
    let at = this.exports.host_input(parts.reduce((sum, part) => sum + (part?.length ?? 0), 0));
    return parts.map((part) => {
      if (part === undefined) return ABSENT;
      this.bytes.set(part, at);
      at += part.length;
      return part.length;
    });
  }

  /** Copies `words` to where the core looks for them. */
  giveWords(words: readonly number[]): void {
    const at = this.exports.host_words(words.length) >>> 2;
    this.words.set(words, at);
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
