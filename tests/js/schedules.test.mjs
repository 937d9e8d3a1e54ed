// Random schedules of everything that can happen to the JavaScript layer, in virtual time: whoever calls back whenever, each promise settles,
// with its own reply or an error that is true, and nothing is left. REDWIRE_SEED replays one; REDWIRE_SCHEDULES says how many.
import assert from "node:assert/strict";
import test from "node:test";
import { handshake } from "./support/fake.mjs";
import { array, bulk, Commands, ok, queued } from "./support/resp.mjs";

/** Of the world that runs: whether an export of the core is to fail. */
let trips = () => false;
const Instance = WebAssembly.Instance;
WebAssembly.Instance = function (module, imports) {
  const { exports } = new Instance(module, imports);
  const tripping = (name) => (...args) => {
    if (trips(name)) throw new WebAssembly.RuntimeError("unreachable");
    return exports[name](...args);
  };
  const names = ["receive", "submit", "timeout", "poll", "transmit", "cancel", "lease", "release", "opened", "closed", "read"].map((name) => `host_${name}`);
  return { exports: { ...exports, ...Object.fromEntries(names.map((name) => [name, tripping(name)])) } };
};
const { Redis, RedisError } = await import("redwire");

/** What happened, and how often; over all schedules, each of `all` must have. */
const tally = {};
const all = [
  ...["a listener", "a signal", "a connector", "a socket that is written to", "a socket that is closed", "a socket that holds the process open"],
  ...["a reply", "a kept reply", "a lease", "a subscription", "given up", "a trap", "destroy", "close"],
  ...["ClientError", "ConnectionError", "LeaseError", "QueueFullError", "TimeoutError"],
];
const count = (what) => (tally[what] = (tally[what] ?? 0) + 1);

/** Numbers that follow from `seed`. */
const dice = (seed) => {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (end) => Math.floor(next() * end);
  return { below, chance: (one) => below(one) === 0, pick: (list) => list[below(list.length)] };
};

const { setTimeout: realSetTimeout, clearTimeout: realClearTimeout, setImmediate: realSetImmediate } = globalThis;
const realRandom = Math.random;
/** Lets everything that is under way in this process come to its end. */
const settled = () => new Promise((resolve) => realSetImmediate(resolve));

/** Time that passes when it is told to. */
class Clock {
  now = 1_000;
  #timers = new Set();

  install(seed) {
    globalThis.setTimeout = (task, delay = 1, ...args) => {
      assert.ok(delay < 2 ** 31 && !Number.isNaN(delay), `a delay of ${delay}`);
      const timer = { at: this.now + Math.max(1, delay), run: () => task(...args), ref: () => timer, unref: () => timer };
      this.#timers.add(timer);
      return timer;
    };
    globalThis.clearTimeout = (timer) => this.#timers.delete(timer);
    performance.now = () => this.now;
    Math.random = () => (seed % 97) / 97;
  }

  remove() {
    Object.assign(globalThis, { setTimeout: realSetTimeout, clearTimeout: realClearTimeout });
    Math.random = realRandom;
    delete performance.now;
  }

  async pass(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const [first] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (first === undefined) break;
      this.#timers.delete(first);
      this.now = Math.max(this.now, first.at);
      first.run();
      await settled();
    }
    this.now = end;
  }
}

class World {
  #dice;
  #clock = new Clock();
  #links = [];
  #waiting = [];
  #drains = [];
  #controllers = [];
  #leases = [];
  #subscribers = [];
  #pending = new Set();
  /** How often the server executed what a text stands for. */
  #executed = new Map();
  #texts = 0;
  #depth = 0;
  /** Whether the client keeps replies. */
  #keeps = false;
  #isQuiet = false;
  #isOver = false;
  #faults = [];

  constructor(seed) {
    this.seed = seed;
    this.#dice = dice(seed);
  }

  async run() {
    const { below, chance, pick } = this.#dice;
    this.#clock.install(this.seed);
    const risky = chance(3);
    this.#keeps = chance(3);
    trips = (name) => risky && !this.#isQuiet && !this.#isOver && this.#depth < 3 && below(150) === 0 && (count("a trap"), true);
    try {
      this.redis = new Redis({
        connector: (...args) => this.#connect(...args),
        protocol: pick([2, "auto"]),
        maxConnections: 3,
        queueTimeout: 200,
        timeout: 400,
        connectTimeout: 100,
        poolTimeout: 150,
        maxResends: below(3),
        retryDelay: 10,
        maxRetryDelay: 50,
        ...(this.#keeps && { cache: {}, protocol: "auto" }),
        ...pick([{}, { highWater: { maxCommands: 1 + below(6), onFull: pick(["reject", "wait"]) } }, { offlineQueue: { maxCommands: 1 + below(4), onFull: pick(["reject", "drop-oldest"]) } }, { offlineQueue: false }]),
      });
      this.redis.onStateChange((status) => {
        if (chance(2)) this.#reenter("a listener");
        if (chance(9)) throw new Error(`a listener's own, ${status}`);
      });
      for (let step = 0; step < 60; step++) {
        for (let calls = below(4); calls > 0; calls--) this.#ask();
        for (let events = below(4); events > 0; events--) this.#happen();
        if (chance(2)) {
          await settled();
          assert.ok(this.#links.length <= 4, `${this.#links.length} connections: ${JSON.stringify(this.redis.inspect().links, undefined, 1)}`);
        }
        if (chance(6)) await this.#clock.pass(below(120));
      }
      await this.#end();
    } finally {
      this.#isOver = true;
      this.#clock.remove();
      trips = () => false;
    }
    assert.deepEqual(this.#faults, []);
  }

  /** The user calls something. */
  #ask() {
    const { below, chance, pick } = this.#dice;
    const { redis } = this;
    const kind = below(66);
    if (kind < 8) return this.#abort();
    if (kind < 10) return this.#track(redis.connect(), {});
    if (kind < 14) return this.#lease();
    if (kind < 17 && this.#leases.length > 0) return this.#track(this.#leases.splice(below(this.#leases.length), 1)[0].release(), {});
    if (kind === 17 && chance(20)) return count("destroy"), redis.destroy();
    if (kind === 17 && chance(20)) return count("close"), this.#track(redis.close({ timeout: below(200) }), {});
    if (kind === 18) return void redis.inspect();
    if (kind > 62) return this.#listen();
    const controller = chance(3) ? this.#controller() : undefined;
    const client = this.#leases.length > 0 && chance(3) ? pick(this.#leases) : redis;
    const view = client.with({ ...(controller && { signal: controller.signal }), ...(chance(6) && { timeout: 1 + below(50) }) });
    if (kind < 26) return this.#pipeline(view, controller, kind < 22);
    if (kind < 28) return this.#stream(view, controller);
    if (kind < 31 || (this.#keeps && kind < 48)) {
      const key = `key ${below(3)}`;
      return this.#track(view.get(key), { controller }, (value) => assert.equal(value, `value of ${key}`));
    }
    const text = this.#text(chance(25) ? 70_000 : 0);
    if (kind < 37) return this.#track(view.blpop([text], below(2)), { texts: [text], controller }, (value) => assert.deepEqual(value, [text, "popped"]));
    const promise = kind < 51 ? view.echo(text) : view.call("OWN", text);
    this.#track(promise, { texts: [text], controller, once: kind >= 51 }, (value) => assert.equal(value, text));
  }

  #text(length) {
    return `text ${this.#texts++} `.padEnd(length, "x");
  }

  #controller() {
    const { chance, pick } = this.#dice;
    if (this.#controllers.length > 0 && !chance(3)) return pick(this.#controllers);
    const controller = new AbortController();
    const listen = () => controller.signal.addEventListener("abort", () => chance(2) && this.#reenter("a signal"));
    // before redwire does, or behind
    if (chance(2)) listen();
    else queueMicrotask(listen);
    this.#controllers.push(controller);
    return controller;
  }

  #abort() {
    const { below, chance } = this.#dice;
    if (this.#controllers.length === 0) return;
    const at = below(this.#controllers.length);
    const controller = this.#controllers[at];
    if (!chance(5)) this.#controllers.splice(at, 1);
    controller.abort(new Error("enough"));
  }

  #lease() {
    const controller = this.#dice.chance(2) ? this.#controller() : undefined;
    this.#track(this.redis.lease(controller && { signal: controller.signal }), { controller }, (lease) => {
      count("a lease");
      this.#leases.push(lease);
      if (this.#isQuiet) this.#track(lease.release(), {});
    });
  }

  /** Somebody listens, to one more name, or not any more. */
  #listen() {
    const { below, chance, pick } = this.#dice;
    const subscribers = this.#subscribers;
    if (subscribers.length > 0 && chance(2)) return this.#track(subscribers.splice(below(subscribers.length), 1)[0].close(), {});
    if (this.#isQuiet) return;
    try {
      if (subscribers.length === 0 || chance(2)) subscribers.push(this.redis.pubsub());
    } catch (error) {
      return this.#check(error, {});
    }
    this.#track(pick(subscribers).subscribe(this.#text(0)), {}, () => count("a subscription"));
  }

  #pipeline(view, controller, transaction) {
    const { below, chance } = this.#dice;
    const texts = Array.from({ length: chance(8) ? 40 + below(300) : 1 + below(6) }, () => this.#text(0));
    const pipeline = view.pipeline({ transaction });
    const once = chance(2);
    for (const text of texts) once ? pipeline.call("OWN", text) : pipeline.echo(text);
    this.#track(pipeline.execute(), { texts, controller, once, transaction }, (values) => assert.deepEqual(values, texts));
  }

  #stream(view, controller) {
    const texts = Array.from({ length: this.#dice.below(9) }, () => this.#text(0));
    let next = 0;
    const onResult = (result, index) => {
      assert.equal(index, next++);
      if (typeof result === "string") assert.equal(result, texts[index]);
      else this.#check(result, { texts: [texts[index]], controller });
    };
    const source = texts.map((text) => ({ command: "ECHO", args: [text] }));
    this.#track(view.pipelineStream(source, { window: 1 + this.#dice.below(4), onResult }), { controller }, (total) => assert.equal(total, texts.length));
  }

  /** Calls back, whatever is being worked through. */
  #reenter(who) {
    if (this.#isOver || this.#depth > 2) return;
    count(who);
    this.#depth++;
    for (let calls = this.#dice.below(3); calls >= 0; calls--) this.#ask();
    this.#depth--;
  }

  #track(promise, about, fits = () => {}) {
    const entry = { about, stack: new Error("it was asked for here").stack };
    this.#pending.add(entry);
    const end = (check) => (given) => {
      this.#pending.delete(entry);
      try {
        check(given);
      } catch (error) {
        this.#faults.push(error);
      }
    };
    promise.then(
      end((value) => (count("a reply"), fits(value))),
      end((error) => this.#check(error, about)),
    );
  }

  /** Fails unless `error` is true. */
  #check(error, { texts = [], controller, once, transaction = true }) {
    if (controller?.signal.aborted && error === controller.signal.reason) return count("given up");
    if (!(error instanceof RedisError)) throw error;
    count(error.name);
    if (error.results !== undefined && !transaction) {
      error.results.forEach((result, at) => {
        if (typeof result === "string") assert.equal(result, texts[at]);
        else if (result !== error) this.#check(result, { texts: [texts[at]], controller, once });
      });
      return this.#check(error.results[error.position], { texts: [texts[error.position]], controller, once });
    }
    for (const text of texts) {
      const times = this.#executed.get(text) ?? 0;
      if (error.maybeExecuted === false) assert.equal(times, 0, `executed, though ${error.name} says not: ${error.message}`);
      if (once) assert.ok(times < 2, `executed ${times} times`);
    }
  }

  /** Something happens out there. */
  #happen() {
    const { below, chance, pick } = this.#dice;
    const kind = below(20);
    if (kind < 3) return this.#waiting.splice(below(this.#waiting.length), 1)[0]?.();
    if (kind < 5) return this.#drains.shift()?.();
    const link = pick(this.#links);
    if (link === undefined) return;
    if (kind === 5 && chance(3)) return link.end(chance(2) ? undefined : new Error("reset"));
    link.deliver(chance(2) ? Infinity : 1 + below(40));
  }

  #connect(endpoint, sink, signal) {
    const { below, chance } = this.#dice;
    if (!this.#isQuiet) {
      if (chance(8)) this.#reenter("a connector");
      const kind = below(12);
      if (kind === 0) throw new Error("no");
      if (kind === 1) return Promise.reject(new Error("no"));
      if (kind < 5) return new Promise((resolve, reject) => this.#waiting.push(() => (chance(4) ? reject(new Error("no")) : resolve(this.#socket(sink)))));
    }
    const socket = this.#socket(sink);
    return chance(2) ? socket : Promise.resolve(socket);
  }

  #socket(sink) {
    const { below, chance } = this.#dice;
    const world = this;
    const parser = new Commands();
    const greet = handshake(3);
    let out = Buffer.alloc(0);
    let live = true;
    let transaction;
    let window;
    let resp3 = false;
    const names = new Set();
    const told = (what, name, count) => Buffer.from(`${resp3 ? ">" : "*"}3\r\n+${what}\r\n+${name}\r\n:${count}\r\n`);
    const act = (who) => chance(12) && !world.#isQuiet && world.#reenter(who);
    const reply = (raw) => {
      const [name, text] = raw.map(String);
      if (name === "MULTI") return (transaction = []), ok;
      if (name === "EXEC") {
        const all = transaction;
        transaction = undefined;
        return array(all.map((one) => reply(one)));
      }
      if (transaction !== undefined) return transaction.push(raw), queued;
      if (name === "CLIENT") return ok;
      if (name === "SUBSCRIBE") return Buffer.concat(raw.slice(1).map(String).map((one) => told("subscribe", one, names.add(one).size)));
      if (name === "UNSUBSCRIBE") return Buffer.concat([...names].map((one) => (names.delete(one), told("unsubscribe", one, names.size))));
      if (name === "PING" && names.size > 0 && !resp3) return array([bulk("pong"), bulk("")]);
      if (name === "GET") return bulk(`value of ${text}`);
      if (text !== undefined) world.#executed.set(text, (world.#executed.get(text) ?? 0) + 1);
      if (name === "BLPOP") return array([bulk(text), bulk("popped")]);
      return name === "PING" ? Buffer.from("+PONG\r\n") : bulk(text ?? "");
    };
    const link = {
      deliver(length) {
        const bytes = out.subarray(0, length);
        if (!live || bytes.length === 0) return;
        out = out.subarray(bytes.length);
        if (window === undefined) return sink.onData(bytes);
        for (let at = 0; at < bytes.length && live; ) {
          const place = window[0]();
          const part = bytes.subarray(at, at + place.length);
          place.set(part);
          window[1](part.length);
          at += part.length;
        }
      },
      end(error) {
        if (!live) return;
        live = false;
        world.#links.splice(world.#links.indexOf(link), 1);
        sink.onClose(error);
      },
    };
    world.#links.push(link);
    return {
      write(bytes) {
        act("a socket that is written to");
        if (chance(60) && !world.#isQuiet) throw new Error("no more");
        for (const raw of parser.take(bytes)) {
          resp3 ||= String(raw[0]) === "HELLO";
          out = Buffer.concat([out, greet(raw.map(String)) ?? reply(raw)]);
        }
        if (chance(10)) link.deliver(Infinity);
        if (!chance(10)) return true;
        world.#drains.push(() => sink.onDrain());
        return false;
      },
      close() {
        if (live) world.#links.splice(world.#links.indexOf(link), 1);
        live = false;
        act("a socket that is closed");
        if (chance(9)) throw new Error("it will not close");
      },
      ref: () => act("a socket that holds the process open"),
      unref() {
        if (chance(9)) throw new Error("it cannot");
      },
      ...(chance(3) && { readInto: (...given) => void (window = given) }),
    };
  }

  /** Nothing goes wrong any more: everything settles, and is as it should be. */
  async #end() {
    const { redis } = this;
    this.#isQuiet = true;
    if (redis.cacheStats?.hits > 0) count("a kept reply");
    const rest = async (condition, what) => {
      for (let round = 0; !condition(); round++) {

        if (round > 300) {
          const [first] = this.#pending;
          throw new Error(`${what}: ${JSON.stringify(redis.inspect(), undefined, 1)}`, { cause: first?.stack });
        }
        for (const open of this.#waiting.splice(0)) open();
        for (const drain of this.#drains.splice(0)) drain();
        for (const link of [...this.#links]) link.deliver(Infinity);
        await settled();
        if (round % 4 === 3) await this.#clock.pass(20);
      }
    };
    await settled();
    for (const lease of this.#leases.splice(0)) this.#track(lease.release(), {});
    for (const subscriber of this.#subscribers.splice(0)) this.#track(subscriber.close(), {});
    await rest(() => this.#pending.size === 0, "something never settled");
    assert.deepEqual(redis.inspect().waiting, []);
    if (redis.status !== "closed") {
      // nothing is lost of what there is to share
      for (const what of ["as many leases as there may be", "as often as one likes"]) {
        const leases = [];
        let had = 0;
        while (leases.length < 3) {
          this.#track(redis.lease(), {}, (lease) => leases.push(lease));
          await rest(() => this.#pending.size === 0, what);
          assert.equal(leases.length, ++had, what);
          const text = this.#text(0);
          this.#track(leases.at(-1).echo(text), {}, (value) => assert.equal(value, text));
          await rest(() => this.#pending.size === 0, what);
        }
        for (const lease of leases) await lease.release();
      }
      for (let at = 0; at < 150; at++) {
        const text = this.#text(0);
        this.#track(redis.echo(text), { texts: [text] }, (value) => assert.equal(value, text));
      }
      // closing waits for them
      this.#track(redis.close(), {});
      await rest(() => this.#pending.size === 0, "something never settled when all was well");
    }
    assert.equal(redis.status, "closed");
    assert.deepEqual(redis.inspect().waiting, []);
  }
}

test("random schedules: each promise settles with its own reply or an error that is true, and nothing is left", { timeout: 300_000 }, async () => {
  const one = process.env.REDWIRE_SEED;
  const first = one === undefined ? 0 : Number(one);
  const schedules = one === undefined ? Number(process.env.REDWIRE_SCHEDULES ?? 200) : 1;
  for (let seed = first; seed < first + schedules; seed++) {
    try {
      await new World(seed).run();
    } catch (error) {
      throw new Error(`replay with REDWIRE_SEED=${seed}: ${error.message}`, { cause: error });
    }
  }
  if (one === undefined) for (const what of all) assert.ok(tally[what] > 2, `${what}: ${tally[what]}`);
});
