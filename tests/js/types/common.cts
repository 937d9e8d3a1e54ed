// A CommonJS module: what it imports is required.
import { Redis, WrongTypeError, type Options } from "redwire";
import { json } from "redwire/adapters";
import { get, incr } from "redwire/commands";
import common = require("redwire");

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

const options: Options = { timeout: 5 };
export const redis = new Redis("redis://h", options);
export const bytes = new common.Redis({ decodeResponses: false });
export const check = async (): Promise<void> => {
  const [text, data] = [await redis.get("k"), await bytes.get("k")];
  same<[typeof text, typeof data], [string | null, Uint8Array | null]>(true);
  const both = await redis.execute([get("a"), incr("n")]);
  same<typeof both, [string | null, number]>(true);
  await redis.with({ adapter: json }).set("k", { any: "thing" });
  await redis.incr("k").catch((error: unknown) => error instanceof WrongTypeError && error.code);
};
