// Processors that never sleep: where waking one costs more than a request, a benchmark measures little else.
import { spawn } from "node:child_process";
import os from "node:os";

/** Keeps every processor busy at the lowest priority, which gives way to all others, until this process ends. */
export const stayAwake = () => {
  for (const _ of os.cpus()) {
    const spinner = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
    os.setPriority(spinner.pid, os.constants.priority.PRIORITY_LOW);
    process.on("exit", () => spinner.kill("SIGKILL"));
  }
};
