import type { Connector, Endpoint, Sink, Socket, StreamPair } from "./connector.js";
import { fromStreams } from "./connector.js";
import { ClientError, ConnectionError, type RedisError } from "./errors.js";
import { failure, Reason, type Situation } from "./failure.js";
import { Host } from "./host.js";
import { Flag, Outbox, type Large } from "./outbox.js";
import { Reader, type Replies } from "./reader.js";
import { Slots, type Gatherer } from "./slots.js";
import { allocate, encode } from "./text.js";

/** Where a client stands. */
export type Status = "idle" | "connecting" | "ready" | "reconnecting" | "closing" | "closed";

/** What an engine is told once. */
export interface Settings {
  endpoint: Endpoint;
  connector: Connector;
  /** Where it connects to, for messages. */
  where: string;
  protocol: 0 | 2 | 3;
  database: number;
  username: string | undefined;
  password: string | undefined;
  clientName: string | undefined;
  connectTimeout: number;
  timeout: number;
  /** Whether types are checked that the server would check too. */
  runtimeChecks: boolean;
  /** Whether commands that the server is too old for are refused. */
  verifyVersion: boolean;
  queueTimeout: number;
  retryDelay: number;
  maxRetryDelay: number;
  maxResends: number;
  /** Commands and bytes that may wait, and whether the oldest make room for new ones (1). */
  offline: number[];
  /** Commands and bytes that may be on their way. */
  highWater: number[];
  keepAlive: number;
}

/** What the core wants done; numbers are those of `wasm/src/host.rs`. */
const enum Act {
  OPEN,
  READY,
  CLOSE,
  UNSENT,
  UNKNOWN,
  REST,
  LOST,
}

/** More than this leaves at once instead of at the end of the tick: the server works while the rest is being asked for. */
const FULL_COMMANDS = 128;
/** The same for pipelines, which are batches already. */
const FULL_PIPELINES = 40;
const FULL_BYTES = 64 << 10;
/** This many empty boxes are kept. */
const BOXES = 16;
/** A socket reads at most this much at once. */
const CHUNK = 256 << 10;
/** The core decodes this much at once, so that its memory stays in the processor's cache. */
const SLICE = 32 << 10;
/** Frames are cut from slabs of this size; larger ones stand alone. */
const SLAB = 64 << 10;

/** The slot of a command that was refused for its arguments. */
const REFUSED = -1;
/** The length of a text that there is none of. */
const ABSENT = 0xffff_ffff;

let resolvePromise!: (value: unknown) => void;
let rejectPromise!: (reason: unknown) => void;
/** One executor for all promises: a command costs no closure. */
const executor = (resolve: (value: unknown) => void, reject: (reason: unknown) => void): void => {
  resolvePromise = resolve;
  rejectPromise = reject;
};

/** Runs `task` once this tick's work, promises included, is done. */
const atTickEnd: (task: () => void) => void =
  typeof process === "object" && typeof process.nextTick === "function"
    ? process.nextTick
    : (task) => queueMicrotask(() => queueMicrotask(task));

const now = (): number => performance.now();

/** One client's machine, its socket and everything that waits: the only place that calls the core. */
export class Engine implements Replies {
  readonly #settings: Settings;
  readonly #slots = new Slots();
  readonly #outbox = new Outbox();
  readonly #boxes: Outbox[] = [];
  /** Large arguments until their command settles, and, once it is half written, until they are written too. */
  readonly #externals = new Map<number, Externals>();
  /** Refused commands of transactions until their EXEC is answered. */
  readonly #refused = new Map<number, RedisError[]>();
  #host: Host | undefined;
  #reader!: Reader;
  #socket: Socket | undefined;
  #link = 0;
  #abort: AbortController | undefined;
  /** What the socket reads to, and the place of a large text when it reads to that instead. */
  #chunk: Uint8Array | undefined;
  #direct: Uint8Array | undefined;
  #blocked = false;
  /** What is left of the large argument that is being written. */
  #pieces: Uint8Array[] = [];
  #held = true;
  #flushing = false;
  /** Whether results of the core are being worked through, or a socket is being written to: whatever arrives meanwhile waits. */
  #busy = false;
  readonly #arrived: (() => void)[] = [];
  #slab: Uint8Array = new Uint8Array(0);
  #slabUsed = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  /** Whether a deadline may have come that is before the timer's. */
  #sooner = false;
  #status: Status = "idle";
  readonly #listeners = new Set<(status: Status, cause?: unknown) => void>();
  #attempt: Attempt | undefined;
  /** Who wants to know when nothing waits any more. */
  #quiet: (() => void)[] = [];
  /** Why the socket of the link that is being used closed. */
  #cause: unknown;
  /** Why there is no link, from the loss of one to the next that is ready. */
  #trouble: RedisError | undefined;
  /** Whether commands are being written: only then does the core keep what it was given of one that settled. */
  #ready = false;
  /** Whether the timer holds the process open. */
  #awake = false;
  /** Whether the core may come to wait for a time of its own, as between two tries for a lock. */
  #waits = false;
  /** The last error in the background. */
  lastError: RedisError | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** See {@link Settings.runtimeChecks}. */
  get checks(): boolean {
    return this.#settings.runtimeChecks;
  }

  /** The version of the server, once it is connected; empty where it does not say. */
  serverVersion: string | undefined;
  /** Resolves when the version is known or cannot be: what comes later waits behind what waits for it. */
  gate: Promise<void> | undefined;

  /** The version that commands must not be newer than, if it is known. */
  get version(): string | undefined {
    return (this.#settings.verifyVersion && this.serverVersion) || undefined;
  }

  /** Tells whether the version decides but is not known; {@link gate} then tells when it is. */
  awaitsVersion(): boolean {
    if (!this.#settings.verifyVersion || this.serverVersion !== undefined) return false;
    const open = (): void => (this.gate = undefined);
    this.gate ??= this.connect().then(open, open);
    return true;
  }

  get status(): Status {
    return this.#status;
  }

  /** Tells every change of status until the function given back is called. */
  onStateChange(listener: (status: Status, cause?: unknown) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #become(status: Status, cause?: unknown): void {
    if (this.#status === status || this.#status === "closed") return;
    if (this.#status === "closing" && status !== "closed") return;
    this.#status = status;
    for (const listener of [...this.#listeners]) {
      try {
        listener(status, cause);
      } catch {
        // a listener's own fault must not become ours
      }
    }
  }

  /** Gives why commands are not taken any more, if so. */
  refusal(command?: string): RedisError | undefined {
    if (this.#status !== "closing" && this.#status !== "closed") return undefined;
    return new ConnectionError("the client is closed: make a new one", { command, maybeExecuted: false });
  }

  /** Sends a command; see {@link Outbox.push} for what it throws. */
  send(what: number, timeout: number | undefined, command: string, args: readonly unknown[], mode: number): Promise<unknown> {
    const promise = new Promise(executor);
    this.open(resolvePromise, rejectPromise, what, timeout, command, args, mode);
    return promise;
  }

  /** Sends a command and gives its slot, or {@link REFUSED}. */
  open(
    taker: ((value: unknown) => void) | Gatherer,
    other: ((reason: unknown) => void) | number,
    what: number,
    timeout: number | undefined,
    command: string,
    args: readonly unknown[],
    mode: number,
  ): number {
    const outbox = this.#outbox;
    const slot = this.#slots.open(taker, other, command, mode);
    try {
      outbox.push(slot, what, timeout, command, args);
    } catch (error) {
      this.#settle(slot, error, true, true);
      return REFUSED;
    }
    const externals = outbox.lastExternals();
    if (externals !== undefined) this.#hold(slot, externals);
    if (timeout !== undefined) this.#sooner = true;
    if (what >= Flag.OPERATION) this.#waits = true;
    this.#schedule();
    return slot;
  }

  /** Keeps the text of a script, for calls by its digest that have {@link Flag.SCRIPT}; gives the digest. */
  learn(lua: string): string {
    const host = (this.#host ??= this.#start());
    const text = encode(lua);
    const at = host.exports.host_input(text.length);
    host.bytes.set(text, at);
    const digest = host.exports.host_script(text.length);
    return host.codec.utf8(digest, digest + 40);
  }

  /** Takes a slot for commands that {@link submit} sends. */
  reserve(taker: ((value: unknown) => void) | Gatherer, other: ((reason: unknown) => void) | number, command: string, mode: number): number {
    return this.#slots.open(taker, other, command, mode);
  }

  #hold(slot: number, externals: Large[]): void {
    const held = this.#externals.get(slot) ?? { args: [], unwritten: 0, settled: false };
    held.args.push(...externals);
    held.unwritten += externals.length;
    this.#externals.set(slot, held);
  }

  /** Gives the large argument that is written next. */
  #external(slot: number, index: number): Large {
    const held = this.#externals.get(slot)!;
    // from the first on again: the script is sent instead of its digest
    if (index === 0) held.unwritten = held.args.length;
    held.unwritten--;
    if (held.settled && held.unwritten === 0) this.#release(slot);
    return held.args[index]!;
  }

  #release(slot: number): void {
    this.#externals.delete(slot);
    this.#slots.free(slot);
  }

  /** Gives an empty box to collect commands in. */
  takeBox(): Outbox {
    return this.#boxes.pop() ?? new Outbox();
  }

  /** Takes back a box. */
  giveBox(box: Outbox): void {
    box.clear();
    if (this.#boxes.length < BOXES) this.#boxes.push(box);
  }

  /** Sends the commands in `box` behind everything sent before; `slotOf` gives the slot of each. */
  submit(box: Outbox, timed: boolean, slotOf: (position: number) => number): void {
    this.#outbox.absorb(box, (position, externals) => {
      const slot = slotOf(position);
      if (externals !== undefined) this.#hold(slot, externals);
      return slot;
    });
    if (timed) this.#sooner = true;
    this.#schedule(FULL_PIPELINES);
  }

  #submit(): void {
    if (this.#outbox.count === 0) return;
    try {
      this.#outbox.submit((this.#host ??= this.#start()), now());
      if (!this.#ready) this.#sooner = true;
    } catch (error) {
      this.#trap(error);
    }
  }

  #schedule(full = FULL_COMMANDS): void {
    if (this.#outbox.count >= full || this.#outbox.size >= FULL_BYTES) {
      if (!this.#busy) return this.#flush();
    }
    if (this.#flushing) return;
    this.#flushing = true;
    atTickEnd(this.#endTick);
  }

  readonly #endTick = (): void => {
    this.#flushing = false;
    this.#flush();
  };

  #flush(): void {
    this.#submit();
    this.#work();
  }

  /** Gives up the command in `slot`: its promise rejects with `reason`. */
  cancel(slot: number, reason: unknown): void {
    this.#submit();
    let written = 0;
    if (this.#host !== undefined) {
      written = this.#host.exports.host_cancel(slot);
      this.#reader.drop(slot);
    }
    this.#settle(slot, reason, true, written !== 1 || !this.#ready);
    // not at once: what else the same signal gives up must not be sent before
    this.#schedule();
  }

  /** Gives up the command in `slot` when `signal` aborts. */
  abortable(slot: number, signal: AbortSignal): void {
    if (slot === REFUSED) return;
    const abort = (): void => this.cancel(slot, signal.reason);
    signal.addEventListener("abort", abort);
    this.#slots.onSettled(slot, () => signal.removeEventListener("abort", abort));
  }

  /** Connects unless connected; rejects when the first attempt fails. */
  connect(): Promise<void> {
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#status === "ready") return Promise.resolve();
    this.#attempt ??= new Attempt();
    try {
      this.#host ??= this.#start();
      this.#host.exports.host_connect(now());
      this.#sooner = true;
    } catch (error) {
      this.#trap(error);
    }
    const { promise } = this.#attempt ?? { promise: Promise.resolve() };
    if (!this.#busy) this.#work();
    return promise;
  }

  /** Takes no more commands; resolves when those in flight are settled, at the latest after `timeout` ms if given. */
  async close(timeout: number | undefined): Promise<void> {
    if (this.#slots.waiting > 0) {
      this.#become("closing");
      await new Promise<void>((resolve) => {
        const timer = timeout === undefined ? undefined : setTimeout(resolve, timeout);
        this.#quiet.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    this.destroy();
  }

  /** Ends everything at once. */
  destroy(): void {
    if (this.#status === "closed") return;
    this.#become("closed");
    this.#submit();
    try {
      this.#host?.exports.host_shutdown();
      this.#work();
    } catch (error) {
      this.#trap(error);
    }
    this.#disconnect();
    this.#host = undefined;
    this.#attempt?.fail(new ConnectionError("the client was closed"));
    this.#attempt = undefined;
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  #start(): Host {
    const host = new Host();
    const { protocol, database, connectTimeout, timeout, username, password, clientName } = this.#settings;
    const { queueTimeout, retryDelay, maxRetryDelay, maxResends, offline, highWater, keepAlive } = this.#settings;
    const texts = [username, password, clientName].map((text) => (text === undefined ? undefined : encode(text)));
    let at = host.exports.host_input(texts.reduce((sum, text) => sum + (text?.length ?? 0), 0));
    for (const text of texts) {
      if (text === undefined) continue;
      host.bytes.set(text, at);
      at += text.length;
    }
    const [seed] = crypto.getRandomValues(new Uint32Array(1));
    const times = [connectTimeout, timeout, queueTimeout, retryDelay, maxRetryDelay];
    const words = [protocol, database, ...times, maxResends, seed!, ...offline, ...highWater, keepAlive, ...texts.map((text) => text?.length ?? ABSENT)];
    const wordsAt = host.exports.host_words(words.length) >>> 2;
    host.words.set(words, wordsAt);
    host.exports.host_configure();
    this.#reader = new Reader(this, host);
    return host;
  }

  /** Works through what the core wants done and sent, and then through what arrived meanwhile. */
  #work(): void {
    const host = this.#host;
    if (host === undefined || this.#busy) return;
    this.#busy = true;
    try {
      this.#act(host);
      this.#transmit(host);
      this.#arm(host);
    } catch (error) {
      this.#trap(error);
    } finally {
      this.#busy = false;
    }
    this.#holdOpen();
    while (this.#arrived.length > 0 && !this.#busy) this.#arrived.shift()!();
  }

  #act(host: Host): void {
    for (;;) {
      const count = host.exports.host_poll();
      if (count === 0) return;
      const at = host.register(0) >>> 2;
      const actions = host.words.slice(at, at + count);
      for (let i = 0; i < count; i += 4) this.#do(host, actions[i]!, actions[i + 1]!, actions[i + 2]!, actions[i + 3]!);
    }
  }

  #do(host: Host, act: Act, id: number, reason: number, detail: number): void {
    switch (act) {
      case Act.OPEN:
        this.#disconnect();
        this.#link = id;
        this.#cause = undefined;
        this.#sooner = true;
        if (this.#status !== "reconnecting") this.#become("connecting");
        return this.#connect(id);
      case Act.READY:
        this.serverVersion = host.text(host.exports.host_version());
        this.#ready = this.#sooner = true;
        this.#trouble = undefined;
        this.#attempt?.succeed();
        this.#attempt = undefined;
        return this.#become("ready");
      case Act.CLOSE:
      case Act.LOST: {
        const error = failure(reason, detail, this.#situation(host));
        if (reason !== Reason.CLOSED) this.lastError = this.#trouble = error;
        this.#ready = false;
        this.#sooner = true;
        this.#disconnect();
        // what is sent again is read from its start, and asks for its large arguments again
        this.#reader.drop();
        for (const [slot, held] of this.#externals) {
          if (held.settled) this.#release(slot);
          else held.unwritten = held.args.length;
        }
        this.#attempt?.fail(error);
        this.#attempt = undefined;
        if (this.#status === "closing") return this.destroy();
        return this.#become(act === Act.LOST ? "reconnecting" : "idle", error);
      }
      case Act.REST:
        return this.#become("idle", this.#trouble);
      default: {
        const unknown = act === Act.UNKNOWN;
        // a command that waited has the trouble as its cause, one that was written what the socket said
        const cause = this.#trouble === undefined ? this.#cause : this.#trouble.cause;
        const situation = { ...this.#situation(host), cause, trouble: unknown ? undefined : this.#trouble };
        const error = failure(reason, detail, situation, this.#slots.commandOf(id), unknown);
        this.#reader.drop(id);
        this.#settle(id, error, true, !unknown || reason !== Reason.TIMEOUT || !this.#ready);
      }
    }
  }

  #situation(host: Host): Situation {
    const { where, connectTimeout, timeout, queueTimeout } = this.#settings;
    return { where, connectTimeout, timeout, queueTimeout, detail: host.text(host.exports.host_detail()), cause: this.#cause, trouble: undefined };
  }

  #connect(link: number): void {
    const abort = (this.#abort = new AbortController());
    // a fresh core counts links from the start: only this tells a socket of ours from one that was let go
    const ours = (): boolean => this.#abort === abort;
    const arrive = (take: () => void): void => {
      if (!ours()) return;
      if (this.#busy) this.#arrived.push(() => ours() && take());
      else take();
    };
    const sink: Sink = {
      onData: (bytes) => {
        const kept = this.#busy ? bytes.slice() : bytes;
        arrive(() => this.#onData(link, kept));
      },
      onClose: (error) => arrive(() => this.#onClose(link, error)),
      onDrain: () => arrive(() => this.#onDrain(link)),
    };
    const opened = (made: Socket | StreamPair): void => {
      const socket = "readable" in made ? fromStreams(made, sink) : made;
      if (!ours()) return socket.close();
      this.#onOpen(link, socket, sink);
    };
    const failed = (error: unknown): void => sink.onClose(error ?? new Error("the connector failed"));
    // not before this pass through the actions is done
    queueMicrotask(() => {
      if (abort.signal.aborted) return;
      try {
        const made = this.#settings.connector(this.#settings.endpoint, sink, abort.signal);
        if ("then" in made) made.then(opened).catch(failed);
        else opened(made);
      } catch (error) {
        failed(error);
      }
    });
  }

  #onOpen(link: number, socket: Socket, sink: Sink): void {
    const host = this.#host;
    if (host === undefined) return socket.close();
    this.#socket = socket;
    this.#blocked = false;
    this.#held = true;
    host.exports.host_opened(now(), link);
    socket.readInto?.(
      () => this.#place(),
      (count) => this.#onRead(link, count, sink),
    );
    this.#work();
  }

  /** Gives where the socket reads to next. It never is the core's memory: growth would take that away while a read is pending. */
  #place(): Uint8Array {
    this.#direct = this.#reader.room();
    return this.#direct ?? (this.#chunk ??= allocate(CHUNK));
  }

  #onRead(link: number, count: number, sink: Sink): void {
    const host = this.#host;
    if (this.#direct === undefined) return sink.onData(this.#chunk!.subarray(0, count));
    if (host === undefined || link !== this.#link) return;
    // what is left of the text is more than was read: all of it belongs there
    host.exports.host_read(link, count);
    this.#reader.filled(count);
  }

  #onData(link: number, bytes: Uint8Array): void {
    this.#busy = true;
    try {
      for (let at = 0; at < bytes.length; ) {
        const host = this.#host;
        if (host === undefined || link !== this.#link) return;
        at = this.#receive(host, link, bytes, at);
        const taken = this.#reader.take(bytes, at);
        if (taken > 0) host.exports.host_read(link, taken);
        at += taken;
      }
    } catch (error) {
      this.#trap(error);
    } finally {
      this.#busy = false;
    }
    this.#work();
  }

  /** Has the core decode the next slice of `bytes`; gives where it ends. */
  #receive(host: Host, link: number, bytes: Uint8Array, at: number): number {
    const address = host.exports.host_window();
    const part = bytes.subarray(at, at + Math.min(SLICE, host.register(0)));
    host.bytes.set(part, address);
    const words = host.exports.host_receive(now(), link, part.length);
    const end = at + part.length - host.register(1);
    if (words > 0) this.#reader.read(host, host.exports.host_tape() >>> 2, words, host.register(0));
    return end;
  }

  #onDrain(link: number): void {
    if (link !== this.#link || !this.#blocked) return;
    this.#blocked = false;
    this.#work();
  }

  #onClose(link: number, error: unknown): void {
    const host = this.#host;
    if (link !== this.#link || host === undefined) return;
    this.#cause = error;
    this.#socket = undefined;
    this.#pieces = [];
    try {
      host.exports.host_closed(now(), link);
    } catch (error) {
      this.#trap(error);
    }
    this.#work();
  }

  /** Lets go of the socket. */
  #disconnect(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#pieces = [];
    this.#link = 0;
    this.#abort?.abort();
    this.#abort = undefined;
    try {
      socket?.close();
    } catch {
      // it is not ours any more
    }
  }

  #transmit(host: Host): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    while (!this.#blocked && this.#socket === socket) {
      const bytes = this.#next(host);
      if (bytes === undefined) return;
      try {
        this.#blocked = socket.write(bytes) === false;
      } catch (error) {
        const link = this.#link;
        this.#arrived.push(() => link === this.#link && this.#onClose(link, error));
        this.#blocked = true;
      }
    }
  }

  /** Gives what is written next. */
  #next(host: Host): Uint8Array | undefined {
    if (this.#pieces.length > 0) return this.#pieces.shift();
    const kind = host.exports.host_transmit(this.#link);
    if (kind === 0) return undefined;
    const first = host.register(0);
    const second = host.register(1);
    if (kind === 1) return this.#frame(host, first, second);
    this.#pieces = [...this.#external(first, second)];
    return this.#pieces.shift();
  }

  /** Copies frames out of the core's memory: what a socket holds must never change. */
  #frame(host: Host, at: number, length: number): Uint8Array {
    if (length > SLAB / 4) return host.bytes.slice(at, at + length);
    if (this.#slabUsed + length > this.#slab.length) {
      this.#slab = allocate(SLAB);
      this.#slabUsed = 0;
    }
    const frame = this.#slab.subarray(this.#slabUsed, (this.#slabUsed += length));
    frame.set(host.bytes.subarray(at, at + length));
    return frame;
  }

  /** Sets the one timer to the core's next deadline, unless it comes sooner anyway. */
  #arm(host: Host): void {
    if (this.#timerAt !== Infinity && !this.#sooner && !this.#waits) return;
    const at = host.exports.host_next_timeout();
    this.#sooner = false;
    if (at < 0 || at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(this.#onTimer, Math.max(0, Math.ceil(at - now())));
    this.#timer.unref?.();
    this.#awake = false;
  }

  readonly #onTimer = (): void => {
    this.#timerAt = Infinity;
    const host = this.#host;
    if (host === undefined) return;
    try {
      host.exports.host_timeout(now());
    } catch (error) {
      this.#trap(error);
    }
    this.#work();
  };

  /** Holds the process open exactly while something waits. */
  #holdOpen(): void {
    const hold = this.#slots.waiting > 0 || this.#attempt !== undefined;
    if (hold !== this.#held && this.#socket !== undefined) {
      this.#held = hold;
      if (hold) this.#socket.ref?.();
      else this.#socket.unref?.();
    }
    // while there is no socket, the timer is what will go on with it
    const awake = hold && this.#socket === undefined;
    if (awake !== this.#awake && this.#timer !== undefined) {
      this.#awake = awake;
      if (awake) this.#timer.ref?.();
      else this.#timer.unref?.();
    }
    if (this.#slots.waiting === 0) while (this.#quiet.length > 0) this.#quiet.pop()!();
  }

  modeOf(slot: number): number {
    return this.#slots.modeOf(slot);
  }

  commandOf(slot: number): string {
    return this.#slots.commandOf(slot);
  }

  reply(slot: number, value: unknown, failed: boolean): void {
    this.#settle(slot, value, failed);
  }

  refused(slot: number, index: number, error: RedisError): void {
    const errors = this.#refused.get(slot) ?? [];
    errors[index] = error;
    this.#refused.set(slot, errors);
  }

  /** Takes what the server refused of the transaction in `slot`. */
  takeRefused(slot: number): RedisError[] {
    const errors = this.#refused.get(slot) ?? [];
    this.#refused.delete(slot);
    return errors;
  }

  /** Settles a command. Its slot stays taken while the core may ask for large arguments of it, unless it has forgotten it. */
  #settle(slot: number, value: unknown, failed: boolean, forgotten = false): void {
    const held = this.#externals.size === 0 ? undefined : this.#externals.get(slot);
    if (!this.#slots.settle(slot, value, failed)) return;
    if (held === undefined) this.#slots.free(slot);
    else if (forgotten || held.unwritten === 0) this.#release(slot);
    else held.settled = true;
  }

  /** The core failed: nothing of it can be trusted. Fails everything; the next command starts a fresh one. */
  #trap(cause: unknown): void {
    const host = this.#host;
    this.#host = undefined;
    this.#disconnect();
    this.#outbox.clear();
    this.#timerAt = Infinity;
    this.#ready = false;
    clearTimeout(this.#timer);
    const error = (command?: string): RedisError =>
      cause instanceof ClientError && host === undefined
        ? cause
        : new ClientError("redwire's core failed; the next command starts a fresh one", { command, maybeExecuted: true, cause });
    this.lastError = error();
    this.#attempt?.fail(this.lastError);
    this.#attempt = undefined;
    for (const slot of this.#slots.all()) this.#settle(slot, error(this.#slots.commandOf(slot)), true, true);
    for (const slot of this.#externals.keys()) this.#release(slot);
    this.#refused.clear();
    this.#become("idle", this.lastError);
  }
}

/** Large arguments of a command, or of a transaction. */
interface Externals {
  args: Large[];
  unwritten: number;
  settled: boolean;
}

/** A promise for the end of one attempt to connect; nobody has to look at it. */
class Attempt {
  succeed!: () => void;
  fail!: (error: unknown) => void;
  readonly promise = new Promise<void>((resolve, reject) => {
    this.succeed = resolve;
    this.fail = reject;
  });

  constructor() {
    this.promise.catch(() => {});
  }
}

