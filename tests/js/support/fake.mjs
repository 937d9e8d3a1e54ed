import net from "node:net";
import { array, bulk, Commands, error, integer, map, ok } from "./resp.mjs";

/** The answers of `server` that speaks `protocol`, and is of `version`, to the commands of a handshake; `undefined` for any other command. */
export const handshake = (protocol, version = "7.0.15", server = "redis") => (args) => {
  switch (`${args[0]} ${args[0] === "CLIENT" ? args[1] : ""}`.trim()) {
    case "HELLO":
      if (protocol !== 3) return error(`ERR unknown command 'HELLO', with args beginning with: ${args.slice(1).map((arg) => `'${arg}' `).join("")}`);
      return map(3, [
        [bulk("server"), bulk(server)],
        [bulk("version"), bulk(version)],
        [bulk("proto"), integer(3)],
        [bulk("modules"), array([])],
      ]);
    case "AUTH":
    case "SELECT":
    case "CLIENT SETNAME":
    case "CLIENT SETINFO":
      return ok;
    case "INFO":
      if (protocol === 2 && args[1] === "server") return bulk(`# Server\r\nredis_version:${version}\r\n${server === "redis" ? "" : `${server}_version:${version}\r\n`}`);
  }
};

const pong = Buffer.from("+PONG\r\n");

/** One connection to a {@link Fake}. */
class Link {
  /** What the client wrote, write by write. */
  writes = [];
  /** The commands in it that are no handshake's, as text. */
  commands = [];
  closed = false;
  /** How many PINGs of a handshake are to come. */
  #pings = 1;
  #parser = new Commands();
  #fake;
  #deliver;
  #hangUp;

  constructor(fake, deliver, hangUp) {
    this.#fake = fake;
    this.#deliver = deliver;
    this.#hangUp = hangUp;
  }

  /** Takes what the client wrote; the answers to it arrive as one chunk. */
  take(bytes) {
    this.writes.push(Buffer.from(bytes));
    const replies = [];
    for (const raw of this.#parser.take(bytes)) {
      const args = raw.map(String);
      const greeting = this.#fake.handshake(args, this) ?? (args[0] === "PING" && this.#pings-- > 0 ? pong : undefined);
      // it is asked again in RESP2
      if (args[0] === "HELLO" && greeting?.[0] === 0x2d) this.#pings++;
      if (greeting === undefined) for (const { commands } of [this, this.#fake]) commands.push(args);
      const reply = greeting ?? this.#fake.answer(args, this, raw);
      if (reply !== undefined) replies.push(reply);
    }
    if (replies.length > 0) this.send(Buffer.concat(replies));
  }

  /** Sends `bytes` to the client, as one chunk. */
  send(bytes) {
    if (!this.closed) this.#deliver(Buffer.from(bytes));
  }

  /** Hangs up. */
  end(reason) {
    if (this.closed) return;
    this.closed = true;
    this.#hangUp(reason);
  }
}

/** A server in this process that answers as told: for faults only, real servers are for the rest. */
export class Fake {
  links = [];
  /** What came on any link that is no handshake's, in order. */
  commands = [];

  /** `answer(args, link, raw)` gives the bytes to send for a command, or nothing to stay silent. */
  constructor(answer = () => undefined, { protocol = 3, greet = handshake(protocol) } = {}) {
    this.answer = answer;
    this.handshake = greet;
    this.protocol = protocol;
  }

  /** The link opened last. */
  get link() {
    return this.links.at(-1);
  }

  /** Connects a client to it without a socket; bytes arrive later, as with a socket, each send as one chunk. */
  connector = (endpoint, sink) => {
    const link = new Link(
      this,
      (bytes) => setImmediate(() => live && sink.onData(bytes)),
      (reason) => setImmediate(() => live && sink.onClose(reason)),
    );
    let live = true;
    this.links.push(link);
    return {
      write: (bytes) => void link.take(bytes),
      close: () => {
        live = false;
        link.closed = true;
      },
    };
  };

  /** Listens on a free port of this machine; gives the port, and takes no more when `close` is called. */
  async listen() {
    const sockets = new Set();
    const server = net.createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      const link = new Link(
        this,
        (bytes) => socket.write(bytes),
        () => socket.destroy(),
      );
      this.links.push(link);
      socket.on("data", (bytes) => link.take(bytes));
      socket.on("close", () => {
        link.closed = true;
        sockets.delete(socket);
      });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const close = () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    };
    return { port: server.address().port, close };
  }
}
