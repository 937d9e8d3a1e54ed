/** Lets one in at a time, in the order in which they come; everybody at once from its end on. */
export class Turns {
  #taken = false;
  #over = false;
  readonly #waiting = new Set<() => void>();

  /** Whether whoever comes now has to wait. */
  get isTaken(): boolean {
    return this.#taken;
  }

  /** Whether what they take turns on is no more. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Resolves when it is the caller's turn, until {@link give}; rejects with the reason when `signal` aborts before. */
  async take(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#taken) {
      this.#taken = !this.#over;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiting.delete(enter);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.add(enter);
    });
  }

  /** Ends the caller's turn. */
  give(): void {
    const [next] = this.#waiting;
    this.#taken = next !== undefined;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next();
  }

  /** Says that what they take turns on is no more: those who wait shall find out. */
  end(): void {
    this.#over = true;
    this.#taken = false;
    for (const enter of this.#waiting) enter();
    this.#waiting.clear();
  }
}
