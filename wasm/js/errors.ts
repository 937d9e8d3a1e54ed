/** What an error can tell besides its message. */
export interface ErrorDetails {
  /** The command's name; never its arguments. */
  command?: string | undefined;
  /** See {@link RedisError.maybeExecuted}. */
  maybeExecuted?: boolean | undefined;
  /** What led to it. */
  cause?: unknown;
}

/** What every error of redwire is. */
export class RedisError extends Error {
  /** The name of the command that failed; never its arguments. */
  declare readonly command?: string;
  /**
   * Whether the server may have executed the command: `false` when it was never written or was refused, `true` when its outcome is
   * unknown, absent where the question does not arise.
   */
  declare readonly maybeExecuted?: boolean;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    if (details.command !== undefined) this.command = details.command;
    if (details.maybeExecuted !== undefined) this.maybeExecuted = details.maybeExecuted;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/** The connection could not be made, was lost, or is closed. */
export class ConnectionError extends RedisError {}

/** The lease is over: it was given back, or lost its connection, and another could not go on with what was begun on that. */
export class LeaseError extends ConnectionError {}

/** The server is loading its data set; nothing was executed. */
export class BusyLoadingError extends ConnectionError {
  /** `LOADING`. */
  readonly code = "LOADING";
}

/** The other side does not speak Redis's protocol, or broke it. */
export class ProtocolError extends ConnectionError {}

/** A time limit of redwire's passed. */
export class TimeoutError extends RedisError {}

/** More commands wait, or are on their way, than the options allow. */
export class QueueFullError extends RedisError {}

/** redwire itself failed: its WebAssembly could not be started, or trapped. */
export class ClientError extends RedisError {}

/** Subscriptions were used in a way that would lose messages, or messages were not read in time. */
export class PubSubError extends RedisError {}

/** The server is older than a command or one of its options; nothing was sent. */
export class CommandNotSupportedError extends RedisError {}

/** A lock is not held, is not held any more, or was not to be had. */
export class LockError extends RedisError {}

/** Text from the server is not valid in the client's encoding, or the reply is larger than `maxReplyBytes` or than a value of JavaScript can be. */
export class DecodeError extends RedisError {}

/** An integer reply is beyond what a number holds exactly. */
export class IntegerRangeError extends RedisError {
  /** The exact value. */
  readonly value: bigint;

  constructor(value: bigint, details?: ErrorDetails) {
    super(`the reply ${value} is beyond 2^53-1, which a number cannot hold exactly: the error's 'value' has it as a bigint, or read it with integers: "exact"`, details);
    this.value = value;
  }
}

/** The server answered with an error. */
export class ResponseError extends RedisError {
  /** The first word of the server's text, such as `WRONGTYPE`; `ERR` when it has none of its own. */
  readonly code: string;

  constructor(message: string, details: ErrorDetails & { code?: string } = {}) {
    super(message, details);
    this.code = details.code ?? "ERR";
  }
}

/** A watched key changed before EXEC, or the connection that watched it was lost (then `cause` says why); nothing of the transaction was executed. */
export class WatchError extends ResponseError {
  constructor(details: ErrorDetails = {}) {
    super(`${details.cause === undefined ? "a watched key changed" : "the connection that watched was lost"}: nothing of the transaction was executed`, { ...details, code: "WATCH" });
  }
}

const subclass = (): typeof ResponseError => class extends ResponseError {};

/** The server was told a script by its hash and does not know it. */
export const NoScriptError = subclass();
export type NoScriptError = ResponseError;
/** The server is a replica that takes no writes. */
export const ReadOnlyError = subclass();
export type ReadOnlyError = ResponseError;
/** The key lives on another node of the cluster. */
export const MovedError = subclass();
export type MovedError = ResponseError;
/** The key is being moved to another node of the cluster. */
export const AskError = subclass();
export type AskError = ResponseError;
/** Some keys of the command are being moved. */
export const TryAgainError = subclass();
export type TryAgainError = ResponseError;
/** The cluster does not serve the key's slot. */
export const ClusterDownError = subclass();
export type ClusterDownError = ResponseError;
/** The command's keys belong to different slots. */
export const ClusterCrossSlotError = subclass();
export type ClusterCrossSlotError = ResponseError;
/** User name or password are wrong or missing. */
export const AuthenticationError = subclass();
export type AuthenticationError = ResponseError;
/** The user may not do this. */
export const AuthorizationError = subclass();
export type AuthorizationError = ResponseError;
/** A command of the transaction was refused; nothing was executed. */
export const ExecAbortError = subclass();
export type ExecAbortError = ResponseError;
/** The key holds a value of another type. */
export const WrongTypeError = subclass();
export type WrongTypeError = ResponseError;
/** The server does not know the command. */
export const UnknownCommandError = subclass();
export type UnknownCommandError = ResponseError;

// bundlers rename classes, and consoles print the class's name
for (const [name, type] of Object.entries({
  RedisError,
  ConnectionError,
  LeaseError,
  BusyLoadingError,
  ProtocolError,
  TimeoutError,
  QueueFullError,
  ClientError,
  PubSubError,
  CommandNotSupportedError,
  LockError,
  DecodeError,
  IntegerRangeError,
  ResponseError,
  WatchError,
  NoScriptError,
  ReadOnlyError,
  MovedError,
  AskError,
  TryAgainError,
  ClusterDownError,
  ClusterCrossSlotError,
  AuthenticationError,
  AuthorizationError,
  ExecAbortError,
  WrongTypeError,
  UnknownCommandError,
})) {
  Object.defineProperty(type, "name", { value: name });
}
