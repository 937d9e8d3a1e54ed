// What the types cost, and what they say, under the oldest and the present TypeScript.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = dirname(fileURLToPath(import.meta.url));
const run = promisify(execFile);
let project;

before(() => {
  project = mkdtempSync(join(tmpdir(), "redwire-types-"));
  mkdirSync(join(project, "node_modules/@types"), { recursive: true });
  cpSync(join(here, "node_modules/redwire"), join(project, "node_modules/redwire"), { recursive: true });
  for (const name of ["@types/node", "undici-types"]) symlinkSync(join(here, "node_modules", name), join(project, "node_modules", name));
  cpSync(join(here, "types"), join(project, "types"), { recursive: true });
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
});

after(() => rmSync(project, { recursive: true, force: true }));

const NODE = { lib: ["es2022", "esnext.disposable"], types: ["node"] };

/** Compiles files of `types/`, and checks all declarations unless told not to; gives the instantiations that it took. */
const compile = async (files, compiler, [module, moduleResolution], skipLibCheck = false, known = NODE) => {
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck, target: "es2022", ...known, module, moduleResolution };
  const config = join(project, "tsconfig.json");
  writeFileSync(config, JSON.stringify({ compilerOptions, files: [files].flat().map((file) => `types/${file}`) }));
  const tsc = join(here, "node_modules", compiler, "bin/tsc");
  const { stdout } = await run(process.execPath, [tsc, "-p", config, "--extendedDiagnostics"], { cwd: project }).catch((error) => assert.fail(error.stdout));
  return Number(/^Instantiations:\s+(\d+)/m.exec(stdout)[1]);
};

for (const compiler of ["typescript-oldest", "typescript"]) {
  for (const resolution of [["node16", "node16"], ["esnext", "bundler"]]) {
    describe(`types under ${compiler}, ${resolution[1]} resolution`, () => {
      /** What a program costs that only makes a client. */
      let idle;

      before(async () => {
        idle = await compile("import.ts", compiler, resolution);
      });

      test("[promises 5, 6, 7, 9, 10] say what each call takes and gives, and fit the samples", () => compile(["calls.ts", "seed.ts"], compiler, resolution, true));

      test("[promises 100, 108] say what comes of a subscription", () => compile("pubsub.ts", compiler, resolution, true));

      test("[promises 41, 44, 64, 69, 94, 95] say what scripts, libraries, pipelines, transactions and locks take and give", () => compile("conversations.ts", compiler, resolution, true));

      test("of a chain of fifty commands are exact, and cost at most 1 000 instantiations", async (t) => {
        const busy = await compile("chain.ts", compiler, resolution);
        t.diagnostic(`${busy - idle} instantiations`);
        assert.ok(busy - idle <= 1000, `${busy} - ${idle}`);
      });

      test("of a hundred commands cost at most 5 000 instantiations", async (t) => {
        const busy = await compile("hundred.ts", compiler, resolution);
        t.diagnostic(`${busy - idle} instantiations`);
        assert.ok(busy - idle <= 5000, `${busy} - ${idle}`);
      });
    });
  }
}

for (const compiler of ["typescript-oldest", "typescript"]) {
  for (const file of ["bare.ts", "bare-commands.ts"]) {
    test(`types under ${compiler} need nothing but what browsers have (${file})`, () => compile(file, compiler, ["esnext", "bundler"], false, { lib: ["es2022", "dom"], types: [] }));
  }

  for (const resolution of ["node16", "nodenext"]) {
    test(`types under ${compiler}, ${resolution} resolution, are those of CommonJS where the package is required, and the same where it is imported`, () =>
      compile(["common.cts", "both.mts"], compiler, [resolution, resolution]));
  }
}

test("all declarations are at most 300 KB", () => {
  const size = (folder) => readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => sum + (entry.isDirectory() ? size(join(folder, entry.name)) : statSync(join(folder, entry.name)).size), 0);
  const bytes = size(join(project, "node_modules/redwire/types"));
  assert.ok(bytes <= 300 << 10, `${bytes}`);
});
