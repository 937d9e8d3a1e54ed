import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { faked } from "./support/client.mjs";
import { bulk, ok } from "./support/resp.mjs";

const echo = (args) => (args[0] === "ECHO" ? bulk(args[1]) : ok);

describe("requests issued in one tick leave in one write, in order", () => {
  for (const protocol of [2, 3]) {
    const ready = async (t) => {
      const world = faked(t, echo, { protocol });
      await world.redis.connect();
      world.fake.link.writes.length = 0;
      return { ...world, writes: world.fake.link.writes };
    };

    test(`100 calls, protocol ${protocol}`, async (t) => {
      const { redis, writes, fake } = await ready(t);
      const replies = await Promise.all(Array.from({ length: 100 }, (_, index) => redis.echo(`${index}`)));
      assert.deepEqual(replies, Array.from({ length: 100 }, (_, index) => `${index}`));
      assert.equal(writes.length, 1);
      assert.deepEqual(fake.commands.map((args) => args[1]), replies);
    });

    test(`calls of async functions that go on in the same tick, protocol ${protocol}`, async (t) => {
      const { redis, writes } = await ready(t);
      const worker = async (index) => {
        await null;
        const first = redis.echo(`${index}`);
        await Promise.resolve();
        return [await first, await redis.echo(`${index}!`)];
      };
      await Promise.all([0, 1, 2, 3].map(worker));
      assert.equal(writes.length, 2, "four first calls, then four second ones");
    });

    test(`what follows replies of one chunk leaves together, protocol ${protocol}`, async (t) => {
      const { redis, writes, fake } = await ready(t);
      const held = [];
      fake.answer = (args) => void held.push(bulk(args[1]));
      const loops = Promise.all([0, 1, 2].map(async (index) => redis.echo(await redis.echo(`${index}`))));
      while (held.length < 3) await new Promise(setImmediate);
      fake.answer = echo;
      fake.link.send(Buffer.concat(held));
      assert.deepEqual(await loops, ["0", "1", "2"]);
      assert.equal(writes.length, 2);
    });

    test(`pipelines, transactions, views and calls go together, protocol ${protocol}`, async (t) => {
      const { redis, writes, fake } = await ready(t);
      fake.answer = (args) => (args[0] === "EXEC" ? Buffer.from("*1\r\n+OK\r\n") : args[0] === "MULTI" ? ok : fake.commands.at(-2)?.[0] === "MULTI" ? Buffer.from("+QUEUED\r\n") : echo(args));
      await Promise.all([
        redis.echo("a"),
        redis.pipeline({ transaction: false }).echo("b").echo("c").execute(),
        redis.multi().set("d", "1").execute(),
        redis.with({ decodeResponses: false }).call("ECHO", "e"),
        redis.with({ timeout: 1000 }).echo("f"),
      ]);
      assert.deepEqual(fake.commands.map((args) => args[0]), ["ECHO", "ECHO", "ECHO", "MULTI", "SET", "EXEC", "ECHO", "ECHO"]);
      assert.equal(writes.length, 1);
    });

    test(`calls before the connection stands follow the handshake in order, protocol ${protocol}`, async (t) => {
      const { redis, fake } = faked(t, echo, { protocol });
      const first = Promise.all([redis.echo("1"), redis.echo("2")]);
      await new Promise(setImmediate);
      const second = redis.echo("3");
      await Promise.all([first, second]);
      assert.deepEqual(fake.commands.map((args) => args[1]), ["1", "2", "3"]);
      assert.ok(fake.link.writes.length <= 3);
    });
  }

  test("more than fits into one batch leaves in order and without waiting for the tick's end", async (t) => {
    const { redis, fake } = faked(t, echo);
    await redis.connect();
    fake.link.writes.length = 0;
    const calls = Array.from({ length: 2500 }, (_, index) => redis.echo(`${index}`));
    assert.ok(fake.link.writes.length >= 2, "full batches left at once");
    await Promise.all(calls);
    assert.deepEqual(fake.commands.map((args) => Number(args[1])), Array.from({ length: 2500 }, (_, index) => index));
  });
});
