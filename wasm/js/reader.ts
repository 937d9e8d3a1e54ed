import { DecodeError, IntegerRangeError, type ErrorDetails, type RedisError } from "./errors.js";
import type { Host } from "./host.js";
import { Notice } from "./pubsub/notices.js";
import { serverError } from "./server-error.js";
import { Strings } from "./strings.js";
import { allocate, decode, exactly, isExact, latin1 } from "./text.js";

/** How a reply becomes values. */
export const enum Mode {
  /** User data stays bytes. */
  BYTES = 1,
  /** An integer beyond 2^53-1 becomes a bigint instead of an error. */
  WIDE = 2,
  /** Every integer becomes a bigint. */
  BIGINT = 4,
  /** Maps become a `Map`. */
  MAPS = 8,
  /** Maps become pairs. */
  ENTRIES = 16,
  /** Sets become arrays. */
  ARRAYS = 32,
  /** User data is text of one byte per character. */
  LATIN1 = 64,
  /** Only the first half of them is text. */
  ASCII = 128,
  /** What an element of the reply suffers from stands in its place, as with EXEC. */
  EACH = 256,
}

/** Who takes what was read. */
export interface Replies {
  /** How the reply to the command in `slot` becomes values. */
  modeOf(slot: number): number;
  /** The name of the command in `slot`. */
  commandOf(slot: number): string;
  /** Whether an integer of the reply at `index` of the transaction in `slot` may be of any size. */
  isWide(slot: number, index: number): boolean;
  /** The reply to the command in `slot`; an error is an error of the server's, or one that only this reply suffers from. */
  reply(slot: number, value: unknown, failed: boolean): void;
  /** What was sent unasked, of two texts. */
  tell(notice: number, first: unknown, second: unknown): void;
  /** The server refused to queue the command at `index` of the transaction in `slot`, or, at 2^32-1, to begin it. */
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
  NAME,
  BLOB,
  STRUCT,
  EXACT,
  /** A map whose keys and values are gathered one after the other; never on a tape. */
  PAIRS,
}

const STREAMED = 0xffff_ffff;
/** The slot of what is sent unasked; that of `wasm/src/host.rs`. */
export const LISTENER = 0xffff_fffe;
/** Modes in which user data is no UTF-8. */
export const ENCODED = Mode.LATIN1 | Mode.ASCII;

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
  /** The reply being read. */
  #slot = -1;
  #mode = 0;
  /** What only it suffers from; what each of its elements does, where that is told apart. */
  #faults: Map<number, RedisError> | undefined;
  readonly #levels: Level[] = [];
  #depth = 0;
  #large: Large | undefined;
  /** A place for large texts that become strings, kept for the next one. */
  #spare: Uint8Array | undefined;

  /** Names of fields by their addresses. */
  readonly #names = new Map<number, string>();

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
      switch (head & 31) {
        case Tag.REPLY:
          this.#begin(payload);
          if (payload === LISTENER) at += this.#tell(host, words, at + 2, end);
          continue;
        case Tag.BULK:
          if (this.#mode & Mode.BYTES && !this.#isKey()) this.#value(host.bytes.slice(payload, payload + (head >>> 6)));
          else this.#value(this.#text(host, payload, head >>> 6, (head & 32) !== 0));
          continue;
        case Tag.INTEGER:
          this.#value(this.#mode & Mode.BIGINT ? BigInt(payload | 0) : payload | 0);
          continue;
        case Tag.ATOM:
          this.#value(ATOMS[payload]);
          continue;
        case Tag.SIMPLE:
          if (head & 32 && this.#depth > 0) this.#value(strings.grouped(payload, head >>> 6));
          else this.#value(strings.alone(payload, head >>> 6, (head & 32) !== 0));
          continue;
        case Tag.NAME:
          this.#value(this.#names.get(payload) ?? this.#name(host, payload, head >>> 6));
          continue;
        case Tag.BLOB:
          this.#value(host.bytes.slice(payload, payload + (head >>> 6)));
          continue;
        case Tag.EXACT:
          at += 2;
          this.#value(exact(payload, words[at + 1]! | 0));
          continue;
        case Tag.ERROR:
          this.#error(host.codec.utf8(payload, payload + (head >>> 6)));
          continue;
        case Tag.WIDE:
          at += 2;
          this.#wide(payload, words[at + 1]! | 0);
          continue;
        case Tag.DOUBLE:
          this.#value(double(host.codec.latin1(payload, payload + (head >>> 6))));
          continue;
        case Tag.BIG_NUMBER:
          this.#value(BigInt(host.codec.latin1(payload, payload + (head >>> 6))));
          continue;
        case Tag.OPEN:
          this.#open(head >>> 6, payload);
          continue;
        case Tag.PART:
          this.#part(host.bytes.subarray(payload, payload + (head >>> 6)), (head & 32) !== 0);
          continue;
        case Tag.END:
          if (this.#large === undefined) this.#close();
          else this.#endLarge(this.#large);
          continue;
        case Tag.REFUSED: {
          const slot = words[at + 3]!;
          const from = words[at + 5]!;
          this.#replies.refused(slot, payload, serverError(host.codec.utf8(from, from + (words[at + 4]! >>> 6))));
          at += 4;
          continue;
        }
        default:
          this.#aggregate(head & 31, payload);
      }
    }
  }

  /** Reads the name of a field, which always is where it is. */
  #name(host: Host, at: number, length: number): string {
    const name = host.codec.latin1(at, at + length);
    this.#names.set(at, name);
    return name;
  }

  #begin(slot: number): void {
    while (this.#depth > 0) this.#release();
    this.#large = undefined;
    this.#faults = undefined;
    this.#slot = slot;
    this.#mode = this.#replies.modeOf(slot);
  }

  /** Hands on a text, or an array of a small number and two texts, as messages are, where that is what stands `at`; gives its words. */
  #tell(host: Host, words: Uint32Array, at: number, end: number): number {
    const head = words[at]!;
    if ((head & 31) === Tag.BULK && at < end) {
      this.#slot = -1;
      let next = at;
      do {
        this.#replies.tell(Notice.AGAIN, this.#data(host, words[next]!, words[next + 1]!), undefined);
        next += 4;
        // as long as more of the kind come
      } while (next < end && words[next - 2] === Tag.REPLY && words[next - 1] === LISTENER && (words[next]! & 31) === Tag.BULK);
      return next - 2 - at;
    }
    const first = words[at + 4]!;
    const second = words[at + 6]!;
    // the first pair is that of the array, the second that of the number
    if (at + 8 > end || words[at + 1]! !== 3 || (first & 31) !== Tag.BULK || (second & 31) !== Tag.BULK) return 0;
    this.#slot = -1;
    this.#replies.tell(words[at + 3]!, this.#data(host, first, words[at + 5]!), this.#data(host, second, words[at + 7]!));
    return 8;
  }

  #data(host: Host, head: number, start: number): string | Uint8Array {
    const length = head >>> 6;
    const ascii = (head & 32) !== 0;
    if (this.#mode & Mode.BYTES) return host.bytes.slice(start, start + length);
    return ascii ? this.#strings.grouped(start, length) : this.#told(host, start, start + length);
  }

  /** Gives a text that was sent unasked and is no ASCII; its bytes where the text would lose some, since a name may be meant. */
  #told(host: Host, start: number, end: number): string | Uint8Array {
    const text = this.#mode & ENCODED ? this.#encoded(host.codec.latin1(start, end)) : host.codec.utf8(start, end);
    return exactly(host.bytes.subarray(start, end), text);
  }

  /** Whether the next value names a field. */
  #isKey(): boolean {
    if (this.#depth === 0) return false;
    const level = this.#levels[this.#depth - 1]!;
    return level.kind === Tag.MAP && level.key === undefined;
  }

  #text(host: Host, start: number, length: number, ascii: boolean): string | Uint8Array {
    if (!ascii && this.#slot === LISTENER) return this.#told(host, start, start + length);
    if (!ascii && this.#mode & ENCODED) return this.#encoded(host.codec.latin1(start, start + length));
    if (this.#depth === 0) return this.#strings.alone(start, length, ascii);
    if (ascii) return this.#strings.grouped(start, length);
    const text = host.codec.utf8(start, start + length);
    if (this.#isDistinct() && text.includes("\ufffd") && !isExact(host.bytes.subarray(start, start + length), text)) this.#merged("UTF-8");
    return text;
  }

  /** Gives the text whose bytes are the characters of `text`, which is no ASCII. */
  #encoded(text: string): string {
    if (!(this.#mode & Mode.LATIN1) && this.#isDistinct()) this.#merged("ASCII");
    return inEncoding(text, this.#mode);
  }

  /** Whether the next value is a name or a member, of which no two may become the same. */
  #isDistinct(): boolean {
    if (this.#depth === 0) return false;
    const { kind, items } = this.#levels[this.#depth - 1]!;
    return kind === Tag.SET || (kind === Tag.PAIRS && items.length % 2 === 0) || this.#isKey();
  }

  #merged(encoding: string): void {
    this.#fault(new DecodeError(`a field name or set member is not valid ${encoding}, and would merge with others: read it with decodeResponses: false and, for names, maps: "map"`, this.#about()));
  }

  #error(text: string): void {
    if (this.#depth > 0) this.#value(serverError(text));
    else this.#settle(serverError(text, this.#replies.commandOf(this.#slot)), true);
  }

  /** Notes what the reply, or the element that is being read, suffers from. */
  #fault(error: RedisError): void {
    const at = this.#mode & Mode.EACH && this.#depth > 0 ? this.#levels[0]!.items.length : 0;
    this.#faults ??= new Map();
    if (!this.#faults.has(at)) this.#faults.set(at, error);
  }

  #about(): ErrorDetails {
    return this.#mode & Mode.EACH ? {} : { command: this.#replies.commandOf(this.#slot) };
  }

  #wide(low: number, high: number): void {
    const value = high * 0x1_0000_0000 + low;
    if (Number.isSafeInteger(value) && !(this.#mode & Mode.BIGINT)) return this.#value(value);
    const whole = exact(low, high);
    if (!(this.#mode & (Mode.WIDE | Mode.BIGINT)) && !(this.#depth > 0 && this.#replies.isWide(this.#slot, this.#levels[0]!.items.length))) this.#fault(new IntegerRangeError(whole, this.#about()));
    this.#value(whole);
  }

  #aggregate(tag: Tag, length: number): void {
    const mode = this.#mode;
    let kind = tag;
    if (tag === Tag.STRUCT) kind = Tag.MAP;
    else if (tag === Tag.MAP && mode & (Mode.MAPS | Mode.ENTRIES)) kind = Tag.PAIRS;
    else if (tag === Tag.SET && mode & (Mode.BYTES | Mode.ARRAYS)) kind = Tag.ARRAY;
    const level = (this.#levels[this.#depth] ??= { kind, left: 0, items: [], members: undefined, fields: undefined, key: undefined });
    level.kind = kind;
    level.left = length === STREAMED ? -1 : kind === Tag.MAP || kind === Tag.PAIRS ? length * 2 : length;
    if (kind === Tag.MAP) level.fields = length > SMALL_MAP ? Object.create(null) : {};
    else if (kind === Tag.SET) level.members = new Set();
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
    if (kind === Tag.PAIRS) return this.#pairs(items);
    if (kind !== Tag.MAP) return items;
    return Object.getPrototypeOf(fields) === null ? Object.setPrototypeOf(fields, Object.prototype) : fields;
  }

  #pairs(items: unknown[]): unknown {
    const pairs: [unknown, unknown][] = [];
    for (let at = 0; at + 1 < items.length; at += 2) pairs.push([items[at], items[at + 1]]);
    return this.#mode & Mode.MAPS ? new Map(pairs) : pairs;
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
    if (this.#faults !== undefined && !failed) {
      failed = !(this.#mode & Mode.EACH && Array.isArray(value));
      if (failed) value = this.#faults.get(0);
      else for (const [at, error] of this.#faults) (value as unknown[])[at] = error;
    }
    this.#replies.reply(slot, value, failed);
  }

  #open(tag: Tag, length: number): void {
    const asText = tag === Tag.BULK ? !(this.#mode & Mode.BYTES) || this.#isKey() : tag !== Tag.BLOB;
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
      large.ascii = undefined;
      large.value = large.asText ? this.#decode(large, part) : new Uint8Array(part);
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

  #decode({ tag, ascii }: Large, bytes: Uint8Array): string | Uint8Array {
    if (tag !== Tag.BULK) return decode(bytes, ascii);
    if (this.#slot === LISTENER) return exactly(bytes, textOf(bytes, this.#mode));
    if (this.#mode & ENCODED) {
      const text = latin1(bytes);
      return ascii || !/[\x80-\xff]/.test(text) ? text : this.#encoded(text);
    }
    return decode(bytes, ascii);
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
    const { tag, bytes, filled, refused, asText } = large;
    if (refused || (asText && filled > LONGEST_STRING)) {
      this.#fault(new DecodeError("the reply is larger than a value of JavaScript can be: read it in parts, with GETRANGE for example", this.#about()));
      return this.#value(null);
    }
    const value = large.value ?? (asText ? this.#decode(large, bytes.subarray(0, filled)) : bytes.length === filled ? bytes : bytes.slice(0, filled));
    if (asText && bytes.length === RESERVED) this.#spare = bytes;
    if (tag === Tag.ERROR) this.#error(value as string);
    else this.#value(value);
  }
}

const NONE = new Uint8Array(0);

/** Gives the text whose bytes are the characters of `text`. */
const inEncoding = (text: string, mode: number): string => (mode & Mode.LATIN1 ? text : text.replace(/[\x80-\xff]/g, "\ufffd"));

/** Gives user data as text. */
export const textOf = (bytes: Uint8Array, mode: number): string => (mode & ENCODED ? inEncoding(latin1(bytes), mode) : decode(bytes, undefined));

const exact = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);

/** Gives the number that Redis writes as `text`. */
const double = (text: string): number => Number(text.replace("inf", "Infinity"));
