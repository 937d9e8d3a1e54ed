import { pure } from "./host.js";
import { unexpected, type Key } from "./outbox.js";
import { encode } from "./text.js";

/** Gives the cluster slot (0 to 16 383) of `key`: CRC16 of its hash tag, or of all of it where it has none. */
export const keySlot = (key: Key): number => {
  if (typeof key !== "string" && !(key instanceof Uint8Array)) {
    throw unexpected("keySlot: parameter 'key'", "string | Uint8Array", key);
  }
  const bytes = typeof key === "string" ? encode(key) : key;
  const host = pure();
  const [length] = host.giveBytes([bytes]);
  return host.exports.host_key_slot(length!);
};
