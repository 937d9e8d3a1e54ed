import { createClient, RESP_TYPES } from "redis";

const append = (client, commands) => {
  const multi = client.multi();
  for (const [name, ...args] of commands) multi[name](...args);
  return multi;
};

export const connect = async ({ host, port, resp2, ca }) => {
  const client = createClient({ socket: { host, port, ...(ca && { tls: true, ca }) }, ...(resp2 && { RESP: 2 }) });
  client.on("error", () => {});
  await client.connect();
  const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  let caching;
  const openCaching = async () => {
    const made = client.duplicate({ RESP: 3, clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: "LRU" } });
    made.on("error", () => {});
    await made.connect();
    return (caching = made);
  };
  return {
    get: (key) => client.get(key),
    getBytes: (key) => bytes.get(key),
    set: (key, value) => client.set(key, value),
    pipeline: (commands) => append(client, commands).execAsPipeline(),
    multi: (commands) => append(client, commands).exec(),
    mget: (keys) => client.mGet(keys),
    lrange: (key, start, stop) => client.lRange(key, start, stop),
    hgetall: (key) => client.hGetAll(key),
    smembers: (key) => client.sMembers(key),
    subscribe: async (channel, take) => {
      const subscriber = client.duplicate();
      subscriber.on("error", () => {});
      await subscriber.connect();
      await subscriber.subscribe(channel, (message) => take(message));
    },
    getKept: (key) => (caching === undefined ? openCaching().then((made) => made.get(key)) : caching.get(key)),
    close: () => {
      client.destroy();
      caching?.destroy();
    },
  };
};
