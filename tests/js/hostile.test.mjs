// A server that sends more than anybody asked for: memory stays within `maxReplyBytes`, and the client can be used.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { handshake } from "./support/fake.mjs";
import { bulk, Commands } from "./support/resp.mjs";
import { within } from "./support/until.mjs";

const MIB = 1 << 20;
/** Bytes of each attack, at least. */
const SIZE = 96 * MIB;
const LIMIT = 4 * MIB;
/** Megabytes by which memory may grow: the limit, what the garbage collector has not seen to, and what is on its way. */
const GROWTH = 48;

const times = (part) => Math.ceil(SIZE / part.length);
/** Each attack: how it begins, what is repeated, how it ends. All are well-formed, so whoever goes on reading comes to the next reply. */
const attack = (part, begin, end = "") => ({ begin: begin(times(part)), part, end });
const attacks = {
  "a long text": attack("x".repeat(1024), (count) => `$${count * 1024}\r\n`, "\r\n"),
  "a streamed text": attack(`;1024\r\n${"x".repeat(1024)}\r\n`, () => "$?\r\n", ";0\r\n"),
  "an array of nulls": attack("_\r\n", (count) => `*${count}\r\n`),
  "a set of sets": attack("~0\r\n", (count) => `~${count}\r\n`),
  "a map of empty maps": attack(":1\r\n%0\r\n", (count) => `%${count}\r\n`),
  "a streamed array": attack(":1\r\n", () => "*?\r\n", ".\r\n"),
  "nested arrays": attack(`${"*1\r\n".repeat(100)}:1\r\n`, (count) => `*${count}\r\n`),
  "attributes": attack("|1\r\n+a\r\n:1\r\n", () => "", ":1\r\n"),
};
/** What is sent unasked is passed over: the reply behind it is a reply. */
const spam = attack(`>2\r\n$4\r\nspam\r\n$1000\r\n${"x".repeat(1000)}\r\n`, () => "", bulk("served"));

/** Sends as fast as it is read, without holding all of it. */
const send = async (socket, { begin, part, end }) => {
  const some = Math.min(times(part), Math.ceil(MIB / part.length));
  const piece = Buffer.from(part.repeat(some));
  const write = async (bytes) => socket.write(bytes) || (await once(socket, "drain"));
  await write(begin);
  let left = times(part);
  for (; left > some; left -= some) await write(piece);
  await write(piece.subarray(0, left * part.length));
  await write(end);
};

test("whatever a server sends, memory is bounded, only its command fails, and the connection goes on", async (t) => {
  const links = [];
  const server = net.createServer((socket) => {
    links.push(socket);
    socket.on("error", () => {});
    const parser = new Commands();
    let turn = Promise.resolve();
    socket.on("data", (bytes) => {
      for (const raw of parser.take(bytes)) {
        const [name, what] = raw.map(String);
        turn = turn.then(() => (name === "ATTACK" ? send(socket, attacks[what] ?? spam) : socket.write(handshake(3)(raw.map(String)) ?? bulk(what ?? "PONG"))));
      }
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const victim = fileURLToPath(new URL("support/victim.mjs", import.meta.url));
  const names = [...Object.keys(attacks), "pushes"];
  const child = spawn(process.execPath, [victim, server.address().port, LIMIT, ...names], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => {
    child.kill("SIGKILL");
    server.close();
    for (const socket of links) socket.destroy();
  });
  const results = JSON.parse(await within(text(child.stdout), 120_000));
  assert.deepEqual(results.map(({ attack }) => attack), names);
  for (const { attack, name, message, maybeExecuted, next, grown } of results) {
    assert.equal(next, attack, "the next reply is its own");
    assert.ok(grown < GROWTH, `${attack}: memory grew by ${grown.toFixed(1)} MB`);
    if (attack === "pushes") {
      assert.equal(name, undefined, message);
      continue;
    }
    assert.deepEqual([attack, name, maybeExecuted], [attack, "DecodeError", true]);
    assert.match(message, /larger than 'maxReplyBytes' allows/);
  }
  assert.equal(links.length, 1, "all on one connection");
});
