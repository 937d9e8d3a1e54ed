/** Adapters for `redis.with({ adapter })`. @module */
export type { Adapter } from "./adapter.js";
export { json } from "./json.js";
