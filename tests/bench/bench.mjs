// `cargo xtask bench [options]` runs this: every workload on every client, in rounds.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { stayAwake } from "./awake.mjs";
import { reportStart, reportSummary, reportWorkload, reportWorld } from "./report.mjs";
import { Processes, measure, start } from "./rounds.mjs";
import { startServer } from "./server.mjs";
import { WORKLOADS } from "./workloads.mjs";

const HELP = `cargo xtask bench [options]

  --only W1,W6        workloads, or the first part of their names
  --adapters a,b      redwire, ioredis, ioredis-auto, iovalkey, node-redis, glide, limit, limit-onread
  --rounds 9          slices of each client per workload
  --ms 400            length of a slice
  --starts 12         fresh processes of each client in W12
  --also PATH.tgz     another build of redwire beside the first; may be given again
  --awake             processors never sleep: for virtual machines, where waking one takes longer than a request
  --alone             a fresh process per workload and client: peak RSS is then that of the workload
  --json FILE         all figures`;

const here = import.meta.dirname;
const PEERS = ["ioredis", "ioredis-auto", "iovalkey", "node-redis", "glide"];
const LIMITS = ["limit", "limit-onread"];
const START = { about: "start: import to first reply", link: "plain" };

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    adapters: { type: "string" },
    rounds: { type: "string", default: "9" },
    ms: { type: "string", default: "400" },
    starts: { type: "string", default: "12" },
    also: { type: "string", multiple: true, default: [] },
    awake: { type: "boolean", default: false },
    alone: { type: "boolean", default: false },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const fail = (message) => {
  console.error(`bench: ${message}`);
  process.exit(2);
};

const positive = (name) => (Number(options[name]) > 0 ? Number(options[name]) : fail(`--${name} expects a number above 0`));

/** Unpacks a tarball where Node finds it as `redwire`; gives its entry. */
const unpack = (tarball) => {
  if (!existsSync(tarball)) fail(`${tarball} is not there`);
  const folder = mkdtempSync(path.join(tmpdir(), "redwire-also-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const place = path.join(folder, "node_modules/redwire");
  mkdirSync(place, { recursive: true });
  execFileSync("tar", ["-xzf", path.resolve(tarball), "--strip-components", "1", "-C", place]);
  return pathToFileURL(createRequire(path.join(folder, "x.js")).resolve("redwire")).href;
};

const adapter = (name, role, more) => ({ name, role, url: pathToFileURL(path.join(here, "adapters", `${more?.file ?? name}.mjs`)).href, options: more?.options });

const chooseAdapters = () => {
  const known = ["redwire", ...PEERS, ...LIMITS];
  const names = options.adapters?.split(",") ?? known;
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) fail(`no adapter '${unknown}'; there are ${known.join(", ")}`);
  const chosen = names
    .filter((name) => name !== "glide" || existsSync(path.join(here, "node_modules/@valkey/valkey-glide")) || console.error("bench: glide is not installed here, so it is left out"))
    .map((name) => adapter(name, name === "redwire" ? "own" : LIMITS.includes(name) ? "limit" : "peer"));
  const also = options.also.map((tarball, i) => adapter(`redwire (${path.basename(tarball, ".tgz")}${i > 0 ? ` ${i + 1}` : ""})`, "own", { file: "redwire", options: { from: unpack(tarball) } }));
  return [...chosen, ...also];
};

const chooseWorkloads = () => {
  const known = [...Object.keys(WORKLOADS), "W12"];
  if (options.only === undefined) return known;
  return options.only.split(",").flatMap((word) => {
    const found = known.filter((id) => id === word || id.startsWith(`${word}.`));
    return found.length > 0 ? found : fail(`no workload '${word}'; there are ${known.join(", ")}`);
  });
};

if (options.help) {
  console.log(HELP);
  process.exit(0);
}
const settings = { rounds: positive("rounds"), milliseconds: positive("ms") };
const starts = positive("starts");
const adapters = chooseAdapters();
const ids = chooseWorkloads();

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
const program = process.env.REDWIRE_REDIS || "redis-server";
const tls = process.env.REDWIRE_TLS || path.join(here, "../tls");
const server = await startServer(program, tls);
if (server.links.tls) server.links.tls.ca = readFileSync(path.join(tls, "ca.crt"), "utf8");
reportWorld(adapters, execFileSync(program, ["--version"], { encoding: "utf8" }).split(" sha")[0], options.awake);
if (options.awake) stayAwake();

const processes = new Processes();
const results = {};
for (const id of ids) {
  const workload = id === "W12" ? START : WORKLOADS[id];
  const link = server.links[workload.link];
  if (link === undefined) {
    console.error(`${id}: skipped, since ${program} has no TLS`);
    continue;
  }
  if (id === "W12") {
    const clients = adapters.filter(({ role }) => role !== "limit");
    const slices = await start(clients, link, starts);
    results[id] = { about: workload.about, slices: Object.fromEntries(slices), report: reportStart(clients, slices, starts) };
    continue;
  }
  const able = workload.wire === undefined ? adapters.filter(({ role }) => role !== "limit") : adapters;
  const slices = await measure(processes, able, id, workload, link, settings);
  results[id] = { about: workload.about, slices: Object.fromEntries(slices), report: reportWorkload(id, workload, able, slices, settings) };
  if (options.alone) await processes.end();
}
await processes.end();
reportSummary(results, adapters.filter(({ role }) => role === "own").map(({ name }) => name));
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(results)}\n`);
server.stop();
process.exit(0);
