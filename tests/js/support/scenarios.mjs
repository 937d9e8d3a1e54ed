import { readdirSync, readFileSync } from "node:fs";
import { isDeepStrictEqual, inspect } from "node:util";

const read = (folder, name) => JSON.parse(readFileSync(new URL(`../../../${folder}/${name}.json`, import.meta.url), "utf8"));

/** The groups of scenarios in `tests/live`. */
export const groups = readdirSync(new URL("../../live/", import.meta.url))
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.slice(0, -".json".length))
  .map((name) => ({ name, scenarios: read("tests/live", name) }));

/** The table of commands by name. */
export const table = new Map(
  readdirSync(new URL("../../../core/commands/", import.meta.url))
    .filter((name) => name.endsWith(".json"))
    .map((name) => read("core/commands", name.slice(0, -".json".length)))
    .filter(Array.isArray)
    .flat()
    .map((command) => [command.name, command]),
);

const special = (value) => {
  const names = value !== null && typeof value === "object" && !Array.isArray(value) ? Object.keys(value) : [];
  return names.length === 1 && names[0].startsWith("$") ? names[0] : undefined;
};

/** Gives the JavaScript value that a scenario writes as JSON. */
export const revive = (value) => {
  const { $bytes, $date, $map, $set, $bigint, $number } = value ?? {};
  switch (special(value)) {
    case "$bytes":
      return new Uint8Array(Buffer.from($bytes, "base64"));
    case "$date":
      return new Date($date);
    case "$map":
      return new Map($map.map((entry) => entry.map(revive)));
    case "$set":
      return new Set($set.map(revive));
    case "$bigint":
      return BigInt($bigint);
    case "$number":
      return Number($number);
    case "$undefined":
      return undefined;
  }
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, revive(field)]));
};

const reach = (path, from) => [path].flat().reduce((value, step) => value[step], from);

/** Puts in what the scenario refers to: replies to its setup, and connections beside the client's. */
export const resolve = (value, world) => {
  switch (special(value)) {
    case "$port":
      return world.port;
    case "$reply":
      return reach(value.$reply, world.replies);
    case "$beside":
      return Array.isArray(value.$beside) ? reach(value.$beside, world.beside) : world.beside[value.$beside].id;
  }
  if (Array.isArray(value)) return value.map((item) => resolve(item, world));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, resolve(field, world)]));
};

const kind = (value) => {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (value instanceof Set) return "set";
  if (value instanceof Map) return "map";
  if (value instanceof Uint8Array) return "bytes";
  return typeof value;
};

const sameItems = (actual, expected) => actual.length === expected.length && expected.every((item, index) => matches(actual[index], item));

/** Whether `actual` is what a scenario expects. */
export const matches = (actual, expected) => {
  switch (special(expected)) {
    case "$type":
      return expected.$type.split("|").includes(kind(actual));
    case "$matches":
      return typeof actual === "string" && new RegExp(expected.$matches).test(actual);
    case "$oneOf":
      return expected.$oneOf.some((one) => matches(actual, one));
    case "$near":
      return typeof actual === "number" && Math.abs(actual - expected.$near) <= 1e-6 * Math.max(1, Math.abs(expected.$near));
    case "$length":
      return (actual?.length ?? actual?.size) === expected.$length;
    case "$each":
      return ["array", "set"].includes(kind(actual)) && [...actual].every((item) => matches(item, expected.$each));
    case "$has":
      return ["array", "set"].includes(kind(actual)) && expected.$has.every((item) => [...actual].some((one) => matches(one, item)));
    case "$values":
      return kind(actual) === "object" && Object.values(actual).every((item) => matches(item, expected.$values));
    case "$includes":
      return kind(actual) === "object" && Object.entries(expected.$includes).every(([name, field]) => Object.hasOwn(actual, name) && matches(actual[name], field));
    case "$set": {
      const items = [...expected.$set];
      if (kind(actual) !== "set" || actual.size !== items.length) return false;
      return items.every((item) => [...actual].some((one) => matches(one, item)));
    }
    case undefined:
      break;
    default:
      return isDeepStrictEqual(actual, revive(expected));
  }
  if (Array.isArray(expected)) return Array.isArray(actual) && sameItems(actual, expected);
  if (expected === null || typeof expected !== "object") return Object.is(actual, expected);
  const names = Object.keys(expected);
  return kind(actual) === "object" && sameItems(Object.keys(actual).sort(), names.sort()) && names.every((name) => matches(actual[name], expected[name]));
};

/** What `value` is made of, without what may change from one call to the next. */
export const skeleton = (value) => {
  switch (kind(value)) {
    case "array":
    case "set":
      return { [kind(value)]: [...new Set([...value].map((item) => inspect(skeleton(item), { depth: 20 })))].sort() };
    case "object":
      return Object.fromEntries(Object.keys(value).sort().map((name) => [/^\d+$/.test(name) ? "number" : name, skeleton(value[name])]));
    default:
      return kind(value);
  }
};

const spaces = new Set(["json", "ft", "bf", "cf", "cms", "topk", "tdigest", "ts"]);

/** Gives the path from a client to the method of a command: `["json", "get"]` for JSON.GET. */
export const path = (command) => {
  const words = command.toLowerCase();
  const [space, rest] = words.split(/\.(.*)/s);
  const camel = (text) => text.replace(/^_/, "").replace(/[ _-](.)/g, (_, letter) => letter.toUpperCase());
  return spaces.has(space) ? [space, camel(rest)] : [camel(words)];
};

/** Gives the method of `command` on a client, bound to it; undefined where there is none. */
export const method = (redis, command) => {
  const names = path(command);
  const last = names.pop();
  const owner = names.reduce((object, name) => object?.[name], redis);
  return owner?.[last]?.bind(owner);
};
