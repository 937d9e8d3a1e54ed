// An ES module beside a CommonJS one: their types are the same.
import { Redis, type Lease } from "redwire";
import { json } from "redwire/adapters";
import { get } from "redwire/commands";
import { redis as required } from "./common.cjs";

const redis: Redis = required;
export const check = async (lease: Lease): Promise<unknown> => [await redis.execute([get("k")]), await lease.select(1), redis.with({ adapter: json })];
// @ts-expect-error there is no default export
import nothing from "redwire";
void nothing;
