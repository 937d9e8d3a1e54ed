import { Redis } from "redwire";
import { Fake } from "./fake.mjs";

/** Gives a client of a fake server, which {@link Fake} describes; `t` ends it. */
export const faked = (t, answer, { protocol = 3, greet, ...options } = {}) => {
  const fake = new Fake(answer, { protocol, ...(greet && { greet }) });
  const redis = new Redis({ connector: fake.connector, protocol: protocol === 3 ? "auto" : protocol, ...options });
  t.after(() => redis.destroy());
  return { fake, redis };
};

/** Keeps this process alive while `t` runs: timers of an idle client do not. */
export const keepAlive = (t) => {
  const timer = setInterval(() => {}, 1000);
  t.after(() => clearInterval(timer));
};
