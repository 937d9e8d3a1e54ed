import { builtin } from "./builtin.js";
import { ClientError } from "./errors.js";
import { latin1 } from "./text.js";

const [packed, size, moduleSize, start, end] = redwirePacked();

const unpack = (): Uint8Array => {
  const zlib = builtin<typeof import("node:zlib")>("node:zlib");
  if (zlib === undefined) throw new ClientError("this runtime lacks node:zlib, which unpacks redwire's core: use Node >= 20.19, Bun or Deno");
  return zlib.brotliDecompressSync(Buffer.from(packed, "base64"), { maxOutputLength: size });
};

const unpacked = unpack();

/** The module's bytes. */
export const module: Uint8Array = unpacked.subarray(0, moduleSize);

/** How the commands are called, by their rows; `typescript_table.rs` in `xtask` describes the notation. */
export const calls: readonly string[] = latin1(unpacked.subarray(moduleSize)).split("\n");

/** The words of all names, and behind each its length: the module holds them as they are sent. */
const words = latin1(unpacked.subarray(start, end)).split(/\r\n\$?/);

let at = -1;
/** The commands' names by their rows, of which the first is the unknown command's. */
export const names: readonly string[] = calls.map((call, row) => (row === 0 ? "" : call[0] === " " ? `${words[(at += 2)]} ${words[(at += 2)]}` : words[(at += 2)]!));
