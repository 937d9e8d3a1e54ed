import { connectLimit } from "../limit.mjs";

export const connect = connectLimit(0);
