// A thousand channels and fifty patterns outlive a server that is killed again and again, and nothing is lost without being told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Redis } from "redwire";
import { freePort, missing, programs, startServer } from "./support/servers.mjs";
import { until } from "./support/until.mjs";

const CHANNELS = 1000;
const PATTERNS = 50;
const KILLS = 10;
/** Messages per millisecond, at most. */
const RATE = 20;
/** So many are on their way at most: a machine that cannot keep up publishes less. */
const WINDOW = 1000;
/** How long a server lives, in ms. */
const LIFE = 300;

for (const program of programs) {
  for (const protocol of program === programs[0] ? [2, 3] : [3]) {
    test(`${program.name}, RESP${protocol}: after ten kills all is subscribed once, and what is missing lies in a gap [promises 117, 118]`, { skip: missing(program), timeout: 120_000 }, async (t) => {
      const port = await freePort();
      let server = await startServer(program.program, [], undefined, port);
      t.after(() => server.stop());
      const options = { port, protocol, retryDelay: 5, maxRetryDelay: 50 };
      const redis = new Redis(options);
      // what cannot be sent at once is not sent at all
      const publisher = new Redis({ ...options, offlineQueue: false, maxResends: 0 });
      t.after(() => Promise.all([redis.close(), publisher.close()]));

      const gaps = [];
      const received = new Map();
      const pubsub = redis.pubsub({ onGap: (gap) => gaps.push(gap) });
      const take = ({ channel, data }) => void received.set(data, (received.get(data) ?? new Set()).add(channel));
      const names = Array.from({ length: CHANNELS }, (_, n) => `channel:${n}`);
      const patterns = Array.from({ length: PATTERNS }, (_, n) => `pattern:${n}:*`);
      await pubsub.subscribe(Object.fromEntries(names.map((name) => [name, take])));
      await pubsub.psubscribe(Object.fromEntries(patterns.map((name) => [name, take])));
      const worker = pubsub.run();

      const published = [];
      let waiting = 0;
      const begin = performance.now();
      const beat = setInterval(() => {
        for (const due = (performance.now() - begin) * RATE; published.length < due && waiting < WINDOW; waiting++) {
          const number = published.length;
          const own = { sent: Date.now(), acknowledged: undefined };
          published.push(own);
          const channel = number % 20 === 0 ? `pattern:${number % PATTERNS}:${number}` : names[number % CHANNELS];
          publisher
            .publish(channel, number)
            .then(
              () => (own.acknowledged = Date.now()),
              () => {},
            )
            .finally(() => waiting--);
        }
      }, 1);
      t.after(() => clearInterval(beat));

      for (let kill = 1; kill <= KILLS; kill++) {
        const life = performance.now() + LIFE;
        await until(() => performance.now() > life);
        await server.stop();
        server = await startServer(program.program, [], undefined, port);
        await until(() => gaps.length === kill, `gap ${kill}`, 10_000);
      }
      const life = performance.now() + LIFE;
      await until(() => performance.now() > life);
      clearInterval(beat);

      const acknowledged = published.flatMap((own, number) => (own.acknowledged === undefined ? [] : [{ ...own, number }]));
      const last = acknowledged.at(-1).number;
      await until(() => received.has(String(last)), "the last message");
      assert.ok(acknowledged.length > KILLS * LIFE, `published ${acknowledged.length}`);

      const lost = acknowledged.filter(({ number }) => !received.has(String(number)));
      for (const { sent, acknowledged, number } of lost) {
        assert.ok(gaps.some(({ from, to }) => from <= acknowledged && sent <= to), `${number}, published from ${sent} to ${acknowledged}, is in none of ${JSON.stringify(gaps.map(({ from, to }) => [from, to]))}`);
      }
      for (const [number, channels] of received) assert.equal(channels.size, 1, number);
      assert.equal(gaps.length, KILLS);
      for (const { channels, patterns: missed, dropped } of gaps) assert.deepEqual([channels.length, missed.length, dropped], [CHANNELS, PATTERNS, 0]);

      const listeners = (await redis.clientList()).filter(({ sub, psub }) => Number(sub) + Number(psub) > 0);
      assert.deepEqual(listeners.map(({ sub, psub }) => [Number(sub), Number(psub)]), [[CHANNELS, PATTERNS]]);
      assert.deepEqual(new Set(Object.values(await redis.pubsubNumsub(...names))), new Set([1]));
      assert.equal(await redis.pubsubNumpat(), PATTERNS);
      t.diagnostic(`${published.length} published, ${lost.length} lost and told`);
      await worker.stop();
    });
  }
}
