import type { Int } from "./commands/types.js";
import type { Value } from "./outbox.js";

/** Collects the operations of one BITFIELD_RO, which is sent when it is awaited or executed. Offsets may be `"#2"`: multiples of the width. */
export interface BitfieldReader<N = number> extends PromiseLike<N[]> {
  /** Reads the integer of type `encoding` (`"u8"`, `"i16"` ...) at the bit `offset`. */
  get(encoding: Value, offset: Value): this;
  /** Sends it, once; gives one result per operation. What is collected later is another one. */
  execute(): Promise<N[]>;
}

/** Collects the operations of one BITFIELD, which is sent when it is awaited or executed. Offsets may be `"#2"`: multiples of the width. */
export interface Bitfield<N = number> extends PromiseLike<(N | null)[]> {
  /** Reads the integer of type `encoding` (`"u8"`, `"i16"` ...) at the bit `offset`. */
  get(encoding: Value, offset: Value): this;
  /** Writes it, and gives the one before. */
  set(encoding: Value, offset: Value, value: Int): this;
  /** Adds to it, and gives the new one; null where `overflow("fail")` kept it. */
  incrby(encoding: Value, offset: Value, increment: Int): this;
  /** Says what the operations that follow do beyond their type's range; at first `wrap`. */
  overflow(behaviour: "wrap" | "sat" | "fail"): this;
  /** Sends it, once; gives one result per GET, SET and INCRBY. What is collected later is another one. */
  execute(): Promise<(N | null)[]>;
}

type Operation = Readonly<Record<string, unknown>>;

/** The implementation of {@link Bitfield} and {@link BitfieldReader}. @internal */
export class Operations implements Bitfield {
  readonly #send: (operations: Operation[]) => Promise<unknown>;
  readonly #writes: boolean;
  readonly #operations: Operation[] = [];
  #reply: Promise<unknown> | undefined;

  constructor(send: (operations: Operation[]) => Promise<unknown>, writes: boolean) {
    this.#send = send;
    this.#writes = writes;
  }

  get(encoding: Value, offset: Value): this {
    return this.#add({ get: [encoding, offset] });
  }

  set(encoding: Value, offset: Value, value: Int): this {
    return this.#write({ set: [encoding, offset, value] });
  }

  incrby(encoding: Value, offset: Value, increment: Int): this {
    return this.#write({ incrby: [encoding, offset, increment] });
  }

  overflow(behaviour: "wrap" | "sat" | "fail"): this {
    return this.#write({ overflow: behaviour });
  }

  execute(): Promise<(number | null)[]> {
    return (this.#reply ??= this.#send(this.#operations.splice(0))) as Promise<(number | null)[]>;
  }

  then<A, B>(resolved?: ((value: (number | null)[]) => A | PromiseLike<A>) | null, rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    return this.execute().then(resolved, rejected) as Promise<A | B>;
  }

  #write(operation: Operation): this {
    this.#refuseWrites(Object.keys(operation)[0]!);
    return this.#add(operation);
  }

  #refuseWrites(operation: string): void {
    if (!this.#writes) throw new TypeError(`bitfieldRo: '${operation}' writes: use bitfield`);
  }

  #add(operation: Operation): this {
    this.#operations.push(operation);
    this.#reply = undefined;
    return this;
  }
}
