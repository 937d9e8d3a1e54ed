// The packed package as a new user meets it: the README's quick start, both module systems, bundles, types.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { startServer } from "./support/servers.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const readme = readFileSync(join(here, "../../README.md"), "utf8");
const run = promisify(execFile);

/** The README's block with this info string. */
const block = (info) => {
  const [, code] = readme.split(`\`\`\`${info}\n`);
  assert.ok(code !== undefined, `README.md has a block \`${info}\``);
  return code.split("\n```")[0];
};

let server;
let project;
let env;

before(async () => {
  server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
  env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${server.port}` };
  project = mkdtempSync(join(tmpdir(), "redwire-user-"));
  mkdirSync(join(project, "node_modules/@types"), { recursive: true });
  cpSync(join(here, "node_modules/redwire"), join(project, "node_modules/redwire"), { recursive: true });
  for (const name of ["@types/node", "undici-types"]) symlinkSync(join(here, "node_modules", name), join(project, "node_modules", name));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
});

after(async () => {
  await server?.stop();
  rmSync(project, { recursive: true, force: true });
});

const write = (name, code) => {
  writeFileSync(join(project, name), code);
  return join(project, name);
};

/** Runs a file to its end and gives what it printed. */
const output = async (file) => (await run(process.execPath, [file], { env, timeout: 20_000 })).stdout.trim().split("\n");

const compile = async (file, module, moduleResolution, types, noEmit = false) => {
  const fixed = { strict: true, exactOptionalPropertyTypes: true, target: "es2022", lib: ["es2023", "esnext.disposable", ...(types.length > 0 ? [] : ["dom"])], rootDir: ".", outDir: "out" };
  const config = write("tsconfig.json", JSON.stringify({ compilerOptions: { ...fixed, module, moduleResolution, types, noEmit }, files: [file] }));
  const compiler = join(here, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [compiler, "-p", config], { cwd: project }).catch((error) => assert.fail(error.stdout));
};

const esm = ["hello", "{ name: 'Ada', born: '1815' }", "1 hello"];
const cjs = ["[ 'first', 'second' ]"];

test("the quick start runs as an ES module", async () => {
  assert.deepEqual(await output(write("start.mjs", block("js quick-start-esm"))), esm);
});

test("the quick start runs as CommonJS", async () => {
  assert.deepEqual(await output(write("start.cjs", block("js quick-start-cjs"))), cjs);
});

for (const [module, resolution] of [
  ["node16", "node16"],
  ["esnext", "bundler"],
]) {
  test(`[promises 5, 6] the quick start compiles under ${resolution} resolution, and runs`, async () => {
    const file = write("start.ts", block("ts quick-start-ts"));
    await compile(file, module, resolution, ["node"]);
    assert.deepEqual(await output(join(project, "out/start.js")), ["[ [ 'bob', 2 ], [ 'ada', 3.5 ] ]", "2", "WRONGTYPE INCR"]);
  });
}

test("[promises 7, 9, 10] values have the types that the options say, with the DOM in place of Node", async () => {
  const file = write(
    "types.ts",
    `import { Redis, ResponseError, type Pipeline } from "redwire";
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};
const text = new Redis("redis://h"), bytes = new Redis({ decodeResponses: false }), url = Redis.fromUrl("redis://h", { decodeResponses: false });
same<typeof text, Redis<string>>(true);
same<typeof bytes, Redis<Uint8Array>>(true);
same<typeof url, Redis<Uint8Array>>(true);
export const check = async () => {
  same<Awaited<ReturnType<typeof text.get>>, string | null>(true);
  const members = await text.smembers("s"), raw = await bytes.smembers("s"), wire = await text.with({ raw: true }).smembers("s");
  same<typeof members, Set<string>>(true);
  same<typeof raw, Uint8Array[]>(true);
  same<typeof wire, unknown>(true);
  const all = await text.pipeline().set("a", 1).get("a").hgetall("h").execute();
  same<typeof all, [boolean, string | null, Record<string, string>]>(true);
  const each = await bytes.pipeline().get("a").incr("n").execute({ raiseOnError: false });
  same<typeof each, [Uint8Array | null | ResponseError, number | ResponseError]>(true);
  const old = await text.set("a", 1, { get: true });
  same<typeof old, string | null>(true);
  const scores = await text.zrange("z", 0, -1, { withscores: true });
  same<typeof scores, [member: string, score: number][]>(true);
  // @ts-expect-error a key is text or bytes
  await text.set(1, 1);
  // @ts-expect-error not an option of SET
  await text.set("a", 1, { foo: true });
  // @ts-expect-error a value is no object
  await text.set("a", {});
  // @ts-expect-error not an option
  new Redis({ hots: "h" });
  const pipe: Pipeline<string, [boolean]> = text.multi().set("a", 1);
  // @ts-expect-error a pipeline is not a promise
  pipe.then(() => {});
};
`,
  );
  await compile(file, "node16", "node16", [], true);
});

for (const format of ["esm", "cjs"]) {
  test(`a bundle (${format}) runs`, async () => {
    const entry = write("entry.mjs", block("js quick-start-esm").replace(/^((?:.|\n)*?from "redwire";)([^]*)$/, "$1\n(async () => {$2\n})();"));
    const outfile = join(project, format === "esm" ? "bundle.mjs" : "bundle.cjs");
    await build({ entryPoints: [entry], bundle: true, minify: true, platform: "node", format, outfile, logLevel: "error" });
    assert.deepEqual(await output(outfile), esm);
  });
}

test("[promises 25, 36] the package needs nothing else, and imports nothing of Node's by itself", () => {
  const manifest = JSON.parse(readFileSync(join(project, "node_modules/redwire/package.json"), "utf8"));
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.scripts, undefined);
  const code = readFileSync(join(project, "node_modules/redwire/redwire.js"), "utf8");
  assert.doesNotMatch(code, /\b(import|require)\s*\(?\s*["']/);
});
