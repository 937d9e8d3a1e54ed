import { after, before, describe } from "node:test";
import { Redis } from "redwire";
import { binary } from "./live/binary.mjs";
import { calls } from "./live/calls.mjs";
import { collections } from "./live/collections.mjs";
import { pipelines } from "./live/pipelines.mjs";
import { scalars } from "./live/scalars.mjs";
import { sizes } from "./live/sizes.mjs";
import { views } from "./live/views.mjs";
import { missing, programs, startAll } from "./support/servers.mjs";

/** What the suites prove by running where they do. */
const proven = (transport, protocol) => [...({ tcp: [28], unix: [29, 30] }[transport] ?? []), ...(protocol === 3 ? [40] : [])];
const tag = (numbers) => (numbers.length === 0 ? "" : `[promises ${numbers.join(", ")}] `);

/** The same assertions on the same values, wherever and however the server is reached. */
const suites = { scalars, collections, binary, sizes, calls, views, pipelines };

for (const server of programs) {
  describe(server.name, { skip: missing(server) }, () => {
    let running;
    before(async () => (running = await startAll(server.program)));
    after(() => running?.stop());

    for (const transport of ["tcp", "tls", "unix"]) {
      for (const protocol of [2, 3, "auto"]) {
        describe(`${tag(proven(transport, protocol))}${transport}, protocol ${protocol}`, () => {
          const world = {
            server: server.name,
            transport,
            protocol,
            /** Gives a client of its own for one test. */
            connect: (options) => new Redis({ ...running.endpoints[transport], protocol, ...options }),
          };
          before(async () => {
            world.redis = world.connect();
            world.bytes = world.connect({ decodeResponses: false });
            await world.redis.call("FLUSHALL");
          });
          after(() => {
            world.redis?.destroy();
            world.bytes?.destroy();
          });
          for (const [name, suite] of Object.entries(suites)) describe(name, () => suite(world));
        });
      }
    }
  });
}
