// Takes a lock again and again, as roughly as a process can: what `tests/src/bin/contender.rs` does, in JavaScript, with a class of locks.
import { writeSync } from "node:fs";
import { ConnectionError, Lock, LockError, LuaLock, Redis } from "redwire";

/** How long the lock lives, in milliseconds. */
const TIMEOUT = 120;

const [of, address, name, count, seed] = process.argv.slice(2);
const [, host, port] = /^(.*):(\d+)$/.exec(address);

let state = Number(seed) | 1;
/** Gives a whole number from 0 to below `end`. */
const random = (end) => {
  for (const shift of [13, -17, 5]) state ^= shift > 0 ? state << shift : state >>> -shift;
  return (state >>> 0) % end;
};

/** Holds up the whole process. */
const sleep = (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
/** Milliseconds on the clock that all processes of this machine share. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const deedOf = (chance) => (chance < 1 ? "Crash" : chance < 4 ? "Pause" : chance < 8 ? "Extend" : chance < 12 ? "Kill" : chance < 15 ? "Keep" : "Release");
/** Waits for `promise`, which may be cut off. */
const allowing = (promise, ...types) =>
  promise.catch((error) => {
    if (!types.some((type) => error instanceof type)) throw error;
    return error;
  });

const redis = new Redis({ host, port: Number(port), retryDelay: 1, maxRetryDelay: 20 });
const lock = redis.lock(name, { lockClass: { Lock, LuaLock }[of], timeout: TIMEOUT, sleep: 2 });

for (let turn = 0; turn < Number(count); turn++) {
  const deed = deedOf(random(100));
  let held;
  do held = await allowing(lock.hold({ autoExtend: deed === "Keep" }), ConnectionError);
  while (held instanceof ConnectionError);
  const from = now();
  sleep(random(1500) / 1000);
  if (deed === "Pause") sleep(TIMEOUT * 2);
  if (deed === "Extend") await allowing(lock.extend(TIMEOUT / 2), ConnectionError, LockError);
  while (deed === "Keep" && now() < from + TIMEOUT * 2 && !held.signal.aborted) await allowing(redis.ping(), ConnectionError);
  if (deed === "Kill") await allowing(redis.call("CLIENT KILL", "TYPE", "normal", "SKIPME", "no"), ConnectionError);
  const until = now() + Math.min(0, lock.validUntil - performance.now());
  writeSync(1, `${deed} ${Math.floor(from)} ${Math.floor(until)}\n`);
  if (deed === "Crash") process.kill(process.pid, "SIGKILL");
  const released = await allowing(deed === "Keep" ? held[Symbol.asyncDispose]() : lock.release(), ConnectionError, LockError);
  if (deed === "Pause" && released === undefined) throw new Error("its time was up, and it was released all the same");
}
await redis.close();
