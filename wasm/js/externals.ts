import { letGo, type Large } from "./pieces.js";

/** Large arguments of a command, or of a transaction. */
interface Held {
  args: Large[];
  unwritten: number;
  settled: boolean;
  /** The lane of the link that they are written on, as far as that is known. */
  lane: number;
}

/** Large arguments until their command settles, and, once it is half written, until they are written too. */
export class Externals {
  readonly #held = new Map<number, Held>();
  readonly #free: (slot: number) => void;

  /** `free` takes the slot of a settled command whose arguments are let go. */
  constructor(free: (slot: number) => void) {
    this.#free = free;
  }

  /** Keeps arguments of the command in `slot`, which is sent on `lane`. */
  hold(slot: number, args: Large[], lane: number): void {
    const held = this.#held.get(slot) ?? { args: [], unwritten: 0, settled: false, lane };
    held.args.push(...args);
    held.unwritten += args.length;
    this.#held.set(slot, held);
  }

  /** Gives the argument that is written next. */
  next(lane: number, slot: number, index: number): Large {
    const held = this.#held.get(slot)!;
    // from the first on again: the script is sent instead of its digest
    if (index === 0) held.unwritten = held.args.length;
    held.lane = lane;
    held.unwritten--;
    if (held.settled && held.unwritten === 0) this.release(slot);
    return held.args[index]!;
  }

  /** Gives the lane of the command in `slot`, where it has large arguments. */
  laneOf(slot: number): number | undefined {
    return this.#held.size === 0 ? undefined : this.#held.get(slot)?.lane;
  }

  /** The command in `slot` settled: lets its arguments go, at once or when they are written. */
  settle(slot: number): void {
    const held = this.#held.get(slot)!;
    held.settled = true;
    if (held.unwritten === 0) this.release(slot);
  }

  /** Lets go of the arguments of the command in `slot`, which the core has forgotten. */
  release(slot: number): void {
    for (const large of this.#held.get(slot)!.args) large.forEach(letGo);
    this.#held.delete(slot);
    this.#free(slot);
  }

  /** The link of `lane` is over: what did not settle is written from its start. */
  rewind(lane: number): void {
    for (const [slot, held] of this.#held) {
      if (held.lane !== lane) continue;
      if (held.settled) this.release(slot);
      else held.unwritten = held.args.length;
    }
  }

  /** Lets go of everything. */
  clear(): void {
    for (const slot of this.#held.keys()) this.release(slot);
  }
}
