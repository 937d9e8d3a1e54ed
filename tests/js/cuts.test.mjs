// Hangs up at every byte of a dialogue, in both directions: every command settles once, and only those that may not be repeated fail.
import assert from "node:assert/strict";
import test from "node:test";
import { Redis } from "redwire";
import { Commands, bulk } from "./support/resp.mjs";
import { handshake } from "./support/fake.mjs";

const large = "L".repeat(70_000);

/** Twenty commands, each of which names itself in its reply; OWN is one that redwire does not know. */
const dialogue = (redis) => [
  ...Array.from({ length: 8 }, (_, at) => [`v${at}`, at % 3 === 0 ? redis.call("OWN", `v${at}`) : redis.echo(`v${at}`)]),
  ["é😀", redis.echo("é😀")],
  [large, redis.echo(large)],
  ...Array.from({ length: 9 }, (_, at) => [`w${at}`, at % 3 === 0 ? redis.call("OWN", `w${at}`) : redis.echo(`w${at}`)]),
  ["t0,t1", redis.pipeline().echo("t0").echo("t1").execute().then(String)],
];

/** A server that hangs up, once, after `inward` bytes were read from the client, or `outward` bytes written to it. */
const cutting = (protocol, inward, outward) => {
  const seen = { read: 0, written: 0, own: 0 };
  const connector = (_, sink) => {
    const greet = handshake(protocol);
    const parser = new Commands();
    let queued;
    let open = true;
    const hangUp = () => {
      open = false;
      inward = outward = Infinity;
      sink.onClose();
    };
    const send = (bytes) => {
      if (!open) return;
      const part = bytes.subarray(0, Math.max(0, outward - seen.written));
      seen.written += bytes.length;
      if (part.length > 0) sink.onData(part);
      if (seen.written >= outward && open) hangUp();
    };
    const answer = (raw) => {
      const args = raw.map(String);
      const greeting = greet(args);
      if (greeting !== undefined) return Buffer.from(greeting);
      if (args[0] === "PING") return Buffer.from("+PONG\r\n");
      if (args[0] === "MULTI") {
        queued = [];
        return Buffer.from("+OK\r\n");
      }
      if (args[0] === "EXEC") return Buffer.concat([Buffer.from(`*${queued.length}\r\n`), ...queued]);
      if (args[0] === "OWN") seen.own++;
      const reply = Buffer.from(bulk(raw[1]));
      if (queued === undefined) return reply;
      queued.push(reply);
      return Buffer.from("+QUEUED\r\n");
    };
    return {
      write: (bytes) => {
        const part = Buffer.from(bytes.subarray(0, Math.max(0, inward - seen.read)));
        seen.read += bytes.length;
        setImmediate(() => {
          if (!open) return;
          for (const raw of parser.take(part)) send(answer(raw));
          if (seen.read >= inward && open) hangUp();
        });
      },
      close: () => {
        open = false;
      },
    };
  };
  return { connector, seen };
};

const run = async (protocol, inward, outward) => {
  const { connector, seen } = cutting(protocol, inward, outward);
  const redis = new Redis({ connector, protocol, retryDelay: 1 });
  await redis.connect();
  const settled = new Map();
  const sent = dialogue(redis).map(([expected, reply], at) => {
    const note = (outcome) => settled.set(at, [...(settled.get(at) ?? []), outcome]);
    return reply.then(
      (value) => note({ expected, value }),
      (error) => note({ error, expected }),
    );
  });
  await Promise.all(sent);
  redis.destroy();
  assert.equal(settled.size, 20);
  for (const [outcome, ...more] of settled.values()) {
    assert.equal(more.length, 0, "settled once");
    if (outcome.error === undefined) assert.equal(outcome.value, outcome.expected);
    else {
      assert.equal(outcome.error.name, "ConnectionError");
      assert.equal(outcome.error.maybeExecuted, true);
      assert.ok(/^([vw][036]|t0,t1)$/.test(outcome.expected), `${outcome.expected} is repeatable`);
    }
  }
  assert.ok(seen.own <= 6, "none of these is executed twice");
  return { seen, failed: [...settled.values()].filter(([outcome]) => outcome.error !== undefined).length };
};

for (const protocol of [2, 3]) {
  test(`every command settles once wherever the link is cut, in RESP${protocol}`, async () => {
    const greeting = cutting(protocol, Infinity, Infinity);
    const first = new Redis({ connector: greeting.connector, protocol });
    await first.connect();
    first.destroy();
    const whole = await run(protocol, Infinity, Infinity);
    assert.equal(whole.failed, 0);
    let cut = 0;
    for (const direction of ["read", "written"]) {
      const bytes = (at) => (direction === "read" ? [at, Infinity] : [Infinity, at]);
      for (let at = greeting.seen[direction] + 1; at < whole.seen[direction]; at++) {
        // inside the one large value every 1 000th byte does
        const inside = at > greeting.seen[direction] + 600 && at < whole.seen[direction] - 800;
        if (inside && at % 1000 !== 0) continue;
        cut += (await run(protocol, ...bytes(at))).failed > 0 ? 1 : 0;
      }
    }
    assert.ok(cut > 1000, `${cut} cuts`);
  });
}
