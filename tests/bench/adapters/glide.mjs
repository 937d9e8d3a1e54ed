import { Batch, Decoder, GlideClient, GlideClientConfiguration, ProtocolVersion } from "@valkey/valkey-glide";

const append = (batch, commands) => {
  for (const [name, ...args] of commands) batch[name](...args);
  return batch;
};

export const connect = async ({ host, port, resp2, ca }) => {
  const configuration = {
    addresses: [{ host, port }],
    // its default is 250 ms, which 1 MiB replies on a busy machine can exceed
    requestTimeout: 10_000,
    ...(resp2 && { protocol: ProtocolVersion.RESP2 }),
    ...(ca && { useTLS: true, advancedConfiguration: { tlsAdvancedConfiguration: { rootCertificates: ca } } }),
  };
  const client = await GlideClient.createClient(configuration);
  const bytes = { decoder: Decoder.Bytes };
  return {
    get: (key) => client.get(key),
    getBytes: (key) => client.get(key, bytes),
    set: (key, value) => client.set(key, value),
    pipeline: (commands) => client.exec(append(new Batch(false), commands), true),
    multi: (commands) => client.exec(append(new Batch(true), commands), true),
    mget: (keys) => client.mget(keys),
    lrange: (key, start, stop) => client.lrange(key, start, stop),
    hgetall: (key) => client.hgetall(key),
    smembers: (key) => client.smembers(key),
    subscribe: async (channel, take) => {
      const channelsAndPatterns = { [GlideClientConfiguration.PubSubChannelModes.Exact]: new Set([channel]) };
      await GlideClient.createClient({ ...configuration, pubsubSubscriptions: { channelsAndPatterns, callback: ({ message }) => take(message) } });
    },
    close: () => client.close(),
  };
};
