import Redis from "ioredis";
import { wrap } from "./ioredis-like.mjs";

export const connect = async ({ host, port, resp2, ca, ...more }) =>
  wrap(new Redis({ host, port, ...(resp2 && { protocol: 2 }), ...(ca && { tls: { ca } }), ...more }));
