import { DecodeError, IntegerRangeError, type ErrorDetails, type RedisError } from "./errors.js";
import type { Host } from "./host.js";
import { serverError } from "./server-error.js";
import { Strings } from "./strings.js";
import { allocate, decode, isExact } from "./text.js";

/** How a reply becomes values. */
export const enum Mode {
  /** User data stays bytes. */
  BYTES = 1,
  /** An integer beyond 2^53-1 becomes a bigint instead of an error. */
  WIDE = 2,
}

/** Who takes what was read. */
export interface Replies {
  /** How the reply to the command in `slot` becomes values. */
  modeOf(slot: number): number;
  /** The name of the command in `slot`. */
  commandOf(slot: number): string;
  /** The reply to the command in `slot`; an error is an error of the server's, or one that only this reply suffers from. */
  reply(slot: number, value: unknown, failed: boolean): void;
  /** The server refused to queue the command at `index` of the transaction in `slot`. */
  refused(slot: number, index: number, error: RedisError): void;
}

/** What a pair of words means; numbers are those of `core/src/tape.rs`. */
const enum Tag {
  REPLY,
  BULK,
  SIMPLE,
  ERROR,
  INTEGER,
  WIDE,
  DOUBLE,
  BIG_NUMBER,
  ATOM,
  ARRAY,
  SET,
  MAP,
  END,
  OPEN,
  PART,
  REFUSED,
}

const STREAMED = 0xffff_ffff;

/** An aggregate that is not complete. */
interface Level {
  kind: Tag;
  /** Elements to come, a map's keys and values counted alike; below 0 when streamed. */
  left: number;
  items: unknown[];
  members: Set<unknown> | undefined;
  fields: Record<string, unknown> | undefined;
  key: string | undefined;
}

/** A text that arrives in parts. */
interface Large {
  tag: Tag;
  /** Its whole length, if known. */
  length: number;
  bytes: Uint8Array;
  filled: number;
  /** Whether every byte seen is ASCII; undefined when some were not looked at. */
  ascii: boolean | undefined;
  /** Whether its length is beyond what a value can be: its bytes are let go. */
  refused: boolean;
  /** Whether it becomes a string. */
  asText: boolean;
  /** Its value, where that was made in one go. */
  value: string | Uint8Array | undefined;
}

/** Large texts are read straight to their place while this much of them is to come. */
const DIRECT = 64 << 10;
/** No announced length reserves more. */
const RESERVED = 1 << 20;
/** What a string of V8 can hold. */
const LONGEST_STRING = 0x1fff_ffe8;
const LONGEST_BYTES = 0xffff_fffe;
/** Objects with more fields are built without a prototype first, which is quicker. */
const SMALL_MAP = 32;

const ATOMS = [null, true, false];

/** Turns tapes into values, across chunks: see `core/src/tape.rs` for the form. */
export class Reader {
  readonly #strings: Strings;
  readonly #replies: Replies;
  /** The reply being read; what only it suffers from. */
  #slot = -1;
  #mode = 0;
  #fault: Error | undefined;
  readonly #levels: Level[] = [];
  #depth = 0;
  #large: Large | undefined;
  /** A place for large texts that become strings, kept for the next one. */
  #spare: Uint8Array | undefined;

  constructor(replies: Replies, host: Host) {
    this.#replies = replies;
    this.#strings = new Strings(host.codec);
  }

  /** Reads `count` words at word address `at`; texts end before address `limit`. */
  read(host: Host, at: number, count: number, limit: number): void {
    const { words } = host;
    const strings = this.#strings;
    strings.start(limit);
    for (let end = at + count; at < end; at += 2) {
      const head = words[at]!;
      const payload = words[at + 1]!;
      switch (head & 15) {
        case Tag.REPLY:
          this.#begin(payload);
          continue;
        case Tag.BULK:
          if (this.#mode & Mode.BYTES && !this.#isKey()) this.#value(host.bytes.slice(payload, payload + (head >>> 5)));
          else this.#value(this.#text(host, payload, head >>> 5, (head & 16) !== 0));
          continue;
        case Tag.INTEGER:
          this.#value(payload | 0);
          continue;
        case Tag.ATOM:
          this.#value(ATOMS[payload]);
          continue;
        case Tag.SIMPLE:
          this.#value(strings.alone(payload, head >>> 5, (head & 16) !== 0));
          continue;
        case Tag.ERROR:
          this.#error(host.codec.utf8(payload, payload + (head >>> 5)));
          continue;
        case Tag.WIDE:
          at += 2;
          this.#wide(payload, words[at + 1]! | 0);
          continue;
        case Tag.DOUBLE:
          this.#value(double(host.codec.latin1(payload, payload + (head >>> 5))));
          continue;
        case Tag.BIG_NUMBER:
          this.#value(BigInt(host.codec.latin1(payload, payload + (head >>> 5))));
          continue;
        case Tag.OPEN:
          this.#open(head >>> 5, payload);
          continue;
        case Tag.PART:
          this.#part(host.bytes.subarray(payload, payload + (head >>> 5)), (head & 16) !== 0);
          continue;
        case Tag.END:
          if (this.#large === undefined) this.#close();
          else this.#endLarge(this.#large);
          continue;
        case Tag.REFUSED: {
          const slot = words[at + 3]!;
          const from = words[at + 5]!;
          this.#replies.refused(slot, payload, serverError(host.codec.utf8(from, from + (words[at + 4]! >>> 5))));
          at += 4;
          continue;
        }
        default:
          this.#aggregate(head & 15, payload);
      }
    }
  }

  #begin(slot: number): void {
    while (this.#depth > 0) this.#release();
    this.#large = undefined;
    this.#fault = undefined;
    this.#slot = slot;
    this.#mode = this.#replies.modeOf(slot);
  }

  /** Whether the next value names a field. */
  #isKey(): boolean {
    if (this.#depth === 0) return false;
    const level = this.#levels[this.#depth - 1]!;
    return level.kind === Tag.MAP && level.key === undefined;
  }

  #text(host: Host, start: number, length: number, ascii: boolean): string {
    if (this.#depth === 0) return this.#strings.alone(start, length, ascii);
    if (ascii) return this.#strings.grouped(start, length);
    const text = host.codec.utf8(start, start + length);
    const level = this.#levels[this.#depth - 1]!;
    // names that are not text would merge into one
    if ((level.kind === Tag.SET || this.#isKey()) && text.includes("\ufffd") && !isExact(host.bytes.subarray(start, start + length), text)) {
      this.#fault ??= new DecodeError("a field name or set member is not valid UTF-8, and would merge with others: read it with decodeResponses: false", this.#about());
    }
    return text;
  }

  #error(text: string): void {
    if (this.#depth > 0) this.#value(serverError(text));
    else this.#settle(serverError(text, this.#replies.commandOf(this.#slot)), true);
  }

  #about(): ErrorDetails {
    return { command: this.#replies.commandOf(this.#slot) };
  }

  #wide(low: number, high: number): void {
    const value = high * 0x1_0000_0000 + low;
    if (Number.isSafeInteger(value)) return this.#value(value);
    const exact = (BigInt(high) << 32n) | BigInt(low);
    if (!(this.#mode & Mode.WIDE)) this.#fault ??= new IntegerRangeError(exact, this.#about());
    this.#value(exact);
  }

  #aggregate(kind: Tag, length: number): void {
    const asArray = kind === Tag.SET && this.#mode & Mode.BYTES;
    const level = (this.#levels[this.#depth] ??= { kind, left: 0, items: [], members: undefined, fields: undefined, key: undefined });
    level.kind = asArray ? Tag.ARRAY : kind;
    level.left = length === STREAMED ? -1 : kind === Tag.MAP ? length * 2 : length;
    if (kind === Tag.MAP) level.fields = length > SMALL_MAP ? Object.create(null) : {};
    else if (level.kind === Tag.SET) level.members = new Set();
    else level.items = [];
    this.#depth++;
    if (level.left === 0) this.#close();
  }

  /** Gives the innermost aggregate's value and forgets it. */
  #release(): unknown {
    const level = this.#levels[--this.#depth]!;
    const { kind, items, members, fields } = level;
    level.items = [];
    level.members = level.fields = level.key = undefined;
    if (kind === Tag.SET) return members;
    if (kind !== Tag.MAP) return items;
    return Object.getPrototypeOf(fields) === null ? Object.setPrototypeOf(fields, Object.prototype) : fields;
  }

  #close(): void {
    this.#value(this.#release());
  }

  #value(value: unknown): void {
    while (this.#depth > 0) {
      const level = this.#levels[this.#depth - 1]!;
      if (level.kind === Tag.MAP) this.#field(level, value);
      else if (level.kind === Tag.SET) level.members!.add(value);
      else level.items.push(value);
      if (--level.left !== 0) return;
      value = this.#release();
    }
    this.#settle(value, false);
  }

  #field(level: Level, value: unknown): void {
    const { key } = level;
    if (key === undefined) {
      level.key = typeof value === "string" ? value : String(value);
      return;
    }
    level.key = undefined;
    if (key === "__proto__") Object.defineProperty(level.fields, key, { value, enumerable: true, writable: true, configurable: true });
    else level.fields![key] = value;
  }

  #settle(value: unknown, failed: boolean): void {
    const slot = this.#slot;
    this.#slot = -1;
    if (this.#fault !== undefined && !failed) {
      value = this.#fault;
      failed = true;
    }
    this.#replies.reply(slot, value, failed);
  }

  #open(tag: Tag, length: number): void {
    const asText = !(this.#mode & Mode.BYTES) || tag !== Tag.BULK || this.#isKey();
    const refused = length !== STREAMED && length > (asText ? LONGEST_STRING : LONGEST_BYTES);
    this.#large = { tag, length, bytes: NONE, filled: 0, ascii: true, refused, asText, value: undefined };
  }

  /** Takes what `bytes` has, from `at`, of the large text that is open; gives how many. */
  take(bytes: Uint8Array, at: number): number {
    const large = this.#large;
    if (large === undefined || large.length === STREAMED) return 0;
    const part = bytes.subarray(at, at + large.length - large.filled);
    if (large.refused) {
      large.filled += part.length;
    } else if (part.length === large.length) {
      large.value = large.asText ? decode(part, undefined) : part.slice();
      large.filled = part.length;
    } else if (part.length > 0) {
      this.#append(large, part, false);
      large.ascii = undefined;
    }
    return part.length;
  }

  /** Gives the place that the next bytes from the socket belong to, when they can only be those of a large text. */
  room(): Uint8Array | undefined {
    const large = this.#large;
    if (large === undefined || large.refused || large.length === STREAMED || large.length - large.filled < DIRECT) return undefined;
    if (large.filled === large.bytes.length) this.#grow(large, large.filled + 1);
    return large.bytes.subarray(large.filled, large.length);
  }

  /** Takes `count` bytes as read to {@link room}. */
  filled(count: number): void {
    const large = this.#large!;
    large.filled += count;
    large.ascii = undefined;
  }

  /** Lets go of what came in for the command in `slot`, which was given up, or for whatever is being read. */
  drop(slot = this.#slot): void {
    if (slot !== this.#slot) return;
    while (this.#depth > 0) this.#release();
    this.#large = undefined;
    this.#slot = -1;
  }

  #part(part: Uint8Array, ascii: boolean): void {
    const large = this.#large!;
    if (!large.refused) this.#append(large, part, ascii);
  }

  #append(large: Large, part: Uint8Array, ascii: boolean): void {
    const need = large.filled + part.length;
    if (need > large.bytes.length) this.#grow(large, need);
    large.bytes.set(part, large.filled);
    large.filled = need;
    if (!ascii && large.ascii) large.ascii = false;
  }

  /** Makes room for `need` bytes and some more, but for no more than are announced. */
  #grow(large: Large, need: number): void {
    const length = Math.max(need, Math.min(large.length, Math.max(large.bytes.length * 2, RESERVED)));
    const spare = large.asText && this.#spare !== undefined && this.#spare.length >= length;
    const grown = spare ? this.#spare! : allocate(length);
    if (spare) this.#spare = undefined;
    grown.set(large.bytes.subarray(0, large.filled));
    large.bytes = grown;
  }

  #endLarge(large: Large): void {
    this.#large = undefined;
    const { tag, bytes, filled, ascii, refused, asText } = large;
    if (refused || (asText && filled > LONGEST_STRING)) {
      this.#fault ??= new DecodeError("the reply is larger than a value of JavaScript can be: read it in parts, with GETRANGE for example", this.#about());
      return this.#value(null);
    }
    const value = large.value ?? (asText ? decode(bytes.subarray(0, filled), ascii) : bytes.length === filled ? bytes : bytes.slice(0, filled));
    if (asText && bytes.length === RESERVED) this.#spare = bytes;
    if (tag === Tag.ERROR) this.#error(value as string);
    else this.#value(value);
  }
}

const NONE = new Uint8Array(0);

/** Gives the number that Redis writes as `text`. */
const double = (text: string): number => {
  if (text.endsWith("inf")) return text.startsWith("-") ? -Infinity : Infinity;
  return Number(text);
};
