// Tables of medians, and the ratios to the best of the others.
import { readFileSync } from "node:fs";
import os from "node:os";

const median = (values) => {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length === 0 ? NaN : sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

const number = (value, digits = 0) =>
  Number.isFinite(value) ? value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : "-";
const ratio = (value) => number(value, 2);

const print = (head, rows) => {
  console.log(`| ${head.join(" | ")} |\n|---|${"--:|".repeat(head.length - 1)}`);
  for (const row of rows) console.log(`| ${row.join(" | ")} |`);
};

const least = (rows, field) => (rows.length === 0 ? NaN : Math.min(...rows.map((row) => row[field])));
const most = (rows, field) => (rows.length === 0 ? NaN : Math.max(...rows.map((row) => row[field])));

/** Prints a workload's table; gives its medians with their ratios. */
export const reportWorkload = (id, workload, adapters, slices, { rounds, milliseconds }) => {
  const fields = ["rate", "cpu", "p50", "p99", "p999", "delay", "rss"];
  const rows = adapters
    .filter(({ name }) => slices.has(name))
    .map(({ name, role }) => {
      const own = slices.get(name);
      const rates = own.map(({ rate }) => rate);
      const medians = Object.fromEntries(fields.map((field) => [field, median(own.map((slice) => slice[field]))]));
      return { name, role, ...medians, rss: own.at(-1)?.rss ?? NaN, low: Math.min(...rates), high: Math.max(...rates) };
    });
  const peers = rows.filter(({ role }) => role === "peer");
  const best = { rate: most(peers, "rate"), cpu: least(peers, "cpu"), p99: least(peers, "p99"), delay: least(peers, "delay") };
  const limit = most(rows.filter(({ role }) => role === "limit"), "rate");
  for (const row of rows) {
    row.ratio = row.rate / best.rate;
    row.ofLimit = row.rate / limit;
    row.cpuRatio = row.cpu / best.cpu;
    row.p99Ratio = row.p99 / best.p99;
  }
  const { unit, about, eventLoop } = workload;
  console.log(`\n**${id}** ${about} (${rounds} rounds of ${milliseconds} ms)\n`);
  const micro = (value) => number(value * 1000);
  const percent = (value) => (Number.isFinite(value) ? `${number(value * 100)} %` : "-");
  print(
    ["client", `${unit}/s`, "min..max", "x best peer", "of limit", `CPU µs/${unit}`, "x best peer", "p50 µs", "p99 µs", "p99.9 µs", ...(eventLoop ? ["event loop p99 ms"] : []), "peak RSS MiB"],
    rows.map((row) => [
      row.name,
      number(row.rate),
      `${number(row.low)}..${number(row.high)}`,
      ratio(row.ratio),
      percent(row.ofLimit),
      number(row.cpu, 2),
      ratio(row.cpuRatio),
      ...[row.p50, row.p99, row.p999].map(micro),
      ...(eventLoop ? [number(row.delay, 1)] : []),
      number(row.rss),
    ]),
  );
  return { rows, best, limit };
};

/** Prints the table of starts; gives its medians. */
export const reportStart = (adapters, starts, count) => {
  const rows = adapters
    .filter(({ name }) => starts.has(name))
    .map(({ name, role }) => {
      const medians = ["imported", "replied", "process", "cpu", "rss"].map((field) => [field, median(starts.get(name).map((start) => start[field]))]);
      return { name, role, ...Object.fromEntries(medians) };
    });
  const peers = rows.filter(({ role }) => role === "peer");
  const best = { replied: least(peers, "replied"), rss: least(peers, "rss") };
  for (const row of rows) row.ratio = row.replied / best.replied;
  console.log(`\n**W12** start: import, connect, first reply (${count} fresh processes)\n`);
  print(
    ["client", "import ms", "import to first reply ms", "x fastest peer", "whole process ms", "CPU ms", "peak RSS MiB"],
    rows.map((row) => [row.name, number(row.imported, 1), number(row.replied, 1), ratio(row.ratio), number(row.process, 1), number(row.cpu, 1), number(row.rss)]),
  );
  return { rows, best };
};

/** Prints one line per workload and build of redwire: what the README shows. */
export const reportSummary = (results, names) => {
  for (const name of names) {
    console.log(`\n**${name}** against the best peer of each workload\n`);
    const lines = Object.entries(results).flatMap(([id, { about, report }]) => {
      const own = report.rows.find((row) => row.name === name);
      const peers = report.rows.filter((row) => row.role === "peer");
      if (own === undefined || peers.length === 0) return [];
      if (id === "W12") return [[id, about, `${ratio(own.ratio)} of the time`, peers.find((row) => row.replied === report.best.replied)?.name, "-", "-", "-", rss(own, peers)]];
      const best = peers.find((row) => row.rate === report.best.rate);
      return [[id, about, ratio(own.ratio), best?.name, Number.isFinite(own.ofLimit) ? ratio(own.ofLimit) : "-", ratio(own.cpuRatio), ratio(own.p99Ratio), rss(own, peers)]];
    });
    print(["workload", "", "throughput", "best peer", "of limit", "CPU per op", "p99", "RSS to ioredis"], lines);
  }
};

const rss = (own, peers) => ratio(own.rss / (peers.find(({ name }) => name === "ioredis")?.rss ?? NaN));

/** Prints when, where and what was measured. */
export const reportWorld = (adapters, server, awake) => {
  const packages = { ioredis: "ioredis", iovalkey: "iovalkey", "node-redis": "redis", glide: "@valkey/valkey-glide", redwire: "redwire" };
  const versions = Object.entries(packages).flatMap(([name, folder]) => {
    if (!adapters.some((adapter) => adapter.name === name)) return [];
    const manifest = readFileSync(new URL(`node_modules/${folder}/package.json`, import.meta.url), "utf8");
    return [`${name} ${JSON.parse(manifest).version}`];
  });
  const cpus = os.cpus();
  console.log(`${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${server}, ${cpus.length} x ${cpus[0]?.model}, load ${number(os.loadavg()[0], 1)}${awake ? ", kept awake" : ""}`);
  console.log(versions.join(", "));
};
