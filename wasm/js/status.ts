/** Where a client stands. */
export type Status = "idle" | "connecting" | "ready" | "reconnecting" | "closing" | "closed";

/** Is told each change of status, and what led to it. @internal */
export type StateListener = (status: Status, cause?: unknown) => unknown;

/** Where something stands, and who is told; `closed` is the last that there is. @internal */
export class States {
  status: Status = "idle";
  readonly #listeners = new Set<StateListener>();
  /** What is being told, and is to be. */
  readonly #changes: [status: Status, cause: unknown][] = [];

  /** Tells every change of status, in order, until the function given back is called. */
  listen(listener: StateListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  become(status: Status, cause?: unknown): void {
    if (this.status === status || this.status === "closed") return;
    if (this.status === "closing" && status !== "closed") return;
    this.status = status;
    // whoever hears one first may lead to the next
    if (this.#changes.push([status, cause]) > 1) return;
    for (const [status, cause] of this.#changes) {
      for (const listener of [...this.#listeners]) {
        // a listener's own fault, now or later, must not become ours
        if (this.#listeners.has(listener)) (async () => listener(status, cause))().catch(() => {});
      }
      if (status === "closed") this.#listeners.clear();
    }
    this.#changes.length = 0;
  }
}
