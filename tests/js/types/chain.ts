import { Redis } from "redwire";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Five = [boolean, string | null, number, Record<string, string>, number | null];
type Ten = [...Five, ...Five];

export const all = async (): Promise<void> => {
  const results = await new Redis("redis://h").pipeline()
    .set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m").set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m")
    .set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m").set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m")
    .set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m").set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m")
    .set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m").set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m")
    .set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m").set("a", 1).get("a").incr("n").hgetall("h").zscore("z", "m")
    .execute();
  const exact: Same<typeof results, [...Ten, ...Ten, ...Ten, ...Ten, ...Ten]> = true;
  void exact;
};
