import { Redis, type Gap, type Message, type MonitorEntry, type Published, type PubSub } from "redwire";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

export const subscriptions = async (redis: Redis, bytes: Redis<Uint8Array>): Promise<void> => {
  const pubsub = redis.pubsub({ ignoreSubscribeMessages: true, bufferLimit: 100, onOverflow: "drop-newest", onGap: (gap) => same<typeof gap, Gap<string>>(true) });
  same<typeof pubsub, PubSub<string>>(true);
  await pubsub.subscribe("a", new Uint8Array(1));
  await pubsub.subscribe(["a", "b"]);
  await pubsub.subscribe({ "my-channel": (x) => console.log("MY HANDLER:", x.data.toUpperCase()) });
  await pubsub.psubscribe({ "my-*": async ({ pattern }) => same<typeof pattern, string | null>(true) });
  const message = await pubsub.getMessage({ timeout: 100 });
  same<typeof message, Message<string> | null>(true);
  if (message?.type === "subscribe") same<[typeof message.channel, typeof message.data], [string, number]>(true);
  if (message?.type === "pmessage") same<[typeof message.channel, typeof message.data], [string, string]>(true);
  for await (const each of bytes.pubsub()) if (each.type === "message") same<[typeof each.channel, typeof each.data], [Uint8Array, Uint8Array]>(true);
  same<[typeof pubsub.channels, typeof pubsub.subscribed], [Set<string>, boolean]>(true);
  const worker = pubsub.run({ onError: (error, about) => same<[typeof error, typeof about], [unknown, Published<string>]>(true) });
  await worker.stop();
  await worker.done;
  const stop = await bytes.subscribe("a", ({ data }) => same<typeof data, Uint8Array>(true), { onGap: ({ from, channels }) => same<[typeof from, typeof channels], [number, Uint8Array[]]>(true) });
  await stop();
  for await (const entry of redis.monitor({ signal: AbortSignal.timeout(1) })) same<typeof entry, MonitorEntry<string>>(true);
  // @ts-expect-error a handler is a function
  await pubsub.subscribe({ a: "no function" });
  // @ts-expect-error no such way
  redis.pubsub({ onOverflow: "explode" });
};
