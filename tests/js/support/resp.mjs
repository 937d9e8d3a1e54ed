/** Bytes as a server writes them. */
const join = (head, items) => Buffer.concat([Buffer.from(head), ...items]);

export const ok = Buffer.from("+OK\r\n");
export const queued = Buffer.from("+QUEUED\r\n");
export const simple = (text) => Buffer.from(`+${text}\r\n`);
export const error = (text) => Buffer.from(`-${text}\r\n`);
export const integer = (value) => Buffer.from(`:${value}\r\n`);
export const bulk = (value) => {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")]);
};
/** Null as `protocol` writes it. */
export const nil = (protocol) => Buffer.from(protocol === 3 ? "_\r\n" : "$-1\r\n");
export const array = (items) => join(`*${items.length}\r\n`, items);
/** A map in RESP3, its flat array in RESP2. */
export const map = (protocol, entries) =>
  join(protocol === 3 ? `%${entries.length}\r\n` : `*${entries.length * 2}\r\n`, entries.flat());
export const set = (protocol, items) => join(`${protocol === 3 ? "~" : "*"}${items.length}\r\n`, items);

/** Takes commands out of the bytes that a client writes. */
export class Commands {
  #rest = Buffer.alloc(0);

  /** Gives the commands that `bytes` complete, each an array of buffers. */
  take(bytes) {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const commands = [];
    for (;;) {
      const [command, length] = parse(this.#rest);
      if (command === undefined) return commands;
      this.#rest = this.#rest.subarray(length);
      commands.push(command);
    }
  }

  /** How many bytes wait for the rest of their command. */
  get pending() {
    return this.#rest.length;
  }
}

const header = (bytes, at, tag) => {
  const end = bytes.indexOf("\r\n", at);
  if (end < 0) return undefined;
  const text = bytes.toString("latin1", at, end);
  if (text[0] !== tag || !/^\d+$/.test(text.slice(1))) throw new Error(`not a command: ${JSON.stringify(text)} instead of ${tag}`);
  return [Number(text.slice(1)), end + 2];
};

const parse = (bytes) => {
  if (bytes.length === 0) return [];
  const count = header(bytes, 0, "*");
  if (count === undefined) return [];
  const command = [];
  let at = count[1];
  while (command.length < count[0]) {
    const length = header(bytes, at, "$");
    if (length === undefined || length[1] + length[0] + 2 > bytes.length) return [];
    at = length[1] + length[0] + 2;
    if (bytes.toString("latin1", at - 2, at) !== "\r\n") throw new Error("an argument does not end where it says");
    command.push(bytes.subarray(length[1], at - 2));
  }
  return [command, at];
};
