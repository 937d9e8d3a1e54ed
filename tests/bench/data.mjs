// What the server holds, and the commands that put it there.

const count = (length, make) => Array.from({ length }, (_, index) => make(index));
const number = (index, digits) => String(index).padStart(digits, "0");

/** Chooses how the text with an index is written: a third of them not in ASCII, Cyrillic and emoji in turn. All have the same length in UTF-16. */
const mixed = (latin, cyrillic, emoji) => (index) => (index % 3 !== 0 ? latin(index) : index % 2 === 0 ? cyrillic(index) : emoji(index));

export const KEYS = count(1000, (i) => `key:${number(i, 8)}`);
export const VALUES = count(1000, () => "0123456789abcdef");
export const MIXED_KEYS = count(1000, mixed((i) => KEYS[i], (i) => `ключ${number(i, 8)}`, (i) => `🔑🚀${number(i, 8)}`));
export const MIXED_VALUES = count(1000, mixed((i) => VALUES[i], () => "значение-по-ключ", () => "🎉🚀🔑 0123456789a"));
export const ITEMS = count(10_000, (i) => `item:${number(i, 11)}`);
export const MIXED_ITEMS = count(10_000, mixed((i) => ITEMS[i], (i) => `вещь:${number(i, 11)}`, (i) => `🎁🎈:${number(i, 11)}`));
export const FIELDS = count(1000, (i) => [`field:${number(i, 6)}`, `value:${number(i, 10)}`]);
export const SIZES = { "1k": 1 << 10, "64k": 64 << 10, "1m": 1 << 20 };
export const MIB = "x".repeat(SIZES["1m"]);

const slices = (items, size) => count(Math.ceil(items.length / size), (i) => items.slice(i * size, (i + 1) * size));

/** Gives the commands that fill an empty server. */
export const seed = () => [
  ["FLUSHALL"],
  ...KEYS.map((key, i) => ["SET", key, VALUES[i]]),
  ...MIXED_KEYS.map((key, i) => ["SET", key, MIXED_VALUES[i]]),
  ...Object.entries(SIZES).map(([name, size]) => ["SET", `big:${name}`, "x".repeat(size)]),
  ...slices(ITEMS, 500).map((items) => ["RPUSH", "list", ...items]),
  ...slices(MIXED_ITEMS, 500).map((items) => ["RPUSH", "list:mixed", ...items]),
  ...slices(ITEMS, 500).map((items) => ["SADD", "set", ...items]),
  ["HSET", "hash", ...FIELDS.flat()],
];

/** Gives a command's bytes. */
export const encode = (words) =>
  Buffer.from(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
