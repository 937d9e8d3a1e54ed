// The benchmarks run, with what they are said to measure; how fast anything is, no test says.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { missing, programs } from "./support/servers.mjs";

const bench = path.join(import.meta.dirname, "../bench/bench.mjs");
const tarball = process.env.REDWIRE_TARBALL;

test("[promise 35] LRANGE and SMEMBERS of 10 000 are measured beside a bare socket, once their answers are checked", { skip: missing(programs[0]) }, async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), "redwire-bench-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, "figures.json");
  const options = ["--only", "W7,W7s", "--adapters", "limit", "--also", tarball, "--rounds", "1", "--ms", "40", "--json", file];
  const { stdout } = await promisify(execFile)(process.execPath, [bench, ...options]);
  const figures = JSON.parse(await readFile(file, "utf8"));
  const own = `redwire (${path.basename(tarball, ".tgz")})`;
  for (const [workload, command] of [["W7", "LRANGE"], ["W7s", "SMEMBERS"]]) {
    assert.match(figures[workload].about, new RegExp(command));
    for (const client of [own, "limit"]) assert.ok(figures[workload].slices[client].every(({ rate, cpu }) => rate > 0 && cpu > 0), `${client} did ${workload}`);
  }
  assert.match(stdout, /\*\*W7s\*\*/);
});
