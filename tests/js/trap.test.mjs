// What happens when the core itself fails: everything of that instance rejects, and the next command starts a fresh one.
import assert from "node:assert/strict";
import { connect } from "node:net";
import test from "node:test";
import { bulk } from "./support/resp.mjs";
import { Fake } from "./support/fake.mjs";
import { startServer } from "./support/servers.mjs";
import { until } from "./support/until.mjs";

let armed = false;
const Instance = WebAssembly.Instance;
WebAssembly.Instance = function (module, imports) {
  const { exports } = new Instance(module, imports);
  const receive = (...args) => {
    if (armed) {
      armed = false;
      throw new WebAssembly.RuntimeError("unreachable");
    }
    return exports.host_receive(...args);
  };
  return { exports: { ...exports, host_receive: receive } };
};
const { Redis } = await import("redwire");

test("who listens is told of a trap, and can subscribe again", async (t) => {
  const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
  t.after(() => server.stop());
  const redis = new Redis({ host: "127.0.0.1", port: server.port });
  const publisher = new Redis({ host: "127.0.0.1", port: server.port });
  t.after(() => Promise.all([redis.close(), publisher.close()]));
  const told = [];
  await redis.subscribe("other", () => {}, { onGap: (gap) => told.push(gap) });
  let again;
  const onGap = (gap) => {
    told.push(gap);
    again = redis.subscribe("name", ({ data }) => told.push(data));
  };
  const stop = await redis.subscribe("name", () => {}, { onGap });
  // nobody else reads while it is armed
  armed = true;
  connect(server.port, "127.0.0.1").end("PUBLISH name lost\r\n");
  await until(() => again !== undefined);
  const stopAgain = await again;
  assert.equal(told.length, 2);
  for (const { channels, to, error } of told) assert.deepEqual([channels.toSorted(), to, error.name], [["name", "other"], Infinity, "ClientError"]);
  await stop();
  assert.equal(await publisher.publish("name", "seen"), 1);
  await until(() => told.at(-1) === "seen");
  await stopAgain();
  assert.equal(await publisher.publish("name", "late"), 0);
});

test("a trap rejects everything of its instance, and the next commands run on a fresh one", async (t) => {
  const server = await startServer(process.env.REDWIRE_REDIS ?? "redis-server");
  t.after(() => server.stop());
  const redis = new Redis({ host: "127.0.0.1", port: server.port });
  t.after(() => redis.destroy());
  await redis.set("a", 1);
  const fake = new Fake((_, __, raw) => bulk(raw[1]));
  const other = new Redis({ connector: fake.connector });
  t.after(() => other.destroy());
  await other.connect();
  armed = true;
  const all = await Promise.allSettled([redis.ping(), redis.get("a"), redis.pipeline().get("a").execute(), redis.set("large", "x".repeat(1 << 20))]);
  for (const { reason } of all) {
    assert.equal(reason.name, "ClientError");
    assert.equal(reason.maybeExecuted, true);
    assert.ok(reason.cause instanceof WebAssembly.RuntimeError);
  }
  assert.equal(await other.echo("undisturbed"), "undisturbed");
  for (let at = 0; at < 20; at++) {
    assert.equal(await redis.get("a"), "1");
    assert.equal(redis.status, "ready");
    await new Promise(setImmediate);
  }
});
