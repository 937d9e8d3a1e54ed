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
]);

/** Gives the error for the server's text. */
export const serverError = (text: string, command?: string): RedisError => {
  const code = /^[A-Z][A-Z0-9_]*(?=\s|$)/.exec(text)?.[0] ?? "ERR";
  const unknown = code === "ERR" && /^ERR unknown command/i.test(text);
  const details = { command, code, ...(refusals.has(code) || unknown ? { maybeExecuted: false } : {}) };
  if (code === "LOADING") return new BusyLoadingError(text, details);
  const type = unknown ? UnknownCommandError : Object.hasOwn(byCode, code) ? byCode[code]! : ResponseError;
  return new type(text, details);
};
