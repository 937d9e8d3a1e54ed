// Rounds: in each, every adapter measures one slice; only one works at a time, and who is first changes.
import { execFile, fork } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

const here = import.meta.dirname;
/** What a slice may take more than its time, in ms; who takes longer is out. */
const PATIENCE = 20_000;

/** Adapters in processes of their own, started when they are first needed. */
export class Processes {
  #children = new Map();

  /** Gives the process of `adapter` on `link`. */
  async #child(adapter, name, link) {
    const key = `${adapter.name} ${name}`;
    if (this.#children.has(key)) return this.#children.get(key);
    const child = fork(path.join(here, "child.mjs"), [adapter.url, JSON.stringify({ ...link, ...adapter.options })], {
      execArgv: [],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#children.set(key, child);
    await this.#answer(child);
    return child;
  }

  #answer(child, milliseconds = 0) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), milliseconds + PATIENCE);
      const settle = (answer) => {
        clearTimeout(timer);
        child.removeAllListeners("message");
        child.removeAllListeners("exit");
        resolve(answer);
      };
      child.once("message", settle);
      child.once("exit", () => settle({ error: "the process died or hung" }));
    });
  }

  /** Measures one slice. */
  async slice(adapter, name, link, id, milliseconds) {
    const child = await this.#child(adapter, name, link);
    if (!child.connected) return { error: "the process is gone" };
    child.send({ id, milliseconds });
    return this.#answer(child, milliseconds);
  }

  /** Ends all processes. */
  async end() {
    const ends = [...this.#children.values()].filter((child) => child.exitCode === null && child.signalCode === null).map((child) => {
      const end = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      return end;
    });
    this.#children.clear();
    await Promise.all(ends);
  }
}

/** Measures `workload` in rounds, after one to warm up; gives each adapter's slices. */
export const measure = async (processes, adapters, id, workload, link, { rounds, milliseconds }) => {
  const slices = new Map(adapters.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (let turn = 0; turn < adapters.length; turn++) {
      const adapter = adapters[(turn + round + adapters.length) % adapters.length];
      if (!slices.has(adapter.name)) continue;
      const slice = await processes.slice(adapter, workload.link, link, id, round < 0 ? Math.max(milliseconds, 500) : milliseconds);
      if (slice.error !== undefined) {
        console.error(`${id} ${adapter.name}: ${slice.error}`);
        slices.delete(adapter.name);
      } else if (round >= 0) {
        slices.get(adapter.name).push(slice);
      }
    }
  }
  return slices;
};

/** Starts `count` fresh processes per adapter in turn; gives what each took. */
export const start = async (adapters, link, count) => {
  const starts = new Map(adapters.map(({ name }) => [name, []]));
  for (let round = -1; round < count; round++) {
    for (const adapter of adapters) {
      if (!starts.has(adapter.name)) continue;
      const options = [path.join(here, "start.mjs"), adapter.url, JSON.stringify({ ...link, ...adapter.options })];
      const begin = performance.now();
      try {
        const { stdout } = await promisify(execFile)(process.execPath, options, { timeout: PATIENCE });
        if (round >= 0) starts.get(adapter.name).push({ ...JSON.parse(stdout), process: performance.now() - begin });
      } catch (error) {
        console.error(`W12 ${adapter.name}: ${error.message.split("\n")[0]}`);
        starts.delete(adapter.name);
      }
    }
  }
  return starts;
};
