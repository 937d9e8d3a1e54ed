// ioredis and its fork share their surface.
export const wrap = (client) => ({
  get: (key) => client.get(key),
  getBytes: (key) => client.getBuffer(key),
  set: (key, value) => client.set(key, value),
  pipeline: (commands) => client.pipeline(commands).exec(),
  multi: (commands) => client.multi(commands).exec(),
  mget: (keys) => client.mget(keys),
  lrange: (key, start, stop) => client.lrange(key, start, stop),
  hgetall: (key) => client.hgetall(key),
  smembers: (key) => client.smembers(key),
  subscribe: async (channel, take) => {
    const subscriber = client.duplicate();
    subscriber.on("message", (_, message) => take(message));
    await subscriber.subscribe(channel);
  },
  close: () => client.disconnect(),
});
