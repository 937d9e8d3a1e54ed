import { list, pairs, tokens, type Fields, type Takes } from "./arguments.js";
import type { Key, Value } from "./outbox.js";
import { Row } from "./rows.js";

/** User data: text, or bytes. */
export type Str = string | Uint8Array;
/** A set of user data: a `Set` of text, an array of bytes (which a `Set` would compare by identity). */
export type SetOf<S extends Str> = S extends string ? Set<S> : S[];
/** One value, several, or one array of them. */
export type Several<T> = T[] | [readonly T[]];

/** Options of SET. */
export interface SetOptions {
  /** Expire after this many seconds. */
  ex?: number;
  /** Expire after this many milliseconds. */
  px?: number;
  /** Expire at this moment: a unix time in seconds, or a `Date`. */
  exat?: number | Date;
  /** Expire at this moment: a unix time in milliseconds, or a `Date`. */
  pxat?: number | Date;
  /** Keep the expiry that the key has. */
  keepttl?: true;
  /** Only if the key does not exist. */
  nx?: true;
  /** Only if the key exists. */
  xx?: true;
  /** Reply with the old value. */
  get?: true;
}

/** Options of ZADD. */
export interface ZaddOptions {
  /** Only add new members. */
  nx?: true;
  /** Only update members that exist. */
  xx?: true;
  /** Only raise scores. */
  gt?: true;
  /** Only lower scores. */
  lt?: true;
  /** Count changed members too. */
  ch?: true;
  /** Add to the score of one member, and reply with its new score. */
  incr?: true;
}

/** Options of ZRANGE. */
export interface ZrangeOptions {
  /** `start` and `stop` are scores. */
  byscore?: true;
  /** `start` and `stop` are members. */
  bylex?: true;
  /** From the highest score to the lowest. */
  rev?: true;
  /** Skip this many, then give at most that many. */
  limit?: readonly [offset: number, count: number];
  /** Give scores too. */
  withscores?: true;
}

const setTokens: Record<keyof SetOptions, Takes> = {
  ex: "value",
  px: "value",
  exat: "seconds",
  pxat: "milliseconds",
  keepttl: "flag",
  nx: "flag",
  xx: "flag",
  get: "flag",
};
const zaddTokens: Record<keyof ZaddOptions, Takes> = { nx: "flag", xx: "flag", gt: "flag", lt: "flag", ch: "flag", incr: "flag" };
const zrangeTokens: Record<keyof ZrangeOptions, Takes> = { byscore: "flag", bylex: "flag", rev: "flag", limit: "values", withscores: "flag" };

/** The commands of a client; each rejects with a {@link ResponseError} when the server refuses it. */
export interface Commands<S extends Str> {
  /** GET: the value of `key`, `null` when there is none. O(1). */
  get(key: Key): Promise<S | null>;
  /** SET with GET: stores `value` and gives the old one, `null` when there was none. O(1). */
  set(key: Key, value: Value, options: SetOptions & { get: true }): Promise<S | null>;
  /** SET: stores `value`; `false` when `nx` or `xx` kept it from doing so. O(1). */
  set(key: Key, value: Value, options?: SetOptions): Promise<boolean>;
  /** DEL: how many of the keys existed and were removed. O(N). */
  del(...keys: Several<Key>): Promise<number>;
  /** INCR: the value after adding one. O(1). */
  incr(key: Key): Promise<number>;
  /** MGET: the values in the order of the keys, `null` where there is none. O(N). */
  mget(...keys: Several<Key>): Promise<(S | null)[]>;
  /** MSET: stores all pairs at once. O(N). */
  mset(fields: Fields): Promise<boolean>;
  /** LRANGE: the elements from `start` to `stop`, both included; negative counts from the end. O(S+N). */
  lrange(key: Key, start: number, stop: number): Promise<S[]>;
  /** RPUSH: the length after appending. O(N). */
  rpush(key: Key, ...elements: Several<Value>): Promise<number>;
  /** HSET: how many fields are new. O(N). */
  hset(key: Key, fields: Fields): Promise<number>;
  /** HGETALL: all fields in the server's order; empty when there is no such key. O(N). */
  hgetall(key: Key): Promise<Record<string, S>>;
  /** SMEMBERS: all members. O(N). */
  smembers(key: Key): Promise<SetOf<S>>;
  /** SADD: how many members are new. O(N). */
  sadd(key: Key, ...members: Several<Value>): Promise<number>;
  /** ZADD with INCR: the member's new score, `null` when a condition kept it. O(log N). */
  zadd(key: Key, members: Fields<number>, options: ZaddOptions & { incr: true }): Promise<number | null>;
  /** ZADD: how many members are new; `members` maps each to its score. O(log N) each. */
  zadd(key: Key, members: Fields<number>, options?: ZaddOptions): Promise<number>;
  /** ZRANGE with scores: pairs of member and score. O(log N + M). */
  zrange(key: Key, start: Value, stop: Value, options: ZrangeOptions & { withscores: true }): Promise<[member: S, score: number][]>;
  /** ZRANGE: the members from `start` to `stop`. O(log N + M). */
  zrange(key: Key, start: Value, stop: Value, options?: ZrangeOptions): Promise<S[]>;
  /** PING: `message`. O(1). */
  ping(message: Value): Promise<S>;
  /** PING: `"PONG"`. O(1). */
  ping(): Promise<string>;
  ping(message?: Value): Promise<S | string>;
  /** ECHO: `message`. O(1). */
  echo(message: Value): Promise<S>;
}

/** Turns calls into rows and arguments, for whoever sends or queues them. */
export abstract class Methods {
  /** Takes one command. */
  protected abstract run(row: Row, command: string, args: unknown[]): unknown;

  /** Reports that a command cannot be made of what was given. */
  protected abstract fail(error: unknown): unknown;

  get(key: Key): unknown {
    return this.run(Row.GET, "GET", [key]);
  }

  set(key: Key, value: Value, options?: SetOptions): unknown {
    if (options === undefined) return this.run(Row.SET, "SET", [key, value]);
    return this.#build(Row.SET, "SET", (into) => tokens("set", into, options, setTokens), [key, value]);
  }

  del(...keys: Several<Key>): unknown {
    return this.#build(Row.DEL, "DEL", (into) => list("del", into, keys));
  }

  incr(key: Key): unknown {
    return this.run(Row.INCR, "INCR", [key]);
  }

  mget(...keys: Several<Key>): unknown {
    return this.#build(Row.MGET, "MGET", (into) => list("mget", into, keys));
  }

  mset(fields: Fields): unknown {
    return this.#build(Row.MSET, "MSET", (into) => pairs("mset", into, fields));
  }

  lrange(key: Key, start: number, stop: number): unknown {
    return this.run(Row.LRANGE, "LRANGE", [key, start, stop]);
  }

  rpush(key: Key, ...elements: Several<Value>): unknown {
    return this.#build(Row.RPUSH, "RPUSH", (into) => list("rpush", into, elements), [key]);
  }

  hset(key: Key, fields: Fields): unknown {
    return this.#build(Row.HSET, "HSET", (into) => pairs("hset", into, fields), [key]);
  }

  hgetall(key: Key): unknown {
    return this.run(Row.HGETALL, "HGETALL", [key]);
  }

  smembers(key: Key): unknown {
    return this.run(Row.SMEMBERS, "SMEMBERS", [key]);
  }

  sadd(key: Key, ...members: Several<Value>): unknown {
    return this.#build(Row.SADD, "SADD", (into) => list("sadd", into, members), [key]);
  }

  zadd(key: Key, members: Fields<number>, options?: ZaddOptions): unknown {
    return this.#build(Row.ZADD, "ZADD", (into) => pairs("zadd", tokens("zadd", into, options, zaddTokens), members, true), [key]);
  }

  zrange(key: Key, start: Value, stop: Value, options?: ZrangeOptions): unknown {
    return this.#build(Row.ZRANGE, "ZRANGE", (into) => tokens("zrange", into, options, zrangeTokens), [key, start, stop]);
  }

  ping(message?: Value): unknown {
    return this.run(Row.PING, "PING", message === undefined ? [] : [message]);
  }

  echo(message: Value): unknown {
    return this.run(Row.ECHO, "ECHO", [message]);
  }

  #build(row: Row, command: string, fill: (into: unknown[]) => unknown[], first: unknown[] = []): unknown {
    let args: unknown[];
    try {
      args = fill(first);
    } catch (error) {
      return this.fail(error);
    }
    return this.run(row, command, args);
  }
}
