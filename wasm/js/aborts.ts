import { unexpected } from "./outbox.js";

/** @throws TypeError when `signal`, an option of `method`, is none. @internal */
export const checkSignal = (method: string, signal: unknown): void => {
  // any realm's
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.addEventListener !== "function") throw unexpected(`${method}: option 'signal'`, "an AbortSignal", signal);
};

/** Settles as `promise` does, or rejects with the reason of `signal` as soon as that aborts. @internal */
export const unlessAborted = <T>(promise: T | PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> =>
  new Promise((resolve, reject) => {
    const abort = (): void => reject(signal!.reason);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
    const end = (): void => signal?.removeEventListener("abort", abort);
    Promise.resolve(promise).finally(end).then(resolve, reject);
  });

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
