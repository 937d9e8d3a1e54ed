import type { Str } from "../replies.js";
import type { Gap, Published } from "./notices.js";

/** What was not delivered between two messages, as a whole. */
export class Loss {
  #from = Infinity;
  #to = 0;
  #dropped = 0;
  readonly #channels = new Map<string, Str>();
  readonly #patterns = new Map<string, Str>();

  /** Gives what is lost with a connection, as the core tells it. Times are those of the core's clock. */
  static ofGap(from: number, to: number, [channels, patterns, shards]: readonly [Str[], Str[], Str[]]): Loss {
    const loss = new Loss();
    const { timeOrigin } = performance;
    loss.#span(Math.floor(timeOrigin + from), Math.ceil(timeOrigin + to + 1));
    for (const name of [...channels, ...shards]) loss.#channels.set(String(name), name);
    for (const name of patterns) loss.#patterns.set(String(name), name);
    return loss;
  }

  /** Adds a message that is let go. */
  add({ channel, pattern }: Published<Str>): void {
    const now = Date.now();
    this.#span(now, now);
    this.#dropped++;
    if (pattern === null) this.#channels.set(String(channel), channel);
    else this.#patterns.set(String(pattern), pattern);
  }

  /** Adds what was lost before or after. */
  join(other: Loss): void {
    this.#span(other.#from, other.#to);
    this.#dropped += other.#dropped;
    for (const [key, name] of other.#channels) this.#channels.set(key, name);
    for (const [key, name] of other.#patterns) this.#patterns.set(key, name);
  }

  #span(from: number, to: number): void {
    this.#from = Math.min(this.#from, from);
    this.#to = Math.max(this.#to, to);
  }

  get gap(): Gap<Str> {
    return { channels: [...this.#channels.values()], patterns: [...this.#patterns.values()], from: this.#from, to: this.#to, dropped: this.#dropped };
  }
}
