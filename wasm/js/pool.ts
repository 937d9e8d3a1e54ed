import { Engine } from "./engine.js";
import { connectNode } from "./node.js";
import { resolveOptions, settingsOf, type Options } from "./options.js";
import { unexpected } from "./outbox.js";
import type { Status } from "./status.js";
import { closeLimit } from "./timer.js";
import type { DecodingOptions } from "./view.js";

/** Gives the engine of a pool. @internal */
export let engineOf: (pool: unknown) => Engine;

/** Connections to one server that several clients use: `new Redis({ pool })`. It connects on first use. */
export class Pool {
  readonly #engine: Engine;

  static {
    engineOf = (pool) => {
      if (!(pool instanceof Pool)) throw unexpected("options: 'pool'", "a Pool", pool);
      return pool.#engine;
    };
  }

  constructor(url?: string | URL | PoolOptions, options?: PoolOptions) {
    const resolved = resolveOptions(url, options);
    if (resolved.pool !== undefined) throw new TypeError("options: a Pool takes no 'pool'");
    this.#engine = new Engine(settingsOf(resolved, connectNode));
  }

  /** Where the connection stands that all clients share. */
  get status(): Status {
    return this.#engine.status;
  }

  /** Calls `listener` at each change of status, with what led to it, until the function given back is called. */
  onStateChange(listener: (status: Status, cause?: unknown) => void): () => void {
    return this.#engine.onStateChange(listener);
  }

  /** Waits for what is in flight, at most `timeout` ms (default: no limit), then closes all connections; what blocks, or waits for a lock, rejects at once. */
  async close(options?: { timeout?: number }): Promise<void> {
    return this.#engine.close(closeLimit(options));
  }

  /** Closes all connections at once; what is in flight rejects. */
  destroy(): void {
    this.#engine.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What a {@link Pool} is told: how its clients decode is their own business. */
export type PoolOptions = Omit<Options, "pool" | keyof DecodingOptions>;
