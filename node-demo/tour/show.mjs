import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as terminal from "./terminal.mjs";

/** What all keys of this tour begin with; calls are shown without it. */
export const prefix = `redwire-tour-${randomBytes(3).toString("hex")}:`;

/** Every key that the tour has named; nothing else is touched. */
export const keys = new Set();

/** Gives a key of the tour's own: key`visits`. */
export const key = ([name]) => {
  keys.add(prefix + name);
  return prefix + name;
};

/** Gives the code of `() => expression`. */
const codeOf = (expression) =>
  String(expression)
    .replace(/^\(\w*\) =>\s*/, "")
    .replace(/\[key`([^`]*)`\]/g, "$1")
    .replace(/key`([^`]*)`/g, '"$1"');

/**
 * Runs an expression, prints its own code beside the reply, and makes sure that the reply is the expected one.
 * `describe` makes the lines of a reply that is too long to show.
 */
export const show = async (expression, expected, describe = (reply) => [terminal.shown(reply)]) => {
  const reply = await expression();
  terminal.call(codeOf(expression), ...describe(reply));
  assert.deepEqual(reply, expected);
  return reply;
};

/** Runs an expression that has to fail, prints what it failed with, makes sure of `expected` and gives the error. */
export const showError = async (expression, expected) => {
  const outcome = await expression().then(
    (reply) => assert.fail(`${codeOf(expression)} should have failed, and gave ${terminal.shown(reply)}`),
    (error) => error,
  );
  terminal.call(codeOf(expression), `throws ${outcome.name}`);
  for (const [name, value] of Object.entries(expected)) {
    terminal.fact(`  ${name}`, terminal.shown(outcome[name]));
    if (value instanceof RegExp) assert.match(outcome[name], value);
    else assert.deepEqual(outcome[name], value);
  }
  return outcome;
};

/** Runs an expression on two clients, and shows that values are alike where the wire is not. */
export const compare = async (expression, [first, second], raw, expected) => {
  const values = [await expression(first), await expression(second)];
  const wires = [await expression(raw(first)), await expression(raw(second))];
  terminal.call(codeOf(expression), terminal.shown(values[0]));
  terminal.fact("  RESP2 sends", terminal.shown(wires[0]));
  terminal.fact("  RESP3 sends", terminal.shown(wires[1]));
  for (const value of values) assert.deepEqual(value, expected);
  assert.notDeepEqual(wires[0], wires[1]);
};
