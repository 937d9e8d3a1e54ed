import type { Codec } from "./text.js";

/** A group's bytes become one string that its members are cut from. */
const GROUP = 2048;
/** Longer texts are made on their own. */
const LONG = 1024;
/** V8 copies shorter pieces instead of keeping the string that they were cut from. */
const COPIED = 12;

/** Makes strings of texts in memory; sharing the work among short neighbours. */
export class Strings {
  readonly #codec: Codec;
  #group = "";
  #start = 0;
  #end = 0;
  #limit = 0;

  constructor(codec: Codec) {
    this.#codec = codec;
  }

  /** Begins with fresh memory, whose texts end before `limit`. */
  start(limit: number): void {
    this.#group = "";
    this.#start = this.#end = 0;
    this.#limit = limit;
  }

  /** Gives a text of ASCII that belongs to an aggregate, and may keep its neighbours alive. */
  grouped(start: number, length: number): string {
    const end = start + length;
    if (length >= LONG || end > this.#limit) return this.#codec.latin1(start, end);
    if (start < this.#start || end > this.#end) this.#read(start);
    return this.#group.substring(start - this.#start, end - this.#start);
  }

  /** Gives a text that stands for itself, and keeps nothing else alive. */
  alone(start: number, length: number, ascii: boolean): string {
    const end = start + length;
    if (!ascii) return this.#codec.utf8(start, end);
    if (length > 2 * COPIED) return this.#codec.latin1(start, end);
    if (start < this.#start || end > this.#end) {
      if (this.#limit - end < 4 * COPIED) return this.#codec.latin1(start, end);
      this.#read(start);
    }
    const from = start - this.#start;
    const to = end - this.#start;
    if (length <= COPIED) return this.#group.substring(from, to);
    return this.#group.substring(from, from + COPIED) + this.#group.substring(from + COPIED, to);
  }

  #read(start: number): void {
    this.#start = start;
    this.#end = Math.min(start + GROUP, Math.max(this.#limit, start));
    this.#group = this.#codec.latin1(start, this.#end);
  }
}
