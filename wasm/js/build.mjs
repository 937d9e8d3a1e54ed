// Bundles the TypeScript layer with the compiled module and the table of commands inlined: node build.mjs MODULE.wasm OUT_DIR
import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const [module, outdir] = process.argv.slice(2);

const wasm = readFileSync(module);
const [, ...rows] = readFileSync(`${import.meta.dirname}/generated/table.txt`, "latin1").trimEnd().split("\n");

// names are taken from the module, which has them as they are sent; what is left of a row shows whether its name is of two words
const names = rows.map((row) => /^[^@!~:]+/.exec(row)[0]);
const sent = names.flatMap((name) => name.split(" ")).map((word) => `$${word.length}\r\n${word}\r\n`).join("");
const at = wasm.indexOf(sent);
if (at < 0) throw new Error("the module was made of another table of commands: run `cargo xtask codegen`");
const calls = rows.map((row, index) => (names[index].includes(" ") ? " " : "") + row.slice(names[index].length));

const whole = Buffer.concat([wasm, Buffer.from(["", ...calls].join("\n"), "latin1")]);
const packed = brotliCompressSync(whole, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: whole.length } }).toString("base64");

/** Bundles `entry`, which `end` is put behind: gzip packs code and data better apart, and a function can be called from before it. */
const bundle = async (entry, outfile, end = "") => {
  const { outputFiles } = await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    legalComments: "none",
    write: false,
  });
  // terser takes off 2 % more
  const { code } = await minify(outputFiles[0].text, { module: true, ecma: 2022, format: { ascii_only: true } });
  writeFileSync(`${outdir}/${outfile}`, code + end);
};

await Promise.all([
  bundle("index.ts", "redwire.js", `function redwirePacked(){return["${packed}",${[whole.length, wasm.length, at, at + sent.length]}]}\n`),
  ...["commands", "adapters"].map((part) => bundle(`${part}-entry.ts`, `${part}.js`)),
]);
