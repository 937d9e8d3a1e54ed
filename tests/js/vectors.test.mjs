import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { faked } from "./support/client.mjs";
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

describe("every option of every command is sent as the table says", () => {
  for (const { command, method, calls } of commands) {
    test(command, async (t) => {
      const { fake, redis } = faked(t, () => ok, { verifyVersion: false });
      for (const [args, words] of calls) await sends(redis, fake, method, args, words);
    });
  }
});

describe("[promises 23, 26] runtimeChecks refuse every parameter of a wrong type, name it, and send nothing", () => {
  for (const { command, method, wrong } of commands) {
    if (wrong.length === 0) continue;
    test(command, async (t) => {
      const { fake, redis } = faked(t, () => ok, { verifyVersion: false, runtimeChecks: true });
      for (const [name, args] of wrong) {
        const { error } = await outcome(call(redis, method, args), 10_000);
        assert.ok(error instanceof TypeError, `${show(method, args)}: ${error}`);
        assert.ok(error.message.startsWith(`${method.join(".")}: parameter '${name}' expected `), `${show(method, args)}: ${error}`);
        assert.match(error.message, /, got \w+( one)?$|, got an empty one$/);
      }
      assert.equal(fake.links.length, 0);
    });
  }
});

test("correct calls pass the runtime checks", async (t) => {
  const { fake, redis } = faked(t, () => ok, { verifyVersion: false, runtimeChecks: true });
  for (const { method, calls } of commands) for (const [args, words] of calls) await sends(redis, fake, method, args, words);
});
