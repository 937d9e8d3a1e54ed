const append = (pipeline, commands) => {
  for (const [name, ...args] of commands) pipeline[name](...args);
  return pipeline.execute();
};

export const connect = async ({ host, port, resp2, ca, from = "redwire" }) => {
  const { Redis } = await import(from);
  const redis = new Redis({ host, port, ...(resp2 && { protocol: 2 }), ...(ca && { tls: { ca } }) });
  const bytes = redis.with({ decodeResponses: false });
  let caching;
  return {
    get: (key) => redis.get(key),
    getBytes: (key) => bytes.get(key),
    set: (key, value) => redis.set(key, value),
    pipeline: (commands) => append(redis.pipeline({ transaction: false }), commands),
    multi: (commands) => append(redis.multi(), commands),
    mget: (keys) => redis.mget(keys),
    lrange: (key, start, stop) => redis.lrange(key, start, stop),
    hgetall: (key) => redis.hgetall(key),
    smembers: (key) => redis.smembers(key),
    subscribe: (channel, take) => redis.subscribe(channel, (message) => take(message.data)),
    iterate: async (channel, take) => {
      const pubsub = redis.pubsub({ ignoreSubscribeMessages: true });
      await pubsub.subscribe(channel);
      (async () => {
        for await (const message of pubsub) take(message.data);
      })();
    },
    getKept: (key) => (caching ??= redis.duplicate({ cache: {} })).get(key),
    close: () => Promise.all([redis.close(), caching?.close()]),
  };
};
