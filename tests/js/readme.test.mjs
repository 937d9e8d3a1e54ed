// The tables in the README, "What you call, what you get": what they say of JavaScript is tried.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Redis } from "redwire";
import { faked } from "./support/client.mjs";
import { ok } from "./support/resp.mjs";
import { outcome } from "./support/until.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const readme = readFileSync(join(here, "../../README.md"), "utf8");

/** Gives the cells of the README's table with these titles. */
const table = (titles) => {
  const [, rows] = readme.split(titles);
  assert.ok(rows !== undefined, `README.md has a table ${titles}`);
  const all = rows.split("\n").slice(2);
  return all.slice(0, all.findIndex((row) => !row.startsWith("|"))).map((row) => row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll("\\|", "|")));
};

/** Gives all code in a cell. */
const codes = (cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code);

test("methods follow from commands as the README says", async (t) => {
  const rows = table("| on the wire | JavaScript | Rust (`commands::`) |");
  assert.ok(rows.length >= 12, `${rows.length} rows`);
  for (const [wire, calls] of rows) {
    const [words] = codes(wire);
    for (const code of codes(calls)) {
      const { fake, redis } = faked(t, () => ok, { verifyVersion: false });
      const call = new Function("redis", "key", "value", "script", "a", "b", `return redis.${code}`);
      const { error } = await outcome(call(redis, "key", "value", "script", "a", "b"));
      assert.ok(!(error instanceof TypeError), `${code}: ${error}`);
      assert.deepEqual(fake.commands, [words.split(" ")], code);
    }
  }
});

test("replies have the types that the README says, and so have values of your own", async (t) => {
  const project = mkdtempSync(join(tmpdir(), "redwire-readme-"));
  t.after(() => rmSync(project, { recursive: true, force: true }));
  mkdirSync(join(project, "node_modules/@types"), { recursive: true });
  cpSync(join(here, "node_modules/redwire"), join(project, "node_modules/redwire"), { recursive: true });
  for (const name of ["@types/node", "undici-types"]) symlinkSync(join(here, "node_modules", name), join(project, "node_modules", name));
  const rows = table("| the reply | such as | JavaScript | Rust |");
  assert.ok(rows.length >= 12, `${rows.length} rows`);
  const lines = rows.flatMap(([, call, types]) => {
    const [code] = codes(call);
    const [type, other] = codes(types);
    // ", or" tells what it is with bytes instead
    const [text, bytes] = types.startsWith(`\`${type}\`, or`) ? [type, other] : ["string", "Uint8Array"].map((str) => type.replaceAll("Str", str));
    return [`same<Awaited<typeof a>, ${text}>(true)`, `same<Awaited<typeof b>, ${bytes}>(true)`].map((line, index) => `{ const ${"ab"[index]} = ${["text", "bytes"][index]}.${code}; ${line}; }`);
  });
  const head = `import { Redis, type Info } from "redwire";
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};
const [text, bytes] = [new Redis(), new Redis({ decodeResponses: false })];
`;
  writeFileSync(join(project, "replies.ts"), head + lines.join("\n"));
  const [, values] = /^```ts values-of-your-own\n([^]*?)^```$/m.exec(readme);
  writeFileSync(join(project, "values.ts"), values);
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
  const tsc = join(here, "node_modules/typescript/bin/tsc");
  const options = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,esnext.disposable", "--module", "node16", "--types", "node", "replies.ts", "values.ts"];
  await promisify(execFile)(process.execPath, [tsc, ...options], { cwd: project }).catch((error) => assert.fail(error.stdout));
});

test("what stands around commands is there", () => {
  const redis = new Redis();
  const rows = table("| JavaScript | gives | Rust | gives |");
  for (const [calls] of rows) {
    for (const code of codes(calls)) {
      const [, name] = /^(?:\.\.\.)?(\w+)\(/.exec(code) ?? [];
      if (name === undefined || name === "keySlot" || code.startsWith("...")) continue;
      assert.equal(typeof redis[name], "function", code);
    }
  }
  redis.destroy();
});
