import { Operation } from "./lock.js";
import { Flag, Outbox, ROW, slotAt, type SlotsOf } from "./outbox.js";
import { ConnectionError, LeaseError, type RedisError } from "./errors.js";
import type { Engine } from "./engine.js";
import type { Host } from "./host.js";
import type { Listener } from "./settings.js";
import type { Gatherer } from "./slots.js";
import { States, type StateListener, type Status } from "./status.js";
import { later } from "./timer.js";
import { Turns } from "./turns.js";
import type { Version } from "./version.js";
import { LANE } from "./wire.js";

/** More than this leaves at once instead of at the end of the tick: the server works while the rest is being asked for. */
const FULL_COMMANDS = 128;
/** The same where all that leaves at once is encrypted for itself. */
const FULL_SECURED = 512;
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
  /** The core that knows the lease. */
  readonly host: Host | undefined;
  /** Whose turn it is to watch keys on the lease. */
  readonly turns = new Turns();
  readonly #full: number;
  /** Slots of those who may wait for a lock, or keep one. */
  readonly #seeking = new Set<number>();
  #closed = false;
  #states: States | undefined;
  /** Those of listeners, which end with this one. */
  readonly children = new Set<Channel>();

  constructor(engine: Engine, lease = 0) {
    this.engine = engine;
    this.lease = lease;
    this.host = engine.host;
    this.#full = engine.endpoint.tls ? FULL_SECURED : FULL_COMMANDS;
    engine.add(this);
  }

  /** Gives a way into an engine of its own for `listener`, with the same settings. */
  child(listener: Listener): Channel {
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    const child = new Channel(this.engine.with(listener));
    this.children.add(child);
    child.engine.onStateChange((status) => {
      if (status === "closed") this.children.delete(child);
    });
    return child;
  }

  /** Ends those who listen, and tells those who wait for their turn. */
  end(): void {
    this.turns.end();
    for (const child of this.children) child.engine.destroy();
  }

  get checks(): boolean {
    return this.engine.checks;
  }

  get version(): Version {
    return this.engine.version;
  }

  get status(): Status {
    return this.#isOver ? "closed" : this.engine.status;
  }

  /** Whether it takes no more commands; a lease ends with its core too. */
  get #isOver(): boolean {
    return this.#closed || (this.lease !== 0 && this.host !== this.engine.host);
  }

  /** Gives why commands are not taken any more, if so. */
  refusal(command?: string): RedisError | undefined {
    const refusal = this.engine.refusal(command);
    if (refusal !== undefined || !this.#isOver) return refusal;
    const details = { command, maybeExecuted: false };
    if (this.lease === 0) return new ConnectionError("the client is closed: make a new one", details);
    return new LeaseError("the lease is over: take another", details);
  }

  /** Sends a command; see {@link Outbox.push} for what it throws. */
  send(what: number, timeout: number | undefined, command: string, args: readonly unknown[], mode: number, signal?: AbortSignal): Promise<unknown> {
    const { kept, host } = this.engine;
    if (kept !== undefined && this.lease === 0 && this.outbox.count === 0) {
      const value = kept.memo?.recall(host!, what, mode, args);
      if (value !== undefined) return Promise.resolve(value);
    }
    const promise = new Promise(executor);
    this.open(resolvePromise, rejectPromise, what, timeout, command, args, mode, signal);
    return promise;
  }

  /** Sends a command, to be given up when `signal` aborts, and gives its slot, or {@link SETTLED} where that is over. */
  open(
    taker: ((value: unknown) => void) | Gatherer,
    other: ((reason: unknown) => void) | number,
    what: number,
    timeout: number | undefined,
    command: string,
    args: readonly unknown[],
    mode: number,
    signal?: AbortSignal,
  ): number {
    const { engine, outbox } = this;
    const slot = engine.slots.open(taker, other, command, mode);
    try {
      if (this.#isOver) throw this.refusal(command);
      outbox.push(slot, what, timeout, command, args);
    } catch (error) {
      engine.forget(slot, error);
      return SETTLED;
    }
    const externals = outbox.lastExternals;
    if (externals !== undefined) engine.externals.hold(slot, externals, this.lease & LANE);
    // it may settle as it is sent: from then on the slot is another's
    if (signal !== undefined) engine.abortable(slot, signal);
    if (timeout !== undefined) engine.sooner = true;
    if (what & Flag.OPERATION) {
      engine.waits = true;
      const kind = what & ROW;
      if (kind >= Operation.KEEP) engine.slots.putBeside(slot);
      if (kind === Operation.ACQUIRE || kind >= Operation.KEEP) this.#seek(slot);
    }
    if (engine.isKept(this)) {
      engine.kept?.memo?.remember(engine.host!, what, mode, args, engine.kept.value);
      return SETTLED;
    }
    this.#schedule(this.#full);
    return slot;
  }

  #seek(slot: number): void {
    this.#seeking.add(slot);
    this.engine.slots.onSettled(slot, () => this.#seeking.delete(slot));
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

  /** Sends the commands in `box`, in `slots`, behind everything sent before, unless `signal` has aborted. */
  submit(box: Outbox, timed: boolean, slots: SlotsOf, signal: AbortSignal | undefined): void {
    if (signal?.aborted || this.refusal() !== undefined) {
      for (const slot of typeof slots === "number" ? [slots] : slots) this.engine.forget(slot, signal?.aborted ? signal.reason : this.refusal(this.engine.commandOf(slot)));
      return;
    }
    for (const [position, externals] of box.externals) this.engine.externals.hold(slotAt(slots, position), externals, this.lease & LANE);
    this.outbox.absorb(box, slots);
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
    this.engine.abortable(slot, signal);
  }

  /** Takes what the server refused of the transaction in `slot`: its MULTI, then its commands. */
  takeRefused(slot: number): RedisError[] {
    return this.engine.takeRefused(slot);
  }

  /** Tells every change of status until the function given back is called: those of the engine, and its own end. */
  onStateChange(listener: StateListener): () => void {
    return (this.#states ??= this.#follow()).listen(listener);
  }

  #follow(): States {
    const states = new States();
    states.status = this.status;
    if (states.status === "closed") return states;
    const stop = this.engine.onStateChange((status, cause) => states.become(status, cause));
    states.listen((status) => status === "closed" && stop());
    return states;
  }

  /** Resolves after so many milliseconds, or to `true` as soon as `signal` aborts or nothing is taken any more. */
  pause(milliseconds: number, signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.status === "closed" || signal?.aborted) return resolve(true);
      const end = (over: boolean): void => {
        clearTimeout(timer);
        stop();
        signal?.removeEventListener("abort", abort);
        resolve(over);
      };
      const abort = (): void => end(true);
      const timer = later(() => end(false), milliseconds);
      const stop = this.onStateChange((status) => status === "closed" && abort());
      signal?.addEventListener("abort", abort);
    });
  }

  /** Takes no more commands; those that were sent settle. A lease is given back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.end();
    if (this.#seeking.size > 0) this.engine.dismiss(this.#seeking);
    this.engine.remove(this);
    this.#states?.become("closed");
  }
}
