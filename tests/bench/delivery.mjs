// Publish/subscribe: the server publishes bursts by itself, at most two ahead of what was delivered, so that only delivery is measured.
import assert from "node:assert/strict";
import net from "node:net";
import { once } from "node:events";
import { encode } from "./data.mjs";

const BURST = 2000;
const MESSAGE = "m".repeat(32);
const SCRIPT = "for i = 1, tonumber(ARGV[1]) do redis.call('PUBLISH', KEYS[1], ARGV[2]) end return 1";

/** One client's subscription, and the socket that asks for bursts. */
class Delivery {
  #socket;
  #burst;
  #count = 0;
  #waiting = [];
  last;

  /** Subscribes by `subscribe(channel, take)`. */
  async begin(subscribe, { host, port }) {
    const channel = `channel:${process.pid}:${Math.random()}`;
    this.#burst = Buffer.from(encode(["EVAL", SCRIPT, "1", channel, String(BURST), MESSAGE]));
    this.#socket = net.connect(port, host);
    await once(this.#socket, "connect");
    this.#socket.resume();
    await subscribe(channel, (message) => {
      this.last = message;
      if (++this.#count % BURST === 0) this.#waiting.shift()();
    });
    return this;
  }

  /** Resolves when another burst was delivered as a whole. */
  burst() {
    this.#socket.write(this.#burst);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Messages of one channel; `how` names the adapter's method. */
export const delivery = (how) => {
  const begun = new WeakMap();
  const of = (client) => {
    if (!begun.has(client)) begun.set(client, new Delivery().begin(client[how], client.link));
    return begun.get(client);
  };
  return {
    unit: "message",
    loops: 2,
    operations: BURST,
    turn: async (client) => (await of(client)).burst(),
    check: async (client) => {
      assert.ok(client[how], "has no such way");
      const delivery = await of(client);
      await delivery.burst();
      assert.equal(delivery.last, MESSAGE);
    },
  };
};
