// Bundles the TypeScript layer with the compiled module inlined: node build.mjs MODULE.wasm INLINE.js OUT_DIR
import { readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";

const [module, inline, outdir] = process.argv.slice(2);

const wasm = readFileSync(module);
const packed = brotliCompressSync(wasm, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: wasm.length } }).toString("base64");
writeFileSync(inline, `export const WASM = "${packed}";\nexport const WASM_SIZE = ${wasm.length};\n`);

const options = {
  absWorkingDir: import.meta.dirname,
  alias: { "#wasm": inline },
  bundle: true,
  minify: true,
  format: "esm",
  platform: "neutral",
  target: "es2022",
  legalComments: "none",
};
// the module first: gzip packs it better apart from the code
const stdin = { contents: 'import "#wasm"; export * from "./index.js";', resolveDir: import.meta.dirname };
await Promise.all([
  build({ ...options, stdin, outfile: `${outdir}/redwire.js` }),
  ...["commands", "adapters"].map((part) => build({ ...options, entryPoints: [`${part}-entry.ts`], outfile: `${outdir}/${part}.js` })),
]).catch(() => process.exit(1)); // esbuild has said why
