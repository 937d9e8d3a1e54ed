import { connect as open } from "./ioredis.mjs";

export const connect = (link) => open({ ...link, enableAutoPipelining: true });
