import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { faked } from "./support/client.mjs";
import { handshake } from "./support/fake.mjs";
import { ok } from "./support/resp.mjs";
import { outcome } from "./support/until.mjs";

/** Calls of every command and what they are sent as; generated from the table of commands. */
const commands = JSON.parse(readFileSync(new URL("../vectors/arguments.json", import.meta.url), "utf8"));

const call = (redis, path, args) => {
  const method = path.at(-1);
  const room = path.length === 1 ? redis : redis[path[0]];
  return room[method](...args);
};

const show = (path, args) => `${path.join(".")}(${args.map((arg) => JSON.stringify(arg)).join(", ")})`;

/** What blocks goes to a link of its own: only one after the other they have an order. */
const sends = async (redis, fake, method, args, words) => {
  const before = fake.commands.length;
  const { error } = await outcome(call(redis, method, args), 10_000);
  assert.ok(!(error instanceof TypeError), `${show(method, args)}: ${error}`);
  assert.deepEqual(fake.commands.slice(before), [words], show(method, args));
};

/** What changes a connection is sent on a lease, and not taken for part of the handshake: three commands. */
const leased = async (t, options) => {
  const greeted = new Map();
  const greet = (args, link) => {
    greeted.set(link, (greeted.get(link) ?? 0) + 1);
    return greeted.get(link) <= 3 ? handshake(3)(args) : undefined;
  };
  const silent = ([name, word, state]) => name === "CLIENT" && word === "REPLY" && state !== "ON";
  const { fake, redis } = faked(t, (args) => (silent(args) ? undefined : ok), { verifyVersion: false, greet, ...options });
  return { fake, redis: await redis.lease() };
};

/** Tries every call, those that change a connection on one each. */
const tryAll = async (t, { lease, method, calls }, options) => {
  const shared = lease ? undefined : faked(t, () => ok, { verifyVersion: false, ...options });
  for (const [args, words] of calls) {
    const { fake, redis } = shared ?? (await leased(t, options));
    await sends(redis, fake, method, args, words);
    if (lease) redis.destroy();
  }
};

describe("every option of every command is sent as the table says", () => {
  for (const command of commands) test(command.command, (t) => tryAll(t, command));
});

describe("[promises 23, 26] runtimeChecks refuse every parameter, and part of one, of a wrong type, name it, and send nothing", () => {
  for (const { command, lease, method, wrong } of commands) {
    if (wrong.length === 0) continue;
    test(command, async (t) => {
      const { fake, redis } = lease ? await leased(t, { runtimeChecks: true }) : faked(t, () => ok, { verifyVersion: false, runtimeChecks: true });
      for (const [name, args] of wrong) {
        const { error } = await outcome(call(redis, method, args), 10_000);
        assert.ok(error instanceof TypeError, `${show(method, args)}: ${error}`);
        assert.ok(error.message.startsWith(`${method.join(".")}: parameter '${name}' expected `), `${show(method, args)}: ${error}`);
        assert.match(error.message, /, got \w+( one)?$|, got an empty one$/);
      }
      assert.equal(lease ? fake.commands.length : fake.links.length, 0);
    });
  }
});

test("correct calls pass the runtime checks", async (t) => {
  for (const command of commands) await tryAll(t, command, { runtimeChecks: true });
});
