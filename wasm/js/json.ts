import type { Adapter } from "./adapter.js";

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Keeps values as JSON text: whatever `JSON.stringify` takes, `undefined` and functions excepted. What comes back is as `JSON.parse` makes
 * it; `json as Adapter<User>` says of what type it is.
 */
export const json: Adapter<unknown, any, string | Uint8Array> = {
  encode: (value) => JSON.stringify(value),
  decode: (data) => JSON.parse(typeof data === "string" ? data : decoder.decode(data)) as unknown,
};
