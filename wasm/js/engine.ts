import { Aborts } from "./aborts.js";
import type { CacheStats } from "./cache.js";
import type { Connector, Endpoint } from "./connector.js";
import { Channel } from "./channel.js";
import { Keeper } from "./credentials.js";
import { ClientError, ConnectionError, type RedisError } from "./errors.js";
import { Externals } from "./externals.js";
import { failure, Reason, type Situation } from "./failure.js";
import { Host } from "./host.js";
import { Errors, inspectLinks, type Inspection } from "./inspect.js";
import { Kept, NOTHING_KEPT } from "./kept.js";
import { Outbox } from "./outbox.js";
import type { Notice, Told } from "./pubsub/notices.js";
import { LISTENER } from "./reader.js";
import { Scripts } from "./scripts.js";
import type { Listener, Settings } from "./settings.js";
import { Slots } from "./slots.js";
import { States, type StateListener, type Status } from "./status.js";
import { atMost, laterUnheld, type Timer } from "./timer.js";
import { Version, type Trial } from "./version.js";
import { LANE, Wire, type Home } from "./wire.js";

/** What the core wants done; numbers are those of `wasm/src/host.rs`. */
const enum Act {
  OPEN,
  READY,
  CLOSE,
  UNSENT,
  UNKNOWN,
  REST,
  LOST,
  LEASED,
  UNANSWERED,
}

/** This many empty boxes are kept. */
const BOXES = 16;

/** Runs `task` once this tick's work, promises included, is done. */
const atTickEnd: (task: () => void) => void =
  typeof process === "object" && typeof process.nextTick === "function"
    ? process.nextTick
    : (task) => queueMicrotask(() => queueMicrotask(task));

const now = (): number => performance.now();

/** Takes what comes of a command that was given up: nobody has a lease that was granted. */
const giveBack = (value: unknown): void => {
  if (value instanceof Channel) value.close();
};

/** One client's machine and everything that waits: the only place, but for its wires, that calls the core. */
export class Engine implements Home {
  readonly #settings: Settings;
  readonly slots = new Slots();
  /** The ways in, those of clients and of leases. */
  readonly #channels: Channel[] = [];
  readonly #boxes: Outbox[] = [];
  readonly #aborts = new Aborts((slots, reason) => this.cancel(slots, reason));
  readonly externals = new Externals((slot) => this.slots.free(slot));
  /** Refused commands of transactions until their EXEC is answered: MULTI's is the first place. */
  readonly #refused = new Map<number, RedisError[]>();
  /** Where, among the replies to transactions, integers may be of any size. */
  readonly #wide = new Map<number, Set<number>>();
  host: Host | undefined;
  /** The replies that the core keeps. */
  kept: Kept | undefined;
  /** By lane; the first is that of the shared connection. */
  #wires: Wire[] = [];
  #flushing = false;
  /** Whether results of the core are being worked through, or a socket is being written to: whatever arrives meanwhile waits. */
  busy = false;
  /** Whether there may be something to work through. */
  #due = false;
  readonly #arrived: (() => void)[] = [];
  #timer: Timer;
  #timerAt = Infinity;
  /** Whether a deadline may have come that is before the timer's. */
  sooner = false;
  readonly #states = new States();
  #attempt: Attempt | undefined;
  /** Who wants to know when nothing waits any more. */
  #quiet: (() => void)[] = [];
  /** Why there is no shared link, from the loss of one to the next that is ready. */
  #trouble: RedisError | undefined;
  /** The wire whose link ended last, for what it made fail. */
  #ended: Wire | undefined;
  /** Whether the timer holds the process open. */
  #awake = false;
  /** Whether the core may come to wait for a time of its own, as between two tries for a lock, or for room. */
  waits: boolean;
  readonly #scripts = new Scripts();
  /** Whether somebody waits for what nobody asked for. */
  #listened = false;
  readonly #errors: Errors;
  /** Of what listens: the engine in whose pool it has its place. */
  readonly #parent: Engine | undefined;
  /** Ends the waiting for that place. */
  #asking: AbortController | undefined;
  /** Engines that listen, and their places in the pool. */
  readonly places = new Map<Engine, Channel>();
  readonly keeper: Keeper | undefined;
  readonly version: Version;

  constructor(settings: Settings, parent?: Engine) {
    this.#settings = settings;
    this.version = new Version(settings.verifyVersion);
    this.waits = settings.highWater[2] === 1;
    this.#parent = parent;
    this.#errors = parent === undefined ? new Errors() : parent.#errors;
    const { credentials, retryDelay, maxRetryDelay, connectTimeout } = settings;
    if (credentials === undefined) return;
    const tell = (username: string | undefined, password: string): void => this.#authenticate(username, password);
    this.keeper = new Keeper(credentials, tell, (error) => this.#errors.add(error), [retryDelay, maxRetryDelay], connectTimeout);
  }

  /** Gives an engine with the same settings for `listener`, whose connection has its place in the pool, and whose errors are told here. */
  with(listener: Listener): Engine {
    return new Engine({ ...this.#settings, minIdle: 0, cache: undefined, features: this.#settings.features & 3, listener }, this);
  }

  /** Holds the process open, or not, though nothing was asked for. */
  listen(listened: boolean): void {
    if (listened === this.#listened) return;
    this.#listened = listened;
    if (!this.busy) this.#holdOpen();
  }

  get endpoint(): Endpoint {
    return this.#settings.endpoint;
  }

  get connector(): Connector {
    return this.#settings.connector;
  }

  get isListener(): boolean {
    return this.#settings.listener !== undefined;
  }

  /** See {@link Settings.runtimeChecks}. */
  get checks(): boolean {
    return this.#settings.runtimeChecks;
  }

  get status(): Status {
    return this.#states.status;
  }

  /** Tells every change of status until the function given back is called. */
  onStateChange(listener: StateListener): () => void {
    return this.#states.listen(listener);
  }

  /** Tells what it is at, and those that listen beside it. */
  inspect(): Inspection {
    this.#submit();
    const { links, waiting } = this.#links();
    for (const [child, place] of this.places) {
      const beside = child.inspect();
      // a fresh core may not know of it yet
      const link = place.host === this.host ? place.lease & LANE : links.length;
      waiting.push(...beside.waiting.map((one) => ({ ...one, link })));
      links[link] = { ...beside.links[0]!, kind: "listening" };
    }
    const version = this.version.said ? { version: this.version.said } : {};
    return { status: this.status, server: this.#settings.where, ...version, links, waiting, lastErrors: this.#errors.list() };
  }

  #links(): Pick<Inspection, "links" | "waiting"> {
    return this.host === undefined ? { links: [], waiting: [] } : inspectLinks(this.host, now(), (slot) => this.slots.commandOf(slot));
  }

  /** Gives why commands are not taken any more, if so. */
  refusal(command?: string): RedisError | undefined {
    if (this.status !== "closing" && this.status !== "closed") return undefined;
    return new ConnectionError("the client is closed: make a new one", { command, maybeExecuted: false });
  }

  /** Takes commands from `channel` too. */
  add(channel: Channel): void {
    this.#channels.push(channel);
  }

  /** Takes no more commands from `channel`; a lease is given back. */
  remove(channel: Channel): void {
    this.#submit();
    this.#channels.splice(this.#channels.indexOf(channel), 1);
    if (channel.lease !== 0 && channel.host === this.host) this.#call((host) => host.exports.host_release(now(), channel.lease));
  }

  /** Takes a connection of its own, once one is free; for `listening`, a command of what listens, the place of one. */
  lease(signal: AbortSignal | undefined, listening = ""): Promise<Channel> {
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const slot = this.slots.open(resolve as (value: unknown) => void, reject, listening, 0);
      if (signal !== undefined) this.abortable(slot, signal);
      this.#call((host) => host.exports.host_lease(now(), slot, listening !== ""));
    });
  }

  /** Tells whether what listens may have a connection; asks for its place where somebody waits for that. */
  #isPlaced(parent: Engine): boolean {
    if (parent.places.has(this) || this.status === "closed") return true;
    const [slot] = this.slots.all();
    if (slot !== undefined && this.#asking === undefined) void this.#ask(parent, this.commandOf(slot));
    return false;
  }

  /** Waits for a place, and sends what waits for it. */
  async #ask(parent: Engine, command: string): Promise<void> {
    const { signal } = (this.#asking = new AbortController());
    try {
      const place = await parent.lease(signal, command);
      if (signal.aborted) place.close();
      else parent.places.set(this, place);
    } catch (error) {
      this.#fail(() => error);
    }
    this.#asking = undefined;
    this.flush();
  }

  /** Has a fresh core know of a place that `child` has. */
  #replace(host: Host, child: Engine): void {
    const take = (place: unknown): void => void (this.places.has(child) ? this.places.set(child, place as Channel) : giveBack(place));
    host.exports.host_lease(now(), this.slots.open(take, () => {}, "", 0), true);
  }

  /** Gives its place back, if it has one. */
  #vacate(): void {
    const place = this.#parent?.places.get(this);
    this.#parent?.places.delete(this);
    place?.close();
  }

  /** Calls the core, which is started if need be, and works through what that leads to. */
  #call(task: (host: Host) => void): void {
    this.sooner = true;
    try {
      task((this.host ??= this.#start()));
    } catch (error) {
      this.trap(error);
    }
    this.work();
  }

  /** Keeps the text of a script, for calls by its digest that have {@link Flag.SCRIPT} and are asked for in this tick; gives the digest. */
  learn(lua: string): string {
    this.host ??= this.#start();
    const known = this.#scripts.digestOf(lua);
    if (known !== undefined) return known;
    // calls that were asked for take their texts along
    if (this.#scripts.isFull) this.flush();
    return this.#scripts.add((this.host ??= this.#start()), lua);
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

  /** Hands the core what is to be sent. */
  #submit(): void {
    if (this.#parent !== undefined && !this.#isPlaced(this.#parent)) return;
    for (const channel of this.#channels) this.#hand(channel);
  }

  /** Hands the core what is to be sent of one channel; tells whether some of it was kept. */
  #hand({ outbox, lease }: Channel): boolean {
    if (outbox.count === 0) return false;
    try {
      const at = now();
      outbox.submit((this.host ??= this.#start()), at, lease);
      // where there is no link, or another than the shared one, who knows which limit holds
      if (!this.#wires[0]?.ready || this.#wires.length > 1 || at + (this.#settings.timeout || Infinity) < this.#timerAt) this.sooner = true;
      return this.kept !== undefined && this.kept.tell();
    } catch (error) {
      this.trap(error);
      return false;
    }
  }

  /** Settles the only command of this tick on `channel` at once where its reply is kept: it need not wait for others. */
  isKept(channel: Channel): boolean {
    return this.kept !== undefined && channel.outbox.count === 1 && !this.#flushing && !this.busy && this.#hand(channel);
  }

  /** What became of commands whose replies may be kept; `undefined` where none is. */
  get cacheStats(): CacheStats | undefined {
    return this.#settings.cache === undefined ? undefined : (this.kept?.stats ?? { ...NOTHING_KEPT });
  }

  /** Sends everything at the end of the tick. */
  schedule(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    atTickEnd(this.#endTick);
  }

  readonly #endTick = (): void => {
    this.#flushing = false;
    this.flush();
  };

  /** Sends everything. */
  flush(): void {
    this.#submit();
    this.work();
  }

  /** Gives up who waits for a lock in `slots`. */
  dismiss(slots: Iterable<number>): void {
    this.#submit();
    this.#call((host) => {
      for (const slot of [...slots]) host.exports.host_dismiss(now(), slot);
    });
  }

  /** Gives up the commands in `slots`, but for those that settle meanwhile and are gone from there: their promises reject with `reason`. */
  cancel(slots: Iterable<number>, reason: unknown): void {
    this.#submit();
    try {
      for (const slot of slots) {
        const written = this.host?.exports.host_cancel(now(), slot) ?? 0;
        for (const wire of this.#wires) wire.drop(slot);
        // what became of it is said already, if not heard yet
        if (written < 0) this.slots.giveUp(slot, reason, giveBack);
        else this.#settle(slot, reason, true, written === 0);
      }
    } catch (error) {
      this.trap(error);
    }
    // not at once: the tick may ask for more
    this.sooner = true;
    this.schedule();
  }

  /** Gives up the command in `slot` when `signal` aborts. */
  abortable(slot: number, signal: AbortSignal): void {
    this.slots.onSettled(slot, this.#aborts.watch(signal, slot));
  }

  /** Gives up all commands in `slots`, of which nothing is written then, where a server that is not known yet turns out to be too old for one. */
  prove(slots: readonly number[], refusalOf: Trial["refusalOf"] | undefined): Trial | undefined {
    if (refusalOf === undefined || !this.version.isAwaited || slots[0]! < 0) return undefined;
    const trial: Trial = { slots: new Set(slots), refusalOf };
    this.version.add(trial);
    for (const slot of slots) this.slots.onSettled(slot, () => this.version.drop(trial, slot));
    return trial;
  }

  /** Connects unless connected; rejects when the first attempt fails. */
  connect(): Promise<void> {
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.status === "ready") return Promise.resolve();
    const { promise } = (this.#attempt ??= new Attempt());
    this.#call((host) => host.exports.host_connect(now()));
    return promise;
  }

  /** Whether nothing waits, not even what the core asks for itself, as to give up a lock. */
  get #isQuiet(): boolean {
    return this.slots.waiting === 0 && this.#links().waiting.length === 0;
  }

  /** Takes no more commands; resolves when those in flight are settled, at the latest after `timeout` ms. */
  async close(timeout: number): Promise<void> {
    if (!this.#isQuiet) {
      this.#states.become("closing");
      this.#submit();
      // what blocks would hold everything up
      if (this.host !== undefined) this.#call((host) => host.exports.host_unblock(now()));
    }
    // nobody waits for the next attempt to connect
    if (!this.#isQuiet && this.#links().links[0]?.state !== "waiting") await atMost(timeout, new Promise<void>((resolve) => this.#quiet.push(resolve)));
    this.destroy();
  }

  /** Ends everything at once. */
  destroy(): void {
    if (this.status === "closed") return;
    this.#states.become("closed");
    this.#asking?.abort();
    for (const wire of this.#wires) wire.disconnect();
    // not in the midst of what the core wants done: that may be for what waits
    this.arrive(() => {
      this.#submit();
      if (this.host !== undefined) this.#call((host) => host.exports.host_shutdown());
      this.host = this.kept = undefined;
      this.#attempt?.fail(new ConnectionError("the client was closed"));
      this.#attempt = undefined;
      clearTimeout(this.#timer);
      this.keeper?.forget();
      for (const channel of [...this.#channels]) channel.end();
      this.#vacate();
      this.#settings.listener?.ended();
    });
  }

  #start(): Host {
    this.#scripts.clear();
    const host = new Host();
    this.#wires = [];
    const { protocol, database, connectTimeout, timeout, username, password, clientName } = this.#settings;
    const { queueTimeout, retryDelay, maxRetryDelay, maxResends, offline, highWater, maxReplyBytes, keepAlive, features } = this.#settings;
    const { maxConnections, minIdle, maxIdleTime, poolTimeout } = this.#settings;
    const lengths = host.giveTexts([username, password, clientName]);
    // what spreads attempts is no secret: Node takes milliseconds to load what makes those
    const seed = Math.random() * 2 ** 32;
    const { listener } = this.#settings;
    const listens = listener === undefined ? 0 : listener.monitors ? 2 : 1;
    const times = [connectTimeout, timeout, queueTimeout, retryDelay, maxRetryDelay];
    const words = [protocol, database, ...times, maxResends, seed, ...offline, ...highWater, maxReplyBytes, keepAlive, maxConnections, minIdle, maxIdleTime, poolTimeout, features, listens, ...lengths];
    host.giveWords(words);
    host.exports.host_configure();
    if (this.#settings.cache !== undefined) this.kept = new Kept(host, this.#settings.cache, this);
    for (const child of this.places.keys()) this.#replace(host, child);
    this.keeper?.renew();
    return host;
  }

  /** Has the core, and open links, know new credentials. */
  #authenticate(username: string | undefined, password: string): void {
    this.#call((host) => {
      const [user, secret] = host.giveTexts([username, password]);
      host.exports.host_authenticate(user!, secret!);
    });
  }

  /** Works through what the core wants done and sent, and then through what arrived meanwhile. */
  work(): void {
    this.#due = true;
    if (this.busy) return;
    while (this.#due && this.host !== undefined) {
      this.#due = false;
      this.busy = true;
      try {
        this.#pass(this.host);
      } catch (error) {
        this.trap(error);
      } finally {
        this.busy = false;
      }
    }
    this.#holdOpen();
    // nothing is open, and nothing is tried
    if (this.#parent !== undefined && this.status === "idle") this.#vacate();
    while (this.#arrived.length > 0 && !this.busy) this.#arrived.shift()!();
  }

  #pass(host: Host): void {
    this.#act(host);
    for (const wire of this.#wires) wire.transmit(host);
    // what is not answered settles when it was written
    if (this.#wires.length > 1) this.#act(host);
    if (this.host === host) this.#arm(host);
  }

  /** Calls `take` when nothing is being worked through. */
  arrive(take: () => void): void {
    if (this.busy) this.#arrived.push(take);
    else take();
  }

  /** Does what the core wants done, until it fails: whoever is called meanwhile may have it do so. */
  #act(host: Host): void {
    while (this.host === host) {
      const count = host.exports.host_poll();
      if (count === 0) return;
      const at = host.register(0) >>> 2;
      const actions = host.words.slice(at, at + count);
      for (let i = 0; i < count && this.host === host; i += 4) this.#do(host, actions[i]!, actions[i + 1]!, actions[i + 2]!, actions[i + 3]!);
    }
  }

  #do(host: Host, act: Act, id: number, reason: number, detail: number): void {
    this.sooner = true;
    switch (act) {
      case Act.OPEN: {
        const lane = id & LANE;
        while (this.#wires.length <= lane) this.#wires.push(new Wire(this.#wires.length, this, host));
        if (lane === 0 && this.status !== "reconnecting") this.#states.become("connecting");
        return this.#wires[lane]!.open(id);
      }
      case Act.READY: {
        const wire = this.#wires[id & LANE]!;
        wire.ready = true;
        for (const { slots, error } of this.version.greet(host.text(host.exports.host_version(wire.lane)), detail !== 0)) this.cancel([...slots], error);
        if (wire.lane !== 0) return;
        this.#trouble = undefined;
        this.#attempt?.succeed();
        this.#attempt = undefined;
        return this.#states.become("ready");
      }
      case Act.CLOSE:
      case Act.LOST:
        return this.#end(host, this.#wires[id & LANE]!, failure(reason, detail, this.#situation(host, this.#wires[id & LANE])), reason, act);
      case Act.REST:
        this.keeper?.forget();
        return this.#states.become("idle", this.#trouble);
      case Act.LEASED:
        return this.#settle(id, new Channel(this, reason), false);
      case Act.UNANSWERED:
        return this.#settle(id, undefined, false);
      default: {
        const unknown = act === Act.UNKNOWN;
        const situation = this.#situation(host, this.#ended);
        // a command that waited has the trouble as its cause, one that was written what the socket said
        if (this.#trouble !== undefined) situation.cause = this.#trouble.cause;
        if (!unknown) situation.trouble = this.#trouble;
        const error = failure(reason, detail, situation, this.slots.commandOf(id) || undefined, unknown);
        for (const wire of this.#wires) wire.drop(id);
        this.#settle(id, error, true, !unknown || (reason !== Reason.TIMEOUT && reason !== Reason.REPLY_TOO_LARGE));
      }
    }
  }

  /** Takes the end of a link. */
  #end(host: Host, wire: Wire, error: RedisError, reason: Reason, act: Act): void {
    if (reason !== Reason.CLOSED) this.#errors.add(error);
    if (reason === Reason.AUTHENTICATION || reason === Reason.UNAUTHENTICATED) this.keeper?.forget();
    this.#ended = wire;
    wire.disconnect();
    // what is sent again is read from its start, and asks for its large arguments again
    wire.drop();
    this.externals.rewind(wire.lane);
    if (wire.lane !== 0) {
      for (const { lease, turns } of this.#channels) if ((lease & LANE) === wire.lane) turns.end();
      return;
    }
    if (reason !== Reason.CLOSED) this.#trouble = error;
    this.#attempt?.fail(error);
    this.#attempt = undefined;
    if (this.status === "closing") return this.destroy();
    this.#states.become(act === Act.LOST ? "reconnecting" : "idle", error);
  }

  #situation(host: Host, wire: Wire | undefined): Situation {
    const { where, connectTimeout, timeout, queueTimeout, poolTimeout, maxConnections } = this.#settings;
    const detail = host.text(host.exports.host_detail(wire?.lane ?? 0));
    const secure = Boolean(this.endpoint.tls);
    return { where, secure, connectTimeout, timeout, queueTimeout, poolTimeout, maxConnections, listening: this.places.size, detail, cause: wire?.cause, trouble: undefined };
  }

  /** Sets the one timer to the core's next deadline, unless it comes sooner anyway. */
  #arm(host: Host): void {
    if (this.#timerAt !== Infinity && !this.sooner && !this.waits) return;
    const next = host.exports.host_next_timeout();
    // a timer there must be: it holds the process open while there is no socket
    const at = next < 0 ? Number.MAX_VALUE : next;
    this.sooner = false;
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = laterUnheld(this.#onTimer, at - now());
    this.#awake = false;
  }

  readonly #onTimer = (): void => {
    this.#timerAt = Infinity;
    const host = this.host;
    if (host === undefined) return;
    try {
      host.exports.host_timeout(now());
    } catch (error) {
      this.trap(error);
    }
    this.work();
  };

  /** Holds the process open exactly while something waits. */
  #holdOpen(): void {
    const hold = this.slots.waiting > this.slots.beside || this.#quiet.length > 0 || this.#listened || this.#attempt !== undefined;
    let isOpen = false;
    for (const wire of this.#wires) {
      wire.hold(hold);
      isOpen ||= wire.isOpen;
    }
    // while there is no socket, the timer is what will go on with it
    const awake = hold && !isOpen;
    if (awake !== this.#awake && this.#timer !== undefined) {
      this.#awake = awake;
      if (awake) this.#timer.ref?.();
      else this.#timer.unref?.();
    }
    if (this.#quiet.length > 0 && this.#isQuiet) while (this.#quiet.length > 0) this.#quiet.pop()!();
  }

  modeOf(slot: number): number {
    return slot === LISTENER ? this.#settings.listener!.mode : this.slots.modeOf(slot);
  }

  commandOf(slot: number): string {
    return this.slots.commandOf(slot);
  }

  isWide(slot: number, index: number): boolean {
    return this.#wide.get(slot)?.has(index) === true;
  }

  /** Has integers of any size be among the replies at `places` of the transaction in `slot`. */
  widen(slot: number, places: Set<number>): void {
    this.#wide.set(slot, places);
    this.slots.onSettled(slot, () => this.#wide.delete(slot));
  }

  reply(slot: number, value: unknown, failed: boolean): void {
    if (slot === LISTENER) return this.#hear(value, failed);
    this.#settle(slot, value, failed);
  }

  /** Hands on what was sent unasked; what cannot be read as it is wanted ends it, since it would be lost. */
  #hear(value: unknown, failed: boolean): void {
    const { listener } = this.#settings;
    if (failed) return listener!.ended(value);
    const [notice, first, second, third] = value as Told;
    this.sooner = true;
    listener!.take(notice, first, second, third);
  }

  tell(notice: Notice, first: unknown, second: unknown): void {
    // the core asks the server now and then while messages come
    this.sooner = true;
    this.#settings.listener!.take(notice, first, second, undefined);
  }

  refused(slot: number, index: number, error: RedisError): void {
    const errors = this.#refused.get(slot) ?? [];
    // that of MULTI is one before 0
    errors[(index + 1) >>> 0] = error;
    this.#refused.set(slot, errors);
  }

  /** Rejects a command that never was sent. */
  forget(slot: number, error: unknown): void {
    this.#settle(slot, error, true, true);
  }

  /** Takes what the server refused of the transaction in `slot`: its MULTI, then its commands. */
  takeRefused(slot: number): RedisError[] {
    const errors = this.#refused.get(slot) ?? [];
    this.#refused.delete(slot);
    return errors;
  }

  /** Settles a command. Its slot stays taken while the core may ask for large arguments of it, unless it has forgotten it. */
  #settle(slot: number, value: unknown, failed: boolean, forgotten = false): void {
    const lane = this.externals.laneOf(slot);
    if (!this.slots.settle(slot, value, failed)) return;
    if (lane === undefined) this.slots.free(slot);
    else if (forgotten || !this.#wires[lane]?.ready) this.externals.release(slot);
    else this.externals.settle(slot);
  }

  /** Fails everything that waits, of which the core knows nothing. */
  #fail(error: (command: string) => unknown): void {
    for (const channel of this.#channels) channel.outbox.clear();
    for (const slot of this.slots.all()) this.#settle(slot, error(this.slots.commandOf(slot)), true, true);
  }

  /** The core failed: nothing of it can be trusted. Fails everything; the next command starts a fresh one. */
  trap(cause: unknown): void {
    const host = this.host;
    const wires = this.#wires;
    this.host = this.kept = undefined;
    this.#wires = [];
    this.#timerAt = Infinity;
    clearTimeout(this.#timer);
    const error = (command?: string): RedisError =>
      cause instanceof ClientError && host === undefined
        ? cause
        : new ClientError("redwire's core failed; the next command starts a fresh one", { command, maybeExecuted: true, cause });
    const failed = error();
    this.#errors.add(failed);
    this.#attempt?.fail(failed);
    this.#attempt = undefined;
    this.#fail(error);
    this.externals.clear();
    this.#refused.clear();
    // whoever is called from here on may have started a fresh core
    for (const wire of wires) wire.disconnect();
    for (const channel of [...this.#channels]) if (channel.lease !== 0 && channel.host !== this.host) channel.close();
    this.#states.become("idle", failed);
    this.#settings.listener?.ended(failed);
  }
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

