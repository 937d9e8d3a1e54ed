// One slice of one workload on one client: what was done, how long each turn took, what it cost.
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Turns whose time is kept, per slice. */
const KEPT = 1 << 18;
const taken = new Float64Array(KEPT);

const quantile = (sorted, share) => (sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);

/** Runs `work(until)`, which gives `{ turns, times }`, and gives what it took; times in ms, CPU in µs. */
export const account = async (milliseconds, operations, work, eventLoop = false) => {
  const delay = eventLoop ? monitorEventLoopDelay({ resolution: 1 }) : undefined;
  delay?.enable();
  const before = process.cpuUsage();
  const start = performance.now();
  const { turns, times } = await work(start + milliseconds);
  const elapsed = performance.now() - start;
  const { user, system } = process.cpuUsage(before);
  delay?.disable();
  const sorted = times.sort();
  return {
    rate: (turns * operations * 1000) / elapsed,
    cpu: (user + system) / (turns * operations),
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    p999: quantile(sorted, 0.999),
    delay: delay === undefined ? null : delay.percentile(99) / 1e6,
    rss: process.resourceUsage().maxRSS / 1024,
  };
};

/** Keeps `loops` turns of `workload` under way on `client` until the time is up. */
export const slice = (client, workload, milliseconds) =>
  account(
    milliseconds,
    workload.operations,
    async (until) => {
      let turns = 0;
      let kept = 0;
      const loop = async () => {
        for (;;) {
          const start = performance.now();
          if (start >= until) return;
          await workload.turn(client, turns);
          if (kept < KEPT) taken[kept++] = performance.now() - start;
          turns++;
        }
      };
      const aside = async (turn) => {
        while (performance.now() < until) await turn(client);
      };
      await Promise.all([...Array.from({ length: workload.loops }, loop), ...(workload.beside ?? []).map(aside)]);
      return { turns, times: taken.slice(0, kept) };
    },
    workload.eventLoop,
  );
