import type { Int } from "./commands/types.js";
import type { Key, Value } from "./outbox.js";

/**
 * Collects the operations of one BITFIELD_RO, which is sent, or in a pipeline queued, when it is executed or awaited. `G` is what that gives.
 * Offsets may be `"#2"`: multiples of the width.
 */
export interface BitfieldReader<G = Promise<number[]>> extends PromiseLike<Awaited<G>> {
  /** Reads the integer of type `encoding` (`"u8"`, `"i16"` ...) at the bit `offset`. */
  get(encoding: Value, offset: Value): this;
  /** Makes the command, once, with one result per operation. What is collected later is another one. */
  execute(): G;
}

/** The same of one BITFIELD. Its results are those of GET, SET and INCRBY. */
export interface Bitfield<G = Promise<(number | null)[]>> extends BitfieldReader<G> {
  /** Writes it, and gives the one before. */
  set(encoding: Value, offset: Value, value: Int): this;
  /** Adds to it, and gives the new one; null where `overflow("fail")` kept it. */
  incrby(encoding: Value, offset: Value, increment: Int): this;
  /** Says what the operations that follow do beyond their type's range; at first `wrap`. */
  overflow(behaviour: "wrap" | "sat" | "fail"): this;
}

/** A method of whatever makes commands. */
type Method<T> = (this: T, ...args: unknown[]) => unknown;

/** Has `make`, which makes BITFIELD or, where nothing `writes`, BITFIELD_RO, give a builder where it is given no operations. @internal */
export const builds = <T>(make: Method<T>, writes: boolean): Method<T> =>
  function (key, ...operations) {
    return operations[0] === undefined
      ? new Operations((collected) => make.call(this, key, writes ? collected : { get: collected.map(({ get }) => get) }), writes)
      : make.call(this, key, ...operations);
  };

type Operation = Readonly<Record<string, unknown>>;

/** The implementation of {@link Bitfield} and {@link BitfieldReader}. */
class Operations implements Bitfield<unknown> {
  readonly #make: (operations: Operation[]) => unknown;
  readonly #writes: boolean;
  #operations: Operation[] = [];
  #made: unknown;

  constructor(make: (operations: Operation[]) => unknown, writes: boolean) {
    this.#make = make;
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

  execute(): unknown {
    if (this.#made === undefined) {
      this.#made = this.#make(this.#operations);
      this.#operations = [];
    }
    return this.#made;
  }

  then<A, B>(resolved?: ((value: unknown) => A | PromiseLike<A>) | null, rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    return new Promise((resolve) => resolve(this.execute())).then(resolved, rejected);
  }

  #write(operation: Operation): this {
    if (!this.#writes) throw new TypeError(`bitfieldRo: '${Object.keys(operation)[0]}' writes: use bitfield`);
    return this.#add(operation);
  }

  #add(operation: Operation): this {
    this.#operations.push(operation);
    this.#made = undefined;
    return this;
  }
}
