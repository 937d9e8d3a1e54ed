// Copies the declarations that the package's entries can name, and no others: node declare.mjs FROM TO
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const [from, to] = process.argv.slice(2);
const named = new Set(["index", "commands-entry", "adapters-entry"].map((entry) => `${entry}.d.ts`));

rmSync(to, { recursive: true, force: true });
for (const file of named) {
  const text = readFileSync(join(from, file), "utf8");
  mkdirSync(dirname(join(to, file)), { recursive: true });
  // a tab is a byte
  writeFileSync(join(to, file), text.replace(/^(?: {4})+/gm, (indent) => "\t".repeat(indent.length / 4)));
  for (const [, other] of text.matchAll(/ from "(\.[^"]+)\.js"/g)) named.add(`${join(file, "..", other)}.d.ts`);
}
