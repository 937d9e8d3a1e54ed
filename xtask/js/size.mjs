// Prints raw and gzip -9 bytes, one line each: the module, the script without the module, the whole file.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const [module, script] = process.argv.slice(2).map((path) => readFileSync(path));
const alone = Buffer.from(script.toString().replace(/(?<=function redwirePacked\(\)\{return\[")[^"]*/, ""));

for (const bytes of [module, alone, script]) console.log(bytes.length, gzipSync(bytes, { level: 9 }).length);
