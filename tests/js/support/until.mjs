import { inspect } from "node:util";

/** Resolves once `condition()` gives something, with what it gave; fails when that takes longer than `ms`. */
export const until = async (condition, what = String(condition), ms = 5000) => {
  const deadline = performance.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what} (last: ${inspect(value)})`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

/** Fails unless `promise` settles within `ms`: what never settles must fail a test, not hang it. Keeps the process alive meanwhile. */
export const within = async (promise, ms = 5000, what = "the promise") => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not settle within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
};

/** Gives how `promise` settled, as `{ value }` or `{ error }`, within `ms`. */
export const outcome = (promise, ms) =>
  within(
    promise.then(
      (value) => ({ value }),
      (error) => ({ error }),
    ),
    ms,
  );

/** Gives the error that `promise` rejects with; fails when it resolves or does neither within `ms`. */
export const rejection = async (promise, ms) => {
  const { value, error } = await outcome(promise, ms);
  if (error === undefined) throw new Error(`resolved instead of rejecting: ${inspect(value)}`);
  return error;
};
