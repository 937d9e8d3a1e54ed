import net from "node:net";

/** A connection of the test's own beside the client's, whose replies nobody reads. */
export class Raw {
  #socket;

  /** Connects to `port` and says who it is: its `id`, as the server counts, and its `addr`. */
  static async open(port) {
    const raw = new Raw();
    const socket = (raw.#socket = net.connect(port, "127.0.0.1"));
    const [reply] = await new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("data", (bytes) => resolve(/\d+/.exec(String(bytes))));
      raw.send(["CLIENT", "ID"]);
    });
    socket.on("error", () => {});
    socket.resume();
    return Object.assign(raw, { id: Number(reply), addr: `127.0.0.1:${socket.localPort}` });
  }

  send(words) {
    this.#socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
  }

  close() {
    this.#socket.destroy();
  }
}
