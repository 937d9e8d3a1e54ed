// cargo xtask soak: 64 loops on a real server behind a proxy, others that hold leases or listen, and a fault every second. At the end everything has settled, no reply was
// wrong, no increment was counted that nobody made, and memory is flat.
import { inspect } from "node:util";
import { ConnectionError, Redis, RedisError, TimeoutError } from "redwire";
import { startProxy } from "./support/proxy.mjs";
import { startServer } from "./support/servers.mjs";

const seconds = Number(process.argv[2] ?? 600);
const LOOPS = 64;
/** Megabytes by which memory may grow from the second sixth of the time to the last. */
const GROWTH = 8;

const ends = [];
const t = { after: (end) => ends.unshift(end) };
const program = process.env.REDWIRE_REDIS ?? "redis-server";
let server = await startServer(program);
const { port } = server;
const proxy = await startProxy(t, port);
const options = { host: "127.0.0.1", port: proxy.port, timeout: 3_000, queueTimeout: 10_000, keepAlive: 300, connectTimeout: 500, maxResends: 50 };
const redis = new Redis(options);
let aside = new Redis({ host: "127.0.0.1", port });

const counts = { replies: 0, doubtful: 0, unsent: 0, held: 0, heard: 0, faults: {} };
const wrong = [];
let stop = false;
/** Is odd while the server is down. */
let epoch = 0;
const isDown = () => epoch % 2 === 1;
/** How often each counter was raised for sure, and may have been besides, since the server was started. */
const raised = Array.from({ length: LOOPS }, () => ({ sure: 0, maybe: 0, epoch: 0 }));

const check = (right, what) => right || wrong.push(what);

const kinds = [
  async (loop, turn) => {
    const own = `${loop}:${turn}`;
    check((await redis.echo(own)) === own, `ECHO ${own}`);
  },
  async (loop) => {
    const at = epoch;
    const count = raised[loop];
    const since = () => count.epoch === epoch || Object.assign(count, { sure: 0, maybe: 0, epoch });
    since();
    try {
      const value = await redis.incr(`n${loop}`);
      since();
      if (epoch !== at) {
        // either server may have executed it
        count.maybe++;
        return;
      }
      count.sure++;
      check(isDown() || value <= count.sure + count.maybe, `INCR gave ${value} of ${inspect(count)}`);
      check(isDown() || value >= count.sure, `INCR gave ${value} of ${inspect(count)}`);
    } catch (error) {
      since();
      if (error.maybeExecuted) count.maybe++;
      throw error;
    }
  },
  async (loop, turn) => {
    const text = `${turn}`.padEnd((turn % 7) * 1_500, "é");
    const [stored, got] = await redis.multi().set(`t${loop}`, text).get(`t${loop}`).execute();
    check(stored === true && got === text, `SET and GET of ${text.length} characters`);
  },
  async (loop, turn) => {
    const own = `${loop}-${turn}`;
    const [one, two] = await redis.pipeline({ transaction: false }).echo(own).echo(`${own}!`).execute();
    check(one === own && two === `${own}!`, `pipeline ${own}`);
  },
  async (loop, turn) => {
    const controller = new AbortController();
    const given = redis.with({ signal: controller.signal }).echo(`given up ${turn}`);
    setImmediate(() => controller.abort(new TimeoutError("given up")));
    await given;
  },
  async (loop) => check((await redis.blpop([`none${loop}`], 0.01)) === null, "BLPOP"),
];

/** How many leases are held for long at once; others take turns on those that are left for blocking commands. */
const HOLDERS = 3;
/** How many listen at once, some of them by a subscriber of their own. */
const LISTENERS = 4;

/** Holds leases for seconds, and uses each as only one connection can be: what was written and not read is of this lease. */
const hold = async (loop, turn) => {
  const lease = await redis.lease();
  try {
    const name = `lease-${loop}-${turn}`;
    await lease.clientSetname(name);
    for (const end = performance.now() + 2_500; !stop && performance.now() < end; ) {
      check((await lease.clientGetname()) === name, `a lease is ${name}'s own`);
      counts.held++;
      await sleep(20);
    }
  } finally {
    await lease.release();
  }
};

/** Publishes numbers and hears them again: of one channel in order, none twice; what is missing may be missing while there are faults. */
const listen = async (loop, turn) => {
  const channel = `c${loop}`;
  let last = -1;
  const heard = (data) => {
    const number = Number(data);
    check(number > last, `${channel} heard ${number} after ${last}`);
    last = Math.max(last, number);
    counts.heard++;
  };
  const subscriber = turn % 2 === 0 ? redis.pubsub() : undefined;
  const unsubscribe = subscriber === undefined ? await redis.subscribe(channel, ({ data }) => heard(data), { onError: (error) => check(error instanceof RedisError, inspect(error)) }) : undefined;
  try {
    await subscriber?.subscribe(channel);
    const end = performance.now() + 2_500;
    for (let sent = turn * 1_000_000; !stop && performance.now() < end; sent++) {
      await redis.publish(channel, `${sent}`);
      const message = await (subscriber?.getMessage({ timeout: 50 }) ?? sleep(5));
      if (message?.type === "message") heard(message.data);
    }
  } finally {
    await unsubscribe?.();
    await subscriber?.close();
  }
};

const run = async (loop, kind = (loop, turn) => kinds[(loop + turn) % kinds.length](loop, turn)) => {
  for (let turn = 0; !stop; turn++) {
    try {
      await kind(loop, turn);
      counts.replies++;
    } catch (error) {
      check(error instanceof RedisError && (error instanceof ConnectionError || error instanceof TimeoutError), inspect(error));
      counts[error.maybeExecuted === false ? "unsent" : "doubtful"]++;
      // a client that can do nothing is not asked in a circle
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
};

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const shared = () => proxy.links.filter(({ open }) => open).at(-1);
const once = (fault, nth = 0) => {
  proxy.onReply = () => (nth-- === 0 ? fault : undefined);
};
const faults = {
  cut: () => shared()?.cut(),
  reset: () => shared()?.reset(),
  "a reply lost": () => once({ drop: true, then: "cut" }, 3),
  "a reply in part": () => once({ only: 3, then: "reset" }, 5),
  "a late reply": () => once({ delay: 200 }),
  blackhole: () => shared() && (shared().blackhole = true),
  "CLIENT KILL": () => aside.call("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes"),
  "CLIENT PAUSE": () => aside.call("CLIENT PAUSE", 300, "ALL"),
  "SIGSTOP, SIGCONT": async () => {
    process.kill(server.pid, "SIGSTOP");
    await sleep(700);
    process.kill(server.pid, "SIGCONT");
  },
  "SIGKILL, start": async () => {
    epoch++;
    await server.stop();
    epoch++;
    server = await startServer(program, [], undefined, port);
  },
  "one byte at a time": async () => {
    proxy.split = 1;
    await sleep(300);
    proxy.split = undefined;
  },
};

const rss = [];
const loops = [
  ...Array.from({ length: LOOPS }, (_, loop) => run(loop)),
  ...Array.from({ length: HOLDERS }, (_, loop) => run(loop, hold)),
  ...Array.from({ length: LISTENERS }, (_, loop) => run(loop, listen)),
];
const started = performance.now();
const names = Object.keys(faults);
for (let second = 0; performance.now() - started < seconds * 1_000; second++) {
  const name = names[second % names.length];
  counts.faults[name] = (counts.faults[name] ?? 0) + 1;
  try {
    await faults[name]();
  } catch (error) {
    check(error instanceof ConnectionError, `${name}: ${inspect(error)}`);
  }
  await sleep(started + (second + 1) * 1_000 - performance.now());
  proxy.forget();
  globalThis.gc?.();
  rss.push(process.memoryUsage.rss() / (1 << 20));
}
stop = true;
const settled = await Promise.race([Promise.all(loops).then(() => true), sleep(20_000).then(() => false)]);
const { waiting, links } = redis.inspect();
check(settled, "a loop did not settle");
check(counts.held > seconds && counts.heard > seconds, `leases were used ${counts.held} times, ${counts.heard} messages heard`);
check(waiting.length === 0, `somebody waits: ${inspect(waiting)}`);
check(links.every(({ queued, inFlight, unsentBytes }) => queued + inFlight + unsentBytes === 0), inspect(links));

const sixth = Math.max(1, Math.floor(rss.length / 6));
const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const [first, last] = [average(rss.slice(sixth, 2 * sixth)), average(rss.slice(-sixth))];
check(last - first < GROWTH, `RSS grew from ${first.toFixed(1)} to ${last.toFixed(1)} MB`);

console.log(`${counts.replies} replies, ${counts.doubtful} of which nobody knows, ${counts.unsent} not sent; ${counts.held} by leases that are held, ${counts.heard} messages; ${proxy.count} connections`);
console.log(`faults: ${Object.entries(counts.faults).map(([name, count]) => `${name} ${count}`).join(", ")}`);
console.log(`RSS ${first.toFixed(1)} MB at first, ${last.toFixed(1)} MB at last`);
console.log(wrong.length === 0 ? "nothing wrong" : `wrong: ${wrong.length}, such as ${wrong.slice(0, 5).join("; ")}`);
redis.destroy();
aside.destroy();
for (const end of ends) end();
await server.stop();
process.exitCode = wrong.length === 0 ? 0 : 1;
