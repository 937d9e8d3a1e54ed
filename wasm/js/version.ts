/** Commands that belong together, asked for while the server was not known. */
export interface Trial {
  /** Where those wait that do. */
  readonly slots: Set<number>;
  /** Gives why none may be sent to a server of the version `limit`, if so. */
  readonly refusalOf: (limit: string | undefined) => unknown;
  /** Why none was sent. */
  error?: unknown;
}

/** What the server is, as far as that is known: it decides about commands that not every server has. */
export class Version {
  /** Whether it decides. */
  readonly #decides: boolean;
  /** What the server says that it is, where it does. */
  said: string | undefined;
  /** The version of Redis that it is, once it is connected; null where it does not tell, or is a fork: their numbers say nothing of what Redis has. */
  redis: string | null | undefined;
  /** What waits for that. */
  readonly #trials = new Set<Trial>();

  constructor(decides: boolean) {
    this.#decides = decides;
  }

  /** The version that commands must not be newer than, if it is known. */
  get limit(): string | undefined {
    return (this.#decides && this.redis) || undefined;
  }

  /** Whether it decides but is not known: commands with needs are to be tried. */
  get isAwaited(): boolean {
    return this.#decides && this.redis === undefined;
  }

  /** Takes what the server said when a connection got ready; gives what must not be sent to it. */
  greet(said: string, isFork: boolean): Trial[] {
    this.said = said || undefined;
    this.redis = (!isFork && said) || null;
    const trials = [...this.#trials];
    this.#trials.clear();
    for (const trial of trials) trial.error = trial.refusalOf(this.limit);
    return trials.filter(({ error }) => error !== undefined);
  }

  /** Keeps `trial` until the server is known. */
  add(trial: Trial): void {
    this.#trials.add(trial);
  }

  /** The command in `slot` waits no more. */
  drop(trial: Trial, slot: number): void {
    trial.slots.delete(slot);
    if (trial.slots.size === 0) this.#trials.delete(trial);
  }
}
