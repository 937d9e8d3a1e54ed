import {
  AskError,
  AuthenticationError,
  AuthorizationError,
  BusyLoadingError,
  ClusterCrossSlotError,
  ClusterDownError,
  ExecAbortError,
  MovedError,
  NoScriptError,
  ReadOnlyError,
  ResponseError,
  TryAgainError,
  UnknownCommandError,
  WrongTypeError,
  type RedisError,
} from "./errors.js";

const byCode: Readonly<Record<string, typeof ResponseError>> = {
  NOSCRIPT: NoScriptError,
  READONLY: ReadOnlyError,
  MOVED: MovedError,
  ASK: AskError,
  TRYAGAIN: TryAgainError,
  CLUSTERDOWN: ClusterDownError,
  CROSSSLOT: ClusterCrossSlotError,
  WRONGPASS: AuthenticationError,
  NOAUTH: AuthenticationError,
  NOPERM: AuthorizationError,
  EXECABORT: ExecAbortError,
  WRONGTYPE: WrongTypeError,
};

/** Codes of errors that say that the command was refused, not executed. */
const refusals = new Set([
  "ASK",
  "BUSY",
  "CLUSTERDOWN",
  "CROSSSLOT",
  "EXECABORT",
  "LOADING",
  "MASTERDOWN",
  "MISCONF",
  "MOVED",
  "NOAUTH",
  "NOPERM",
  "NOREPLICAS",
  "NOSCRIPT",
  "OOM",
  "READONLY",
  "TRYAGAIN",
  "UNBLOCKED",
]);

/** Gives the class of errors with `code`. */
export const classOf = (code: string): typeof ResponseError => (Object.hasOwn(byCode, code) ? byCode[code]! : ResponseError);

/** What to do about a code, where the server does not say it itself. */
export const remedies: Readonly<Record<string, string>> = {
  CROSSSLOT: "give the keys one {hash tag}",
  MOVED: "this is a node of a cluster: use RedisCluster",
  NOAUTH: "set 'password', or 'username' and 'password'",
  NOPERM: "have the user be granted it with ACL SETUSER, or use another",
  READONLY: "connect to its primary",
  WRONGTYPE: "check with TYPE what the key holds, or use another key",
};

/** Gives the error for the server's text. */
export const serverError = (text: string, command?: string): RedisError => {
  const code = /^[A-Z][A-Z0-9_]*(?=\s|$)/.exec(text)?.[0] ?? "ERR";
  const unknown = code === "ERR" && /^ERR unknown command/i.test(text);
  const details = { command, code, ...(refusals.has(code) || unknown ? { maybeExecuted: false } : {}) };
  if (code === "LOADING") return new BusyLoadingError(text, details);
  // the server repeats arguments here, which may be secrets
  if (unknown) return new UnknownCommandError(`${text.replace(/,? with args beginning with:.*/s, "")} (check its name, the server's version, that its module is loaded, and that this is no sentinel)`, details);
  const remedy = Object.hasOwn(remedies, code) ? ` (${remedies[code]})` : "";
  return new (classOf(code))(text + remedy, details);
};
