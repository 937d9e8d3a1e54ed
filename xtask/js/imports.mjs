// Prints the distinct modules that a wasm file imports from; fails where this Node cannot compile the file.
import { readFileSync } from "node:fs";

const module = new WebAssembly.Module(readFileSync(process.argv[2]));
for (const name of new Set(WebAssembly.Module.imports(module).map((entry) => entry.module))) console.log(name);
