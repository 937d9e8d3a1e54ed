import type { Str } from "../replies.js";
import { Loss } from "./loss.js";
import type { Published, Told } from "./notices.js";

/** What waits: a message, a confirmation, or what is missing between two messages. */
export type Item = Published<Str> | Told | Loss;

/** Characters, or bytes, that may wait. */
export const LARGEST = 64 << 20;
/** Places at the start that were taken; with more, the rest moves up. So many are kept when all are taken, since more is to come. */
const TAKEN = 1024;

/** What was told and is not read yet, with what was lost in between. */
export class Inbox {
  readonly #limit: number;
  readonly #newest: boolean;
  readonly #dropped: (told: Told) => void;
  #items: (Item | undefined)[] = [];
  /** Where the first of those that wait is, and where the next will be. */
  #taken = 0;
  #end = 0;
  #size = 0;
  /** What was let go before everything that is here. */
  #lost: Loss | undefined;

  /** At most `limit` items wait: `dropped` takes what is let go, the oldest, or what comes when `newest`. */
  constructor(limit: number, newest: boolean, dropped: (told: Told) => void) {
    this.#limit = limit;
    this.#newest = newest;
    this.#dropped = dropped;
  }

  /** Whether another item would be one too many. */
  get isFull(): boolean {
    return this.#end - this.#taken >= this.#limit || this.#size >= LARGEST;
  }

  /** Takes an item, and lets go what is too much if `bounded`. */
  push(item: Item, bounded: boolean): void {
    if (bounded && this.#newest && this.isFull) {
      const last = this.#items[this.#end - 1];
      const lost = last instanceof Loss ? last : new Loss();
      if (lost !== last) this.#items[this.#end++] = lost;
      return this.#drop(lost, item);
    }
    while (bounded && this.isFull) this.#drop((this.#lost ??= new Loss()), this.#take());
    this.#items[this.#end++] = item;
    this.#size += sizeOf(item);
  }

  /** Gives what stands first, if anything. */
  shift(): Item | undefined {
    const lost = this.#lost;
    if (lost === undefined) return this.#taken < this.#end ? this.#take() : undefined;
    this.#lost = undefined;
    return lost;
  }

  #take(): Item {
    const item = this.#items[this.#taken]!;
    this.#items[this.#taken++] = undefined;
    if (this.#taken === this.#end) {
      this.#taken = this.#end = 0;
      if (this.#items.length > TAKEN) this.#items = [];
    } else if (this.#taken > TAKEN && this.#taken * 2 > this.#end) {
      this.#items.splice(0, this.#taken);
      this.#end -= this.#taken;
      this.#taken = 0;
    }
    this.#size -= sizeOf(item);
    return item;
  }

  #drop(lost: Loss, item: Item): void {
    if (item instanceof Loss) return lost.join(item);
    if ("type" in item) lost.add(item);
    else this.#dropped(item);
  }
}

const sizeOf = (item: Item): number => ("type" in item ? item.channel.length + (item.pattern?.length ?? 0) + item.data.length : 0);
