/** A Redis and Valkey client whose core is WebAssembly. @module */
export type { Give, Kind, Promised, Queued, Raw } from "./commands/give.js";
export type { InertCommand, ReplyOf } from "./commands/inert.js";
export type { Fields, Int, Several, UnixTime } from "./commands/types.js";
export type { Connector, Endpoint, Sink, Socket, StreamPair } from "./connector.js";
export type { Status } from "./engine.js";
export * from "./errors.js";
export type * from "./generated/commands.js";
export type * from "./generated/options.js";
export type * from "./generated/replies.js";
export { keySlot } from "./key-slot.js";
export type { HighWater, OfflineQueue, Options } from "./options.js";
export type { Key, Value } from "./outbox.js";
export type { Pipeline } from "./pipeline.js";
export { Redis, type RawCommands, type RawRedis, type ViewOptions } from "./redis.js";
export type * from "./replies.js";
export type { Bitfield, BitfieldReader } from "./bitfield.js";
export type { CommandDefinition } from "./custom.js";
export type { Iterators } from "./iterators.js";
