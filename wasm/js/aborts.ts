/** What signals give up: one listener on each signal, however many commands it is for. */
export class Aborts {
  readonly #waiting = new Map<AbortSignal, Set<number>>();
  readonly #cancel: (slots: Iterable<number>, reason: unknown) => void;

  constructor(cancel: (slots: Iterable<number>, reason: unknown) => void) {
    this.#cancel = cancel;
  }

  /** Cancels the command in `slot` when `signal` aborts, until the function given back is called. */
  watch(signal: AbortSignal, slot: number): () => void {
    const slots = this.#waiting.get(signal) ?? this.#listen(signal);
    slots.add(slot);
    return () => {
      slots.delete(slot);
      if (slots.size === 0 && this.#waiting.get(signal) === slots) this.#forget(signal);
    };
  }

  readonly #abort = ({ target }: Event): void => {
    const signal = target as AbortSignal;
    const slots = this.#waiting.get(signal)!;
    this.#forget(signal);
    this.#cancel(slots, signal.reason);
  };

  #listen(signal: AbortSignal): Set<number> {
    const slots = new Set<number>();
    this.#waiting.set(signal, slots);
    signal.addEventListener("abort", this.#abort);
    return slots;
  }

  #forget(signal: AbortSignal): void {
    this.#waiting.delete(signal);
    signal.removeEventListener("abort", this.#abort);
  }
}
