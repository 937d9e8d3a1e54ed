// Without the types of Node, and without the library that knows what is disposed of.
import { Redis } from "redwire";
import { json } from "redwire/adapters";

const redis = new Redis("redis://h").with({ adapter: json });
export const end: () => Promise<void> = redis.pipeline().set("k", {})[Symbol.asyncDispose];
