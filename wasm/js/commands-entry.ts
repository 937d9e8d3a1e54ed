/** Commands as values: `await redis.execute([get("a"), incr("n")])`. @module */
export type { Inert, InertCommand } from "./commands/inert.js";
export * from "./generated/inert.js";
