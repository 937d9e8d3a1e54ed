/** Takes the results of several commands as one. */
export interface Gatherer {
  /** Takes the result at `index`. */
  take(index: number, value: unknown, failed: boolean): void;
}

/** What waits for replies: one place per command, used again when it settled. */
export class Slots {
  /** Commands that wait. */
  waiting = 0;
  /** Of these, what goes on beside the caller's own work, which is no reason to stay up. */
  beside = 0;
  #free: number[] = [];
  #size = 0;
  /** Who takes the value: a promise's `resolve`, or a gatherer. */
  #takers: (((value: unknown) => void) | Gatherer | undefined)[] = [];
  /** A promise's `reject`, or the place in the gatherer. */
  #others: (((reason: unknown) => void) | number | undefined)[] = [];
  #commands: string[] = [];
  #modes: number[] = [];
  #cleanups = new Map<number, () => void>();

  /** Takes a place for `command`. */
  open(taker: ((value: unknown) => void) | Gatherer, other: ((reason: unknown) => void) | number, command: string, mode: number): number {
    const slot = this.#free.length > 0 ? this.#free.pop()! : this.#size++;
    this.#takers[slot] = taker;
    this.#others[slot] = other;
    this.#commands[slot] = command;
    this.#modes[slot] = mode;
    this.waiting++;
    return slot;
  }

  /** Calls `cleanup` when the command in `slot` settles. */
  onSettled(slot: number, cleanup: () => void): void {
    const before = this.#cleanups.get(slot);
    this.#cleanups.set(slot, before === undefined ? cleanup : () => (before(), cleanup()));
  }

  /** Has the command in `slot` go on beside all others. */
  putBeside(slot: number): void {
    this.beside++;
    this.onSettled(slot, () => this.beside--);
  }

  /** Gives how the reply to the command in `slot` becomes values. */
  modeOf(slot: number): number {
    return this.#modes[slot]!;
  }

  /** Gives the name of the command in `slot`. */
  commandOf(slot: number): string {
    return this.#commands[slot]!;
  }

  /** Gives the slots that wait. */
  *all(): Iterable<number> {
    for (let slot = 0; slot < this.#size; slot++) if (this.#takers[slot] !== undefined) yield slot;
  }

  /** Settles a command that was given up. Its place stays taken for what is yet to be said of it, which `taker` takes. */
  giveUp(slot: number, reason: unknown, taker: (value: unknown) => void): void {
    if (!this.settle(slot, reason, true)) return;
    this.#takers[slot] = this.#others[slot] = taker;
    this.waiting++;
  }

  /** Makes the place of a settled command free. */
  free(slot: number): void {
    this.#free.push(slot);
  }

  /** Settles a command that waits, and gives whether it did; its place stays taken until it is made free. */
  settle(slot: number, value: unknown, failed: boolean): boolean {
    const taker = this.#takers[slot];
    if (taker === undefined) return false;
    const other = this.#others[slot];
    // whatever is kept here is kept alive
    this.#takers[slot] = this.#others[slot] = undefined;
    this.waiting--;
    if (this.#cleanups.size > 0) {
      this.#cleanups.get(slot)?.();
      this.#cleanups.delete(slot);
    }
    if (typeof taker !== "function") taker.take(other as number, value, failed);
    else if (failed) (other as (reason: unknown) => void)(value);
    else taker(value);
    return true;
  }
}
