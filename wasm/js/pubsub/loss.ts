import type { RedisError } from "../errors.js";
import type { Str } from "../replies.js";
import { keyOf, shown } from "./names.js";
import { Notice, type Gap, type Names, type Published, type Told } from "./notices.js";

/** What was not delivered between two messages, as a whole. */
export class Loss {
  #from = Infinity;
  #to = 0;
  #dropped = 0;
  #error: RedisError | undefined;
  /** What has ended with it, as if the server had confirmed that. */
  readonly ended: Told[] = [];
  /** Names by what stands for them. */
  readonly channels = new Map<string, Str>();
  readonly patterns = new Map<string, Str>();

  /** Gives what is lost with a connection, as the core tells it: until a time, those being of the core's clock, or for ever because of an error. */
  static ofGap(from: number, to: number | RedisError, names: Names): Loss {
    const loss = new Loss();
    const [channels, patterns, shards] = names;
    // both clocks count whole milliseconds
    const origin = Date.now() - performance.now();
    let until = Infinity;
    if (typeof to === "number") until = Math.ceil(origin + to + 2);
    else {
      loss.#error = to;
      names.forEach((own, kind) => own.forEach((name) => loss.ended.push([Notice.UNSUBSCRIBE + kind, name])));
    }
    loss.#span(Math.floor(origin + from), until);
    for (const name of [...channels, ...shards]) loss.channels.set(keyOf(name), name);
    for (const name of patterns) loss.patterns.set(keyOf(name), name);
    return loss;
  }

  /** Adds a message that is let go. */
  add({ channel, pattern }: Published<Str>): void {
    const now = Date.now();
    this.#span(now, now);
    this.#dropped++;
    if (pattern === null) this.channels.set(keyOf(channel), channel);
    else this.patterns.set(keyOf(pattern), pattern);
  }

  /** Adds what was lost before or after. */
  join(other: Loss): void {
    this.#span(other.#from, other.#to);
    this.#dropped += other.#dropped;
    this.#error ??= other.#error;
    this.ended.push(...other.ended);
    for (const [key, name] of other.channels) this.channels.set(key, name);
    for (const [key, name] of other.patterns) this.patterns.set(key, name);
  }

  #span(from: number, to: number): void {
    this.#from = Math.min(this.#from, from);
    this.#to = Math.max(this.#to, to);
  }

  /** Gives it as callers see it. */
  gap(mode: number): Gap<Str> {
    const error = this.#error;
    const seen = (names: Map<string, Str>): Str[] => Array.from(names.values(), (name) => shown(name, mode));
    return { channels: seen(this.channels), patterns: seen(this.patterns), from: this.#from, to: this.#to, dropped: this.#dropped, ...(error && { error }) };
  }
}
