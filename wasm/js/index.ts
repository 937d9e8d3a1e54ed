/** A Redis and Valkey client whose core is WebAssembly. @module */
export type { Fields } from "./arguments.js";
export type { Commands, SetOf, SetOptions, Several, Str, ZaddOptions, ZrangeOptions } from "./commands.js";
export type { Connector, Endpoint, Sink, Socket, StreamPair } from "./connector.js";
export type { Status } from "./engine.js";
export * from "./errors.js";
export { keySlot } from "./key-slot.js";
export type { HighWater, OfflineQueue, Options } from "./options.js";
export type { Key, Value } from "./outbox.js";
export type { Pipeline, Queue } from "./pipeline.js";
export { Redis, type RawCommands, type RawRedis, type ViewOptions } from "./redis.js";
