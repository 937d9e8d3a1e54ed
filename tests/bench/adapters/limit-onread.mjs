import { connectLimit } from "../limit.mjs";

export const connect = connectLimit(256 << 10);
