import type { Channel } from "./channel.js";
import { Flag } from "./outbox.js";

/** What the server is, as far as that is known: it decides about commands that not every server has. */
export class Version {
  /** Whether it decides. */
  readonly #decides: boolean;
  /** What the server says that it is, where it does. */
  said: string | undefined;
  /**
   * The version of Redis that it is, once it is connected; empty where the server did not say in its greeting, null where it does not tell
   * at all, or is a fork: their numbers say nothing of what Redis has.
   */
  redis: string | null | undefined;
  /** Resolves when the version is known or cannot be: what comes later waits behind what waits for it. */
  gate: Promise<void> | undefined;

  constructor(decides: boolean) {
    this.#decides = decides;
  }

  /** The version that commands must not be newer than, if it is known. */
  get limit(): string | undefined {
    return (this.#decides && this.redis) || undefined;
  }

  /** Takes what the server said in its greeting. */
  greet(said: string, isFork: boolean): void {
    this.said = said;
    this.redis = isFork ? null : said;
  }

  /** Tells whether it decides but is not known; {@link gate} then tells when it is. What has to be asked goes through `channel`. */
  isAwaited(channel: Channel): boolean {
    if (!this.#decides || this.redis || this.redis === null) return false;
    const open = (): void => (this.gate = undefined);
    this.gate ??= this.#learn(channel).then(open, open);
    return true;
  }

  async #learn(channel: Channel): Promise<void> {
    await channel.engine.connect();
    if (this.redis !== "") return;
    // not everyone may use INFO
    const info = await channel.send(Flag.NAMED, undefined, "INFO", ["INFO", "server"], 0).catch(() => undefined);
    const { valkey_version, redis_version } = Object(info) as Readonly<Record<string, string | undefined>>;
    if (this.redis !== "") return;
    this.said = valkey_version ?? redis_version;
    this.redis = (valkey_version === undefined && redis_version) || null;
  }
}
