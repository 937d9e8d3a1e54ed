import net from "node:net";

/** Gives where the value that begins at `start` ends, or -1 when it is not whole. */
const frameEnd = (bytes, start) => {
  let at = start;
  for (let open = 1; open > 0; open--) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return -1;
    const type = String.fromCharCode(bytes[at]);
    const length = Number(bytes.subarray(at + 1, line));
    at = line + 2;
    if ("$=!".includes(type) && length >= 0) at += length + 2;
    if ("*~>".includes(type) && length > 0) open += length;
    if (type === "%") open += length * 2;
    if (type === "|") open += length * 2 + 1;
  }
  return at <= bytes.length ? at : -1;
};

const wordsOf = (frame) => {
  const words = [];
  for (let at = frame.indexOf("\n") + 1; at < frame.length; ) {
    const line = frame.indexOf("\r\n", at);
    const length = Number(frame.subarray(at + 1, line));
    words.push(String(frame.subarray(line + 2, line + 2 + length)));
    at = line + length + 4;
  }
  return words;
};

/** One direction of a {@link Link}: cuts what comes into values, and does to each what the proxy says. */
class Direction {
  /** How many values and bytes passed. */
  count = 0;
  bytes = 0;
  #unread = Buffer.alloc(0);
  #turn = Promise.resolve();

  constructor(link, from, to, decide) {
    from.on("data", (bytes) => {
      this.#unread = Buffer.concat([this.#unread, bytes]);
      for (let end; this.#unread.length > 0 && (end = frameEnd(this.#unread, 0)) > 0; ) {
        const frame = this.#unread.subarray(0, end);
        this.#unread = this.#unread.subarray(end);
        const fault = decide(frame, this.count++) ?? {};
        this.#turn = this.#turn.then(() => this.#pass(link, to, frame, fault));
      }
    });
  }

  async #pass(link, to, frame, { drop, delay, replace, only, then }) {
    if (delay !== undefined) await new Promise((resolve) => setTimeout(resolve, delay));
    const bytes = (replace ?? frame).subarray(0, only);
    if (!drop && !link.blackhole && !to.destroyed) await this.#write(link, to, bytes);
    if (then !== undefined) link[then]();
  }

  async #write(link, to, bytes) {
    const step = link.proxy.split ?? bytes.length;
    for (let at = 0; at < bytes.length; at += step) {
      this.bytes += Math.min(step, bytes.length - at);
      to.write(bytes.subarray(at, at + step));
      if (step < bytes.length) await new Promise(setImmediate);
    }
  }
}

/** One connection through the proxy. */
class Link {
  /** Whether nothing passes any more, in either direction, though everything stays open. */
  blackhole = false;
  open = true;
  #front;
  #back;

  constructor(proxy, front) {
    this.proxy = proxy;
    this.#front = front;
    front.on("close", () => (this.open = false));
    this.#back = net.connect(proxy.target, "127.0.0.1");
    for (const [one, other] of [[front, this.#back], [this.#back, front]]) {
      one.setNoDelay(true);
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
    this.requests = new Direction(this, front, this.#back, (frame, nth) => proxy.onRequest?.(wordsOf(frame), nth, this));
    this.replies = new Direction(this, this.#back, front, (frame, nth) => proxy.onReply?.(frame, nth, this));
  }

  /** Closes both ends. */
  cut() {
    this.#front.destroy();
    this.#back.destroy();
  }

  /** Closes the client's end with a RST. */
  reset() {
    this.#front.resetAndDestroy();
    this.#back.destroy();
  }
}

/**
 * Starts a proxy in front of the server at port `target`, which may be changed, and which new connections lead to.
 *
 * `onRequest(words, nth, link)` and `onReply(bytes, nth, link)` are asked about each value and may give a fault: `drop` it; `delay` it, in
 * ms; `replace` it by other bytes; `only` the first bytes of it; and `then` do `cut` or `reset` to the link. `split`: at most so many
 * bytes are written at once.
 */
export const startProxy = async (t, target) => {
  const proxy = {
    target,
    /** Links in the order in which they were opened, and how many there were. */
    links: [],
    count: 0,
    split: undefined,
    onRequest: undefined,
    onReply: undefined,
    /** Forgets links that are closed. */
    forget: () => (proxy.links = proxy.links.filter(({ open }) => open)),
  };
  const server = net.createServer((front) => {
    proxy.count++;
    proxy.links.push(new Link(proxy, front));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    for (const link of proxy.links) link.cut();
  });
  return Object.assign(proxy, { port: server.address().port });
};
