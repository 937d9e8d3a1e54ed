import type { Host } from "./host.js";
import { ClientError } from "./errors.js";
import { illegal } from "./commands/encode.js";
import { pieces, type Large } from "./pieces.js";

/** A command's name, a key, a member: text, or bytes as they are. */
export type Key = string | Uint8Array;
/** What Redis stores: text, bytes, or a number that is sent as its decimal text. */
export type Value = Key | number | bigint;

/** Flags of a command; those of `core/src/batch.rs`. @internal */
export const enum Flag {
  RAW = 1 << 16,
  NAMED = 1 << 17,
  TIMEOUT = 1 << 18,
  MULTI = 1 << 19,
  MEMBER = 1 << 20,
  EXEC = 1 << 21,
  IDEMPOTENT = 1 << 22,
  SILENT = 1 << 23,
  SCRIPT = 1 << 24,
  OPERATION = 1 << 25,
  CACHED = 1 << 28,
  UNCACHED = 1 << 29,
}

/** The slots of commands: one each, or one for all. @internal */
export type SlotsOf = readonly number[] | number;

/** Gives the slot of the command at `position`. @internal */
export const slotAt = (slots: SlotsOf, position: number): number => (typeof slots === "number" ? slots : slots[position]!);

/** The bits of a command's row. @internal */
export const ROW = 0xffff;

/** Where an argument is, in the top bits of its word. */
const SIDE = 0x4000_0000;
const EXTERNAL = 0x8000_0000;

/** Longer strings are not joined to the others. */
const JOINED = 256;
/** Larger arguments never pass through wasm; they must not change until their command settles. */
const COPIED = 64 << 10;

const NONE: ReadonlyMap<number, Large[]> = new Map();

const encoder = new TextEncoder();

/** Commands on their way into the core: see `core/src/batch.rs` for the form. @internal */
export class Outbox {
  /** Commands in here. */
  count = 0;
  #text = "";
  #words = new Uint32Array(64);
  #used = 0;
  #side = new Uint8Array(0);
  #sideUsed = 0;
  /** Whether something in here is more than a command. */
  #converses = false;
  /** Large arguments by the position of their command among those in here. */
  #externals: Map<number, Large[]> | undefined;

  /** Roughly how many bytes are in here. */
  get size(): number {
    return this.#text.length + this.#sideUsed;
  }

  /**
   * Appends a command.
   * @throws TypeError, with nothing appended, when an argument is none.
   */
  push(slot: number, what: number, timeout: number | undefined, command: string, args: readonly unknown[]): void {
    const start = this.#used;
    const text = this.#text;
    const sideUsed = this.#sideUsed;
    const head = timeout === undefined ? 3 : 4;
    if (start + head + args.length * 2 > this.#words.length) this.#grow(start + head + args.length * 2);
    const words = this.#words;
    words[start] = slot;
    words[start + 1] = timeout === undefined ? what : what | Flag.TIMEOUT;
    words[start + 2] = args.length;
    if (timeout !== undefined) words[start + 3] = timeout;
    this.#used = start + head;
    try {
      for (let index = 0; index < args.length; index++) {
        const arg = args[index];
        if (typeof arg === "string" && arg.length <= JOINED) {
          this.#text += arg;
          words[this.#used++] = arg.length;
        } else {
          // the core keeps what an operation is given
          if (what & Flag.OPERATION) this.#put(arg, Infinity, 0, command, index);
          else this.#put(arg, COPIED, what & ROW, command, index);
        }
      }
    } catch (error) {
      this.#used = start;
      this.#text = text;
      this.#sideUsed = sideUsed;
      this.#externals?.delete(this.count);
      throw error;
    }
    if (what & (Flag.SCRIPT | Flag.OPERATION)) this.#converses = true;
    this.count++;
  }

  #put(arg: unknown, most: number, row: number, command: string, index: number): void {
    switch (typeof arg) {
      case "string":
        return arg.length < most ? this.#putLong(arg) : this.#putExternal(pieces(arg));
      case "number":
        if (Number.isNaN(arg)) break;
      // fall through
      case "bigint": {
        const text = arg === Infinity ? "inf" : arg === -Infinity ? "-inf" : String(arg);
        this.#text += text;
        this.#words[this.#used++] = text.length;
        return;
      }
      case "object":
        if (arg instanceof Uint8Array) return arg.length < most ? this.#putBytes(arg) : this.#putExternal([arg]);
    }
    if (row !== 0) throw illegal(row, index, arg);
    throw unexpected(`${command.toLowerCase()}: argument ${index + 1}`, "string | Uint8Array | number | bigint", arg);
  }

  #putLong(text: string): void {
    this.#room(text.length * 3);
    const { written } = encoder.encodeInto(text, this.#side.subarray(this.#sideUsed));
    this.#words[this.#used++] = SIDE + written;
    this.#sideUsed += written;
  }

  #putBytes(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#side.set(bytes, this.#sideUsed);
    this.#words[this.#used++] = SIDE + bytes.length;
    this.#sideUsed += bytes.length;
  }

  #putExternal(large: Large): void {
    this.#words[this.#used++] = EXTERNAL;
    this.#words[this.#used++] = large.reduce((sum, piece) => sum + piece.length, 0);
    this.#externals ??= new Map();
    const held = this.#externals.get(this.count);
    if (held === undefined) this.#externals.set(this.count, [large]);
    else held.push(large);
  }

  #room(bytes: number): void {
    const need = this.#sideUsed + bytes;
    if (need <= this.#side.length) return;
    const grown = new Uint8Array(Math.max(need, this.#side.length * 2, 1024));
    grown.set(this.#side.subarray(0, this.#sideUsed));
    this.#side = grown;
  }

  #grow(need: number): void {
    const grown = new Uint32Array(Math.max(need, this.#words.length * 2));
    grown.set(this.#words.subarray(0, this.#used));
    this.#words = grown;
  }

  /** Appends the commands in `box`, in `slots`. */
  absorb(box: Outbox, slots: SlotsOf): void {
    const start = this.#used;
    if (start + box.#used > this.#words.length) this.#grow(start + box.#used);
    this.#words.set(box.#used === box.#words.length ? box.#words : box.#words.subarray(0, box.#used), start);
    this.#used += box.#used;
    for (let at = start, position = 0; position < box.count; position++) {
      this.#words[at] = slotAt(slots, position);
      at = this.#after(at);
    }
    this.#text += box.#text;
    if (box.#sideUsed > 0) {
      this.#room(box.#sideUsed);
      this.#side.set(box.#side.subarray(0, box.#sideUsed), this.#sideUsed);
      this.#sideUsed += box.#sideUsed;
    }
    this.count += box.count;
    this.#converses ||= box.#converses;
  }

  /** Gives where the command behind the one at `at` starts. */
  #after(at: number): number {
    let next = at + (this.#words[at + 1]! & Flag.TIMEOUT ? 4 : 3);
    for (let left = this.#words[at + 2]!; left > 0; left--) next += this.#words[next]! >= EXTERNAL ? 2 : 1;
    return next;
  }

  /** Large arguments of the last command. */
  get lastExternals(): Large[] | undefined {
    return this.#externals?.get(this.count - 1);
  }

  /** Large arguments by the positions of their commands. */
  get externals(): ReadonlyMap<number, Large[]> {
    return this.#externals ?? NONE;
  }

  /** Hands everything to the core, whose memory it is copied to, and empties the box; `lease` is 0 where there is none. */
  submit(host: Host, now: number, lease: number): void {
    const { exports } = host;
    const text = this.#text;
    let address = exports.host_input(text.length * 3 + this.#sideUsed);
    const wordsAt = exports.host_words(this.#used) >>> 2;
    host.words.set(this.#used === this.#words.length ? this.#words : this.#words.subarray(0, this.#used), wordsAt);
    const written = text === "" ? 0 : host.codec.write(text, address);
    if (this.#sideUsed > 0) host.bytes.set(this.#side.subarray(0, this.#sideUsed), address + written);
    const how = this.#converses ? 2 : 0;
    let refused = exports.host_submit(now, lease, this.#used, written, this.#sideUsed, written === text.length ? how : how + 1);
    if (refused === 1) {
      // halves of surrogate pairs met across arguments: encode each argument on its own
      address = exports.host_input(text.length * 3 + this.#sideUsed);
      const length = this.#separate(host, address, wordsAt);
      host.bytes.set(this.#side.subarray(0, this.#sideUsed), address + length);
      refused = exports.host_submit(now, lease, this.#used, length, this.#sideUsed, how);
    }
    if (refused !== 0) throw new ClientError("redwire's core did not understand its own client; please report this");
    this.clear();
  }

  #separate(host: Host, address: number, wordsAt: number): number {
    const words = this.#words.slice(0, this.#used);
    let from = 0;
    let to = address;
    for (let at = 0; at < this.#used; ) {
      const end = this.#after(at);
      for (let word = at + (words[at + 1]! & Flag.TIMEOUT ? 4 : 3); word < end; word++) {
        const length = this.#words[word]!;
        if (length >= EXTERNAL) word++;
        else if (length < SIDE) {
          const written = host.codec.write(this.#text.slice(from, from + length), to);
          words[word] = written;
          from += length;
          to += written;
        }
      }
      at = end;
    }
    host.words.set(words, wordsAt);
    return to - address;
  }

  /** Forgets everything. */
  clear(): void {
    this.#text = "";
    this.#used = 0;
    this.#sideUsed = 0;
    this.count = 0;
    this.#converses = false;
    this.#externals = undefined;
    if (this.#side.length > COPIED * 4) this.#side = new Uint8Array(0);
    if (this.#words.length > 1 << 16) this.#words = new Uint32Array(64);
  }
}

/** Gives arguments that are sent later than they were given, without bytes that the caller may change. @internal */
export const kept = <T>(args: readonly T[]): T[] => args.map((arg) => (arg instanceof Uint8Array && arg.length < COPIED ? (new Uint8Array(arg) as T) : arg));

/** Gives the error for a value that is not what it has to be. @internal */
export const unexpected = (what: string, expected: string, value: unknown): TypeError => new TypeError(`${what} expected ${expected}, got ${kindOf(value)}`);

/** Names what `value` is, never its content. @internal */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== "object") return Number.isNaN(value) ? "NaN" : typeof value;
  return value.constructor?.name || "object";
};
