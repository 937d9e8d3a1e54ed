import { Flag, Outbox } from "./outbox.js";
import { ConnectionError, LeaseError, type RedisError } from "./errors.js";
import type { Engine, Listener } from "./engine.js";
import type { Gatherer } from "./slots.js";
import type { Status } from "./status.js";

/** More than this leaves at once instead of at the end of the tick: the server works while the rest is being asked for. */
const FULL_COMMANDS = 128;
/** The same for pipelines, which are batches already. */
const FULL_PIPELINES = 40;
const FULL_BYTES = 64 << 10;
/** The slot of a command that was refused for its arguments, or whose reply was there. */
const SETTLED = -1;

let resolvePromise!: (value: unknown) => void;
let rejectPromise!: (reason: unknown) => void;
/** One executor for all promises: a command costs no closure. */
const executor = (resolve: (value: unknown) => void, reject: (reason: unknown) => void): void => {
  resolvePromise = resolve;
  rejectPromise = reject;
};

/** The way of commands into an engine, in order: onto the connection that everybody shares, or onto a lease. */
export class Channel {
  readonly engine: Engine;
  /** The core's number for the lease; 0 for everybody's connection. */
  readonly lease: number;
  readonly outbox = new Outbox();
  #closed = false;
  /** Those of listeners, which end with this one. */
  readonly #children = new Set<Channel>();

  constructor(engine: Engine, lease = 0) {
    this.engine = engine;
    this.lease = lease;
    engine.add(this);
  }

  /** Gives a way into an engine of its own for `listener`, with the same settings. */
  child(listener: Listener): Channel {
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    const child = new Channel(this.engine.with(listener));
    this.#children.add(child);
    child.engine.onStateChange((status) => {
      if (status === "closed") this.#children.delete(child);
    });
    return child;
  }

  /** Ends those who listen. */
  end(): void {
    for (const child of this.#children) child.engine.destroy();
  }

  get checks(): boolean {
    return this.engine.checks;
  }

  get version(): string | undefined {
    return this.engine.version;
  }

  get gate(): Promise<void> | undefined {
    return this.engine.gate;
  }

  awaitsVersion(): boolean {
    return this.engine.awaitsVersion(this);
  }

  get status(): Status {
    return this.#closed ? "closed" : this.engine.status;
  }

  /** Gives why commands are not taken any more, if so. */
  refusal(command?: string): RedisError | undefined {
    if (!this.#closed) return this.engine.refusal(command);
    const details = { command, maybeExecuted: false };
    if (this.lease === 0) return new ConnectionError("the client is closed: make a new one", details);
    return new LeaseError("the lease is over: take another", details);
  }

  /** Sends a command; see {@link Outbox.push} for what it throws. */
  send(what: number, timeout: number | undefined, command: string, args: readonly unknown[], mode: number): Promise<unknown> {
    const { memo, host } = this.engine;
    if (memo !== undefined && this.lease === 0 && this.outbox.count === 0) {
      const value = memo.recall(host!, what, mode, args);
      if (value !== undefined) return Promise.resolve(value);
    }
    const promise = new Promise(executor);
    this.open(resolvePromise, rejectPromise, what, timeout, command, args, mode);
    return promise;
  }

  /** Sends a command and gives its slot, or {@link SETTLED} where that is over. */
  open(
    taker: ((value: unknown) => void) | Gatherer,
    other: ((reason: unknown) => void) | number,
    what: number,
    timeout: number | undefined,
    command: string,
    args: readonly unknown[],
    mode: number,
  ): number {
    const { engine, outbox } = this;
    const slot = engine.slots.open(taker, other, command, mode);
    try {
      if (this.#closed) throw this.refusal(command);
      outbox.push(slot, what, timeout, command, args);
    } catch (error) {
      engine.forget(slot, error);
      return SETTLED;
    }
    const externals = outbox.externals.get(outbox.count - 1);
    if (externals !== undefined) engine.hold(slot, externals, this.lease);
    if (timeout !== undefined) engine.sooner = true;
    if (what & Flag.OPERATION) engine.waits = true;
    if (this.lease === 0 && engine.isKept(outbox)) {
      engine.memo?.remember(engine.host!, what, mode, args, engine.keptValue);
      return SETTLED;
    }
    this.#schedule(FULL_COMMANDS);
    return slot;
  }

  /** Takes a slot for commands that {@link submit} sends. */
  reserve(taker: ((value: unknown) => void) | Gatherer, other: ((reason: unknown) => void) | number, command: string, mode: number): number {
    return this.engine.slots.open(taker, other, command, mode);
  }

  /** Gives an empty box to collect commands in. */
  takeBox(): Outbox {
    return this.engine.takeBox();
  }

  /** Takes back a box. */
  giveBox(box: Outbox): void {
    this.engine.giveBox(box);
  }

  /** Sends the commands in `box`, in `slots` from the one at `first` on, or all in one, behind everything sent before. */
  submit(box: Outbox, timed: boolean, slots: readonly number[] | number, first = 0): void {
    const slotAt = (position: number): number => (typeof slots === "number" ? slots : slots[first + position]!);
    const refusal = this.refusal();
    if (refusal !== undefined) {
      for (let position = 0; position < box.count; position++) this.engine.forget(slotAt(position), refusal);
      return;
    }
    for (const [position, externals] of box.externals) this.engine.hold(slotAt(position), externals, this.lease);
    this.outbox.absorb(box, slots, first);
    if (timed) this.engine.sooner = true;
    this.#schedule(FULL_PIPELINES);
  }

  #schedule(full: number): void {
    const { engine, outbox } = this;
    if ((outbox.count >= full || outbox.size >= FULL_BYTES) && !engine.busy) engine.flush();
    else engine.schedule();
  }

  /** Gives up the command in `slot` when `signal` aborts. */
  abortable(slot: number, signal: AbortSignal): void {
    if (slot !== SETTLED) this.engine.abortable(slot, signal);
  }

  /** Takes what the server refused of the transaction in `slot`. */
  takeRefused(slot: number): RedisError[] {
    return this.engine.takeRefused(slot);
  }

  /** Takes no more commands; those that were sent settle. A lease is given back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.end();
    this.engine.remove(this);
  }
}
