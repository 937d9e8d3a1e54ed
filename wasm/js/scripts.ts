import type { Host } from "./host.js";

/** The texts of so many scripts are kept, and as many are known in a pipeline: servers forget those that EVAL told them beyond 500. */
export const SCRIPTS = 256;

/** The scripts that a core knows. */
export class Scripts {
  /** By their texts, the one that was called last at the end: their digests, and their places in the core. */
  readonly #known = new Map<string, { digest: string; place: number }>();

  /** Whether another one takes the place of the one that was not called for longest. */
  get isFull(): boolean {
    return this.#known.size === SCRIPTS;
  }

  /** Gives the digest of the script `lua` where it is known. */
  digestOf(lua: string): string | undefined {
    const script = this.#known.get(lua);
    if (script === undefined) return undefined;
    this.#known.delete(lua);
    this.#known.set(lua, script);
    return script.digest;
  }

  /** Has `host` know the script `lua`, and gives its digest. */
  add(host: Host, lua: string): string {
    let place = this.#known.size;
    if (this.isFull) {
      const [oldest, { place: free }] = this.#known.entries().next().value!;
      this.#known.delete(oldest);
      place = free;
    }
    const [length] = host.giveTexts([lua]);
    const address = host.exports.host_script(length!, place);
    const digest = String.fromCharCode(...host.bytes.subarray(address, address + 40));
    this.#known.set(lua, { digest, place });
    return digest;
  }

  /** A fresh core knows none. */
  clear(): void {
    this.#known.clear();
  }
}
