import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { set } from "redwire/commands";
import { faked } from "./support/client.mjs";
import { bulk, ok } from "./support/resp.mjs";
import { rejection, until, within } from "./support/until.mjs";

const reason = new Error("enough");
const echo = (args) => (args[0] === "ECHO" ? bulk(args[1]) : ok);

describe("a signal", () => {
  test("that aborts in the tick of the calls: nothing of them is sent, what else was asked is", async (t) => {
    const { redis, fake } = faked(t, echo);
    await redis.connect();
    const controller = new AbortController();
    const view = redis.with({ signal: controller.signal });
    const given = [view.echo("a"), view.pipeline().echo("b").execute(), view.echo("c"), view.pipeline({ transaction: false }).echo("d").echo("e").execute()];
    const other = redis.echo("f");
    controller.abort(reason);
    for (const promise of given) assert.equal(await rejection(promise), reason);
    assert.equal(await within(other), "f");
    assert.deepEqual(fake.link.commands, [["ECHO", "f"]]);
  });

  test("that aborts before the link is ready leaves nothing to send", async (t) => {
    const { redis, fake } = faked(t, echo);
    const controller = new AbortController();
    const given = redis.with({ signal: controller.signal }).echo("a");
    await until(() => redis.status === "connecting");
    controller.abort(reason);
    assert.equal(await rejection(given), reason);
    assert.equal(await redis.echo("b"), "b");
    assert.deepEqual(fake.link.commands, [["ECHO", "b"]]);
  });

  test("of many commands has one listener, as long as one of them waits", async (t) => {
    const { redis } = faked(t, () => ok);
    await redis.connect();
    const { signal } = new AbortController();
    const listeners = () => getEventListeners(signal, "abort").length;
    const view = redis.with({ signal });
    const answered = Array.from({ length: 10_000 }, () => view.set("k", "v"));
    assert.equal(listeners(), 1);
    await Promise.all(answered);
    assert.equal(listeners(), 0);
  });

  test("of many commands gives all of them up, written and not, and nobody else's", async (t) => {
    const { redis } = faked(t, (args) => (args[0] === "ECHO" ? bulk(args[1]) : undefined));
    await redis.connect();
    const controller = new AbortController();
    const view = redis.with({ signal: controller.signal });
    const ask = () => Array.from({ length: 1000 }, (_, index) => (index % 3 === 0 ? view.multi().incr("n").incr("m").execute() : view.get("k")));
    const written = ask();
    await until(() => redis.status === "ready");
    const unwritten = ask();
    controller.abort(reason);
    for (const promise of [...written, ...unwritten]) assert.equal(await rejection(promise), reason);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  });

  test("of a call that was refused for its arguments gives up nobody else's command", async (t) => {
    const { redis } = faked(t, echo);
    await redis.connect();
    const controller = new AbortController();
    assert.ok((await rejection(redis.with({ signal: controller.signal }).echo({}))) instanceof TypeError);
    const other = redis.echo("a");
    controller.abort(reason);
    assert.equal(await within(other), "a");
  });

  test("that aborts after the reply changes nothing, and is let go", async (t) => {
    const { redis } = faked(t, echo);
    const controller = new AbortController();
    assert.equal(await redis.with({ signal: controller.signal }).echo("a"), "a");
    const other = redis.echo("b");
    controller.abort(reason);
    assert.equal(await within(other), "b");
  });

  test("that was aborted before the call sends nothing", async (t) => {
    const { redis, fake } = faked(t, echo);
    await redis.connect();
    assert.equal(await rejection(redis.with({ signal: AbortSignal.abort(reason) }).echo("a")), reason);
    assert.equal(await redis.echo("b"), "b");
    assert.deepEqual(fake.link.commands, [["ECHO", "b"]]);
  });

  test("that was aborted before: nothing that listens, and no lease, is begun", async (t) => {
    const { redis, fake } = faked(t, echo);
    await redis.connect();
    const view = redis.with({ signal: AbortSignal.abort(reason) });
    const pubsub = view.pubsub();
    const calls = [view.subscribe("x", () => {}), view.psubscribe("x", () => {}), view.ssubscribe("x", () => {}), pubsub.subscribe("x"), pubsub.psubscribe({ x: () => {} }), view.monitor().next(), view.lease()];
    for (const call of calls) assert.equal(await rejection(call), reason);
    assert.deepEqual([pubsub.subscribed, fake.links.length, fake.commands], [false, 1, []]);
    const { message } = await rejection(redis.lease({ signal: new AbortController() }));
    assert.equal(message, "lease: option 'signal' expected an AbortSignal, got AbortController");
    await redis.close();
  });

  test("that aborts while the server's version is waited for gives up what is behind that", async (t) => {
    const { redis } = faked(t, echo, { greet: () => Buffer.alloc(0) });
    const controller = new AbortController();
    const view = redis.with({ signal: controller.signal });
    const given = [view.getex("a", { ex: 1 }), view.get("a"), view.lock("a").acquire(), view.pipelineStream([set("a", "b")]), view.pipeline().get("a").execute()];
    await until(() => redis.status === "connecting");
    controller.abort(reason);
    for (const promise of given) assert.equal(await rejection(promise, 1000), reason);
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  });

  test("that aborts once the command was written: its reply is dropped and the next one's is right", async (t) => {
    const { redis, fake } = faked(t, () => undefined);
    const controller = new AbortController();
    const given = redis.with({ signal: controller.signal }).echo("slow");
    await until(() => fake.commands.length === 1);
    controller.abort(reason);
    assert.equal(await rejection(given), reason);
    const next = redis.echo("next");
    await until(() => fake.link.commands.length === 2);
    fake.link.send(bulk("late"));
    fake.link.send(bulk("next"));
    assert.equal(await within(next), "next");
  });
});
