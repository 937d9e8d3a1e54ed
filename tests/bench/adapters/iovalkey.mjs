import Redis from "iovalkey";
import { wrap } from "./ioredis-like.mjs";

// it speaks RESP2 only
export const connect = async ({ host, port, ca }) => wrap(new Redis({ host, port, ...(ca && { tls: { ca } }) }));
