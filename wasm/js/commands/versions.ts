import { planOf } from "./plan.js";
import { CommandNotSupportedError } from "../errors.js";

/** What a call needs the server to know. */
export interface Needs {
  /** The version that brought it, when not every server has it. */
  since: string | undefined;
  /** The option that the version brought; empty when it was the command itself. */
  option: string;
}

/** Gives what the command in row `row` needs when it is given nothing that needs more. */
export const needsOf = (row: number): Needs | undefined => {
  const { since } = planOf(row);
  return since === undefined ? undefined : { since, option: "" };
};

/** Tells whether version `one` is before `other`. */
export const isOlder = (one: string, other: string): boolean => {
  const [a, b] = [one, other].map((version) => version.split(".").map(Number)) as [number[], number[]];
  for (let at = 0; at < 3; at++) if ((a[at] ?? 0) !== (b[at] ?? 0)) return (a[at] ?? 0) < (b[at] ?? 0);
  return false;
};

/** Gives the error for a call that the server is too old for, if it is. */
export const unsupported = (command: string, { since, option }: Needs, version: string | undefined): CommandNotSupportedError | undefined => {
  if (version === undefined || since === undefined || !isOlder(version, since)) return undefined;
  const what = option === "" ? command : `${command} with '${option}'`;
  return new CommandNotSupportedError(`${what} needs version ${since} of the server, which is ${version}; verifyVersion: false sends it all the same`, {
    command,
    maybeExecuted: false,
  });
};
