// Copies the declarations that the package's entries can name, and no others: node declare.mjs FROM TO
import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const [from, to] = process.argv.slice(2);
const named = new Set(["index", "commands-entry", "adapters-entry"].map((entry) => `${entry}.d.ts`));

rmSync(to, { recursive: true, force: true });
for (const file of named) {
  cpSync(join(from, file), join(to, file));
  for (const [, other] of readFileSync(join(from, file), "utf8").matchAll(/ from "(\.[^"]+)\.js"/g)) named.add(`${join(file, "..", other)}.d.ts`);
}
