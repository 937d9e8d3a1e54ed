import { after, before, describe } from "node:test";
import { Redis } from "redwire";
import { allPrograms, missing, startServer } from "./servers.mjs";

/**
 * Runs `suite` on Redis 7.0 and 8.2 and Valkey 9.1, over both protocols. Its world has `redis`, a client of an empty server, `connect` for
 * more clients, which are closed at the end, `port`, and `path`.
 */
export const everywhere = (suite) => {
  for (const server of allPrograms.filter(({ id }) => id !== "stack74")) {
    describe(server.name, { skip: missing(server) }, () => {
      let running;
      before(async () => (running = await startServer(server.program)));
      after(() => running?.stop());

      for (const protocol of [2, 3]) {
        describe(`protocol ${protocol}`, () => {
          const clients = [];
          const world = {
            server,
            connect: (options) => {
              const redis = new Redis({ host: "127.0.0.1", port: running.port, protocol, ...options });
              clients.push(redis);
              return redis;
            },
          };
          before(async () => {
            world.port = running.port;
            world.path = running.path;
            world.redis = world.connect();
            await world.redis.flushall();
            await world.redis.scriptFlush();
            await world.redis.functionFlush();
          });
          after(() => clients.forEach((redis) => redis.destroy()));
          suite(world);
        });
      }
    });
  }
};
