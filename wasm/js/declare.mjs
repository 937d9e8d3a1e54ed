// Copies the declarations that the package's entries can name, and no others: node declare.mjs FROM TO
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const [from, to] = process.argv.slice(2);
const entries = ["index", "commands-entry", "adapters-entry"];
const named = new Set(entries.map((entry) => `${entry}.d.ts`));

/** Gathers constants that are members of one type, which one pattern says of them all in a third of the bytes. */
const gathered = (text) =>
  text.replace(/^((?:export )?declare const) (\w+: Inert\[.*);$/gm, (_, declare, constants) => {
    const rooms = new Map();
    for (const [, name, room, member] of constants.matchAll(/(\w+): (\S+)\["(\w+)"\]/g)) {
      rooms.set(room, [...(rooms.get(room) ?? []), name === member ? name : `${member}: ${name}`]);
    }
    return `${declare} ${[...rooms].map(([room, members]) => `{ ${members.join(", ")} }: ${room}`).join(", ")};`;
  });

rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
// compilers let nobody require what is declared in ES modules, though Node does; those who import get the same declarations by another name
writeFileSync(join(to, "package.json"), '{"type":"commonjs"}\n');
for (const entry of entries) writeFileSync(join(to, `${entry}.d.mts`), `export * from "./${entry}.js";\n`);
for (const file of named) {
  const text = readFileSync(join(from, file), "utf8");
  mkdirSync(dirname(join(to, file)), { recursive: true });
  // a tab is a byte
  writeFileSync(join(to, file), gathered(text).replace(/^(?: {4})+/gm, (indent) => "\t".repeat(indent.length / 4)));
  for (const [, other] of text.matchAll(/ from "(\.[^"]+)\.js"/g)) named.add(`${join(file, "..", other)}.d.ts`);
}
