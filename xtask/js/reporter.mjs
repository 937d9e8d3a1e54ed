// A reporter for `node --test` that speaks cargo's language: one `test NAME ... ok` per leaf, `group NAME ... ok` for a
// passed test or suite around passed leaves, and one `test result:` line. What the tests print themselves is quoted.
import { basename } from "node:path";
import { inspect } from "node:util";

const quote = (text) => text.replace(/^/gm, "  | ").replace(/ {2}\| $/, "");

export default async function* report(events) {
  const count = { ok: 0, FAILED: 0, ignored: 0 };
  const below = []; // by depth: what the tests inside the next one to end gave

  for await (const { type, data } of events) {
    if (type === "test:stdout" || type === "test:stderr") yield quote(data.message);
    if (type !== "test:pass" && type !== "test:fail") continue;

    const { nesting, name, file } = data;
    const children = below[nesting + 1];
    below[nesting + 1] = undefined;
    const siblings = (below[nesting] ??= { passed: 0 });
    const title = `${basename(file ?? "")} > ${name}`;
    const error = data.details?.error;

    if (type === "test:fail" && data.todo === undefined) {
      if (error?.failureType === "subtestsFailed") continue;
      count.FAILED += 1;
      yield `test ${title} ... FAILED\n${quote(`${inspect(error?.cause ?? error)}\n`)}`;
    } else if (data.skip !== undefined || data.todo !== undefined) {
      count.ignored += 1;
      const reason = [data.skip, data.todo].find((why) => typeof why === "string" && why !== "");
      yield `test ${title} ... ignored${reason ? `, ${reason}` : ""}\n`;
    } else if (children) {
      siblings.passed += children.passed;
      if (children.passed > 0) yield `group ${title} ... ok\n`;
    } else if (data.details?.type === "suite" || name === file) {
      yield `nothing to run in ${title}\n`;
    } else {
      siblings.passed += 1;
      count.ok += 1;
      yield `test ${title} ... ok\n`;
    }
  }
  const verdict = count.FAILED > 0 ? "FAILED" : "ok";
  yield `test result: ${verdict}. ${count.ok} passed; ${count.FAILED} failed; ${count.ignored} ignored\n`;
}
