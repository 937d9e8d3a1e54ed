// One adapter in a process of its own: its own heap, compiler, garbage and account of CPU. Measures one slice for each message.
import { slice } from "./measure.mjs";
import { WORKLOADS } from "./workloads.mjs";

const [adapter, link] = process.argv.slice(2);
const { connect } = await import(adapter);
const client = await connect(JSON.parse(link));
client.link = JSON.parse(link);
const checked = new Set();

process.on("message", async ({ id, milliseconds }) => {
  try {
    const workload = WORKLOADS[id];
    if (client.slice === undefined && !checked.has(id)) {
      await workload.check(client);
      checked.add(id);
    }
    process.send(await (client.slice ?? slice.bind(null, client))(workload, milliseconds));
  } catch (error) {
    process.send({ error: String(error?.message ?? error).split("\n", 3).join(" ") });
  }
});
process.on("disconnect", () => process.exit(0));
process.send({ ready: true });
