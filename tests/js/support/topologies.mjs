import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "redwire";
import { startServer } from "./servers.mjs";
import { until } from "./until.mjs";

/** Calls `ask` with clients of `nodes` that take replies as they come, until it gives something. */
const settled = async (nodes, what, ask) => {
  const clients = nodes.map(({ port }) => new Redis({ port, protocol: 2 }).with({ raw: true }));
  try {
    return await until(() => ask(...clients), what, 20_000);
  } finally {
    for (const client of clients) client.destroy();
  }
};

const says = async (client, words, pattern) => pattern.test(String(await client.call(...words)));
const linked = (replica) => says(replica, ["INFO", "replication"], /master_link_status:up/);
const online = (primary) => says(primary, ["INFO", "replication"], /state=online/);

const clustered = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"];

/** A primary and its replica, both started by `start(args)`. */
export const linkedReplica = async (start) => {
  const primary = await start(["--repl-diskless-sync-delay", "0"]);
  const replica = await start(["--repl-diskless-sync-delay", "0", "--replicaof", `127.0.0.1 ${primary.port}`]);
  await settled([primary, replica], "a replica", async (first, second) => (await linked(second)) && online(first));
  return { primary, replica };
};

const starts = {
  /** A primary with all slots, its replica, and another primary that has none. */
  async cluster(start) {
    const primary = await start(clustered);
    const replica = await start(clustered);
    const other = await start(clustered);
    const nodes = { primary, replica, other };
    await settled(Object.values(nodes), "a cluster", async (first, second, third) => {
      const all = [first, second, third];
      if (await says(first, ["CLUSTER", "INFO"], /cluster_slots_assigned:0/)) await first.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383);
      const lists = await Promise.all(all.map(async (node) => String(await node.call("CLUSTER", "NODES"))));
      if (lists.some((list) => !/^(?:.* connected.*\n){3}$/.test(list) || list.includes("handshake"))) {
        const known = lists.every((list) => list.split("\n").length > 2);
        if (!known) for (const node of [second, third]) await node.call("CLUSTER", "MEET", "127.0.0.1", primary.port);
        return new Promise((resolve) => setTimeout(resolve, 50));
      }
      if (!/slave/.test(lists[1])) await second.call("CLUSTER", "REPLICATE", String(await first.call("CLUSTER", "MYID")));
      const well = await Promise.all(all.map((node) => says(node, ["CLUSTER", "INFO"], /cluster_state:ok/)));
      if (!well.every(Boolean) || !lists.every((list) => list.includes("slave")) || !(await linked(second)) || !(await online(first))) return false;
      // a replica is told of once it has got something
      await first.call("FLUSHALL");
      return says(first, ["CLUSTER", "SLOTS"], new RegExp(`\\b${replica.port}\\b`));
    });
    return nodes;
  },

  /** A node of no cluster. */
  async spare(start) {
    return { primary: await start(clustered) };
  },

  replica: (start) => linkedReplica(start),

  /** Two sentinels of a primary and its replica. */
  async sentinel(start) {
    const { primary: data, replica } = await starts.replica(start);
    const config = [`sentinel monitor mymaster 127.0.0.1 ${data.port} 1`, "sentinel failover-timeout mymaster 2000"];
    const primary = await start(["--sentinel"], config);
    const other = await start(["--sentinel"], config);
    await settled([primary, other], "sentinels", async (...all) => {
      const known = await Promise.all(all.map((node) => says(node, ["SENTINEL", "MASTER", "mymaster"], /num-slaves,1,num-other-sentinels,1/)));
      // before that it is not promoted
      return known.every(Boolean) && says(all[0], ["SENTINEL", "REPLICAS", "mymaster"], /master-link-status,ok/);
    });
    return { primary, other, data, replica };
  },

  /** A server with files of its own for users and configuration. */
  async files(start) {
    const folder = mkdtempSync(join(tmpdir(), "redwire-"));
    const users = join(folder, "users.acl");
    writeFileSync(users, "");
    const primary = await start(["--aclfile", users], ["loglevel notice"]);
    return { primary, folder: { stop: () => rmSync(folder, { recursive: true, force: true }) } };
  },
};

/** What scenarios may need, and what their nodes are called. */
export const kinds = ["cluster", "replica", "sentinel", "files"];

/** Servers that belong together, started when a scenario first needs them. */
export class Topologies {
  #program;
  #running = new Map();

  constructor(program) {
    this.#program = program;
  }

  /** Gives the node that a scenario runs on. */
  async node({ needs, node = "primary" }) {
    const kind = node === "spare" ? node : needs;
    if (!this.#running.has(kind)) {
      const nodes = [];
      const start = async (args, config) => {
        const server = await startServer(this.#program, args, config);
        nodes.push(server);
        return server;
      };
      this.#running.set(kind, { nodes, all: await starts[kind](start) });
    }
    const { all } = this.#running.get(kind);
    return all[kind === "spare" ? "primary" : node];
  }

  /** Ends what a scenario leaves in a state that is no use to others. */
  async leave({ needs, node, fresh }) {
    if (node === "spare") await this.#stop(node);
    else if (fresh) await this.#stop(needs);
  }

  async stop() {
    await Promise.all([...this.#running.keys()].map((kind) => this.#stop(kind)));
  }

  async #stop(kind) {
    const { nodes, all } = this.#running.get(kind) ?? { nodes: [], all: {} };
    this.#running.delete(kind);
    await Promise.all(nodes.map((node) => node.stop()));
    all.folder?.stop();
  }
}
