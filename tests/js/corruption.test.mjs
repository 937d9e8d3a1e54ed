// What must not be lost, mixed up or kept: bytes on their way out and in, whatever the socket, memory and callers do meanwhile.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";
import { Redis } from "redwire";
import { Commands, bulk } from "./support/resp.mjs";
import { faked } from "./support/client.mjs";
import { until, within } from "./support/until.mjs";

const echo = (args, _, raw) => (args[0] === "ECHO" ? bulk(raw[1]) : undefined);

test("a stalled socket and memory that grows meanwhile lose nothing", async (t) => {
  const sockets = [];
  const commands = [];
  const server = net.createServer((socket) => {
    sockets.push(socket);
    const parser = new Commands();
    socket.on("data", (bytes) => {
      for (const raw of parser.take(bytes)) {
        const name = String(raw[0]);
        if (name === "HELLO") socket.write("%1\r\n+proto\r\n:3\r\n");
        else if (name === "CLIENT") socket.write("+OK\r\n");
        else if (name === "PING") socket.write("+PONG\r\n");
        else {
          commands.push(raw);
          socket.write(bulk(raw[1]));
        }
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const redis = new Redis({ host: "127.0.0.1", port: server.address().port });
  t.after(() => redis.destroy());
  await redis.connect();
  sockets[0].pause();
  const sent = [];
  // far more than the kernel takes: the socket stalls, the core's memory grows while frames wait
  for (let round = 0; round < 400; round++) {
    const text = `${round}:`.padEnd(20_000 + round, String.fromCharCode(97 + (round % 26)));
    sent.push([text, redis.echo(text)]);
    if (round % 40 === 0) await new Promise(setImmediate);
  }
  sockets[0].resume();
  for (const [text, reply] of sent) assert.equal(await within(reply, 20_000), text);
  assert.equal(commands.length, 400);
});

test("a socket that takes bytes slowly, and keeps what it was given, sees them unchanged", async (t) => {
  const held = [];
  let sink;
  const parser = new Commands();
  const redis = new Redis({
    connector: (_, given) => {
      sink = given;
      return {
        write: (bytes) => {
          held.push([bytes, Buffer.from(bytes)]);
          setImmediate(() => {
            for (const raw of parser.take(bytes)) {
              const name = String(raw[0]);
              sink.onData(Buffer.from(name === "HELLO" ? "%1\r\n+proto\r\n:3\r\n" : name === "CLIENT" ? "+OK\r\n" : name === "PING" ? "+PONG\r\n" : bulk(raw[1])));
            }
            sink.onDrain();
          });
          return false;
        },
        close: () => {},
      };
    },
  });
  t.after(() => redis.destroy());
  for (let round = 0; round < 50; round++) {
    const texts = Array.from({ length: 30 }, (_, at) => `${round}-${at}-`.padEnd(1 + ((round * 37 + at * 101) % 3000), "x"));
    assert.deepEqual(await Promise.all(texts.map((text) => redis.echo(text))), texts);
  }
  for (const [bytes, copy] of held) assert.deepEqual(Buffer.from(bytes), copy, "what write received is never touched again");
});

test("halves of surrogate pairs in neighbouring arguments stay apart", async (t) => {
  const { fake, redis } = faked(t, () => Buffer.from("+OK\r\n"));
  const [high, low] = ["\ud83d", "\ude00"];
  await Promise.all([
    redis.set(`a${high}`, `${low}b`),
    redis.set(high, low),
    redis.set(low, high),
    redis.set(`${high}${low}`, high),
    redis.set("plain", "ascii"),
    redis.mset([[high, low], [`${low}${high}`, "x".repeat(300) + high]]),
  ]);
  const lone = "\ufffd";
  assert.deepEqual(fake.commands, [
    ["SET", `a${lone}`, `${lone}b`],
    ["SET", lone, lone],
    ["SET", lone, lone],
    ["SET", "😀", lone],
    ["SET", "plain", "ascii"],
    ["MSET", lone, lone, `${lone}${lone}`, "x".repeat(300) + lone],
  ]);
});

test("a listener that issues commands and throws while a chunk is being worked through disturbs nobody", async (t) => {
  const { fake, redis } = faked(t, echo, { maxResends: 0 });
  const inner = [];
  redis.onStateChange((status) => {
    for (let at = 0; at < 2000; at++) inner.push(redis.echo(`${status}-${at}`).catch((error) => error));
    throw new Error("the listener's own");
  });
  const first = await Promise.all(Array.from({ length: 50 }, (_, at) => redis.echo(`first-${at}`)));
  assert.deepEqual(first, Array.from({ length: 50 }, (_, at) => `first-${at}`));
  const second = Promise.allSettled(Array.from({ length: 50 }, (_, at) => redis.echo(`second-${at}`)));
  fake.answer = () => undefined;
  await new Promise(setImmediate);
  fake.link.end();
  assert.equal((await within(second)).length, 50);
  fake.answer = echo;
  assert.equal(await within(redis.echo("again")), "again");
  assert.ok(inner.length >= 4000);
  redis.destroy();
  await within(Promise.all(inner));
});

test("a connector that calls back while it is being called is served later, not lost", async (t) => {
  const parser = new Commands();
  const redis = new Redis({
    connector: (_, sink) => ({
      write: (bytes) => {
        for (const raw of parser.take(bytes)) {
          const name = String(raw[0]);
          sink.onData(Buffer.from(name === "HELLO" ? "%1\r\n+proto\r\n:3\r\n" : name === "CLIENT" ? "+OK\r\n" : name === "PING" ? "+PONG\r\n" : bulk(raw[1])));
        }
      },
      close: () => {},
    }),
  });
  t.after(() => redis.destroy());
  const texts = Array.from({ length: 100 }, (_, at) => `text ${at}`);
  assert.deepEqual(await within(Promise.all(texts.map((text) => redis.echo(text)))), texts);
});

test("a reply of 600 MiB that is only announced reserves next to nothing", async (t) => {
  const { fake, redis } = faked(t, (args) => (args[0] === "GET" ? Buffer.from(`$${600 << 20}\r\nbeginning`) : undefined), { maxResends: 0 });
  await redis.connect();
  const before = process.memoryUsage();
  const reply = redis.with({ decodeResponses: false }).get("huge");
  const asText = redis.get("never answered");
  await until(() => fake.commands.length === 2);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  const after = process.memoryUsage();
  assert.ok(after.rss - before.rss < 32 << 20, `${(after.rss - before.rss) >> 20} MiB`);
  fake.link.end();
  await assert.rejects(reply, { name: "ConnectionError", maybeExecuted: true });
  await assert.rejects(asText, { name: "ConnectionError" });
});

test("a reply of 300 MiB arrives whole, and its memory is given back", async (t) => {
  const size = 300 << 20;
  const chunk = Buffer.alloc(1 << 20, "0123456789abcdef");
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    const parser = new Commands();
    socket.on("data", async (bytes) => {
      for (const raw of parser.take(bytes)) {
        const name = String(raw[0]);
        if (name === "HELLO") socket.write("%1\r\n+proto\r\n:3\r\n");
        else if (name === "CLIENT") socket.write("+OK\r\n");
        else if (name === "PING") socket.write("+PONG\r\n");
        else if (name === "ECHO") socket.write(bulk(raw[1]));
        else {
          socket.write(`$${size}\r\n`);
          for (let sent = 0; sent < size; sent += chunk.length) if (!socket.write(chunk)) await once(socket, "drain");
          socket.write("\r\n");
        }
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const redis = new Redis({ host: "127.0.0.1", port: server.address().port, timeout: 60_000 });
  t.after(() => redis.destroy());
  await redis.echo("warm");
  const before = process.memoryUsage.rss();
  let value = await within(redis.with({ decodeResponses: false }).get("huge"), 60_000);
  assert.equal(value.length, size);
  assert.equal(Buffer.compare(value.subarray(0, chunk.length), chunk), 0);
  assert.equal(Buffer.compare(value.subarray(size - chunk.length), chunk), 0);
  value = undefined;
  assert.equal(await redis.echo("after"), "after");
  // V8 frees array buffers when it pleases: small garbage makes it please
  await until(
    () => {
      for (let at = 0; at < 200; at++) new Uint8Array(64 << 10);
      return process.memoryUsage.rss() - before < 64 << 20;
    },
    "resident memory returns",
    30_000,
  );
});
