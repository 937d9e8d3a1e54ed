import { AuthenticationError, ConnectionError, LeaseError, ProtocolError, QueueFullError, RedisError, ResponseError, TimeoutError } from "./errors.js";

/** What ended a link or a command; numbers are those of `wasm/src/host.rs`. */
export const enum Reason {
  TIMEOUT = 1,
  CONNECT_TIMEOUT = 2,
  REFUSED = 3,
  DROPPED = 4,
  PROTOCOL = 5,
  UNSOLICITED = 6,
  AUTHENTICATION = 7,
  DATABASE = 8,
  PROTOCOL3 = 9,
  MAX_CLIENTS = 10,
  HANDSHAKE = 11,
  CLOSED = 12,
  QUEUE_TIMEOUT = 13,
  QUEUE_FULL = 14,
  HIGH_WATER = 15,
  SILENT = 16,
  DEMOTED = 17,
  POOL_TIMEOUT = 18,
  LEASE_LOST = 19,
}

const decodeFaults = [
  "malformed bytes",
  "a malformed length",
  "a malformed integer",
  "a malformed double",
  "a malformed boolean",
  "a malformed null",
  "a malformed verbatim string",
  "a line end missing or misplaced",
  "values nested too deeply",
  "a value larger than the limit",
];

/** Says how the peer broke the protocol, from the core's number for it. */
const decodeFault = (detail: number): string => {
  if (detail < 256) return decodeFaults[detail]!;
  const byte = detail - 256;
  const shown = byte > 32 && byte < 127 ? `'${String.fromCharCode(byte)}'` : `0x${byte.toString(16).padStart(2, "0")}`;
  return `no value starts with ${shown}`;
};

/** What the messages of failures tell of the client. */
export interface Situation {
  /** Where it connects to, without secrets. */
  where: string;
  connectTimeout: number;
  timeout: number;
  queueTimeout: number;
  poolTimeout: number;
  maxConnections: number;
  /** What the server said when it refused the link; of an authentication, its code. */
  detail: string;
  /** What the socket said. */
  cause: unknown;
  /** Why there is no link, for a command that waited for one. */
  trouble: RedisError | undefined;
}

/** Gives the error for a link or command that failed. */
export const failure = (reason: Reason, detail: number, at: Situation, command?: string, maybeExecuted?: boolean): RedisError => {
  const cause = at.trouble ?? at.cause;
  const details = { command, maybeExecuted, ...(cause === undefined ? {} : { cause }) };
  const socket = at.cause instanceof Error ? ` (${at.cause.message})` : "";
  const outcome = maybeExecuted === undefined ? "" : maybeExecuted ? "; the command may have been executed" : "; the command was not sent";
  switch (reason) {
    case Reason.TIMEOUT:
      return new TimeoutError(`no reply within the command's timeout${outcome}: raise 'timeout', or look at the server's load and SLOWLOG`, details);
    case Reason.QUEUE_TIMEOUT:
      return new TimeoutError(`${at.where} was not ready within ${at.queueTimeout} ms${outcome}: check host, port and firewall, or raise 'queueTimeout'`, details);
    case Reason.QUEUE_FULL:
      return new QueueFullError(`too many commands wait for a connection to ${at.where}${outcome}: wait for them, or raise 'offlineQueue'`, details);
    case Reason.HIGH_WATER:
      return new QueueFullError(`too many commands are on their way to ${at.where}${outcome}: wait for some of them, or raise 'highWater'`, details);
    case Reason.SILENT:
      return new ConnectionError(`${at.where} answers nothing any more${outcome}: check the network and the server's load`, details);
    case Reason.DEMOTED:
      return new ConnectionError(`${at.where} takes no writes any more${outcome}: it was made a replica`, details);
    case Reason.CONNECT_TIMEOUT:
      return new ConnectionError(
        `${at.where} was not ready within ${at.connectTimeout} ms${outcome}: check host, port and firewall, or raise 'connectTimeout'`,
        details,
      );
    case Reason.REFUSED:
      return new ConnectionError(`cannot connect to ${at.where}${socket}${outcome}: check that a server listens there`, details);
    case Reason.DROPPED:
      return new ConnectionError(`the connection to ${at.where} was closed${socket}${outcome}`, details);
    case Reason.PROTOCOL:
      return new ProtocolError(
        `${at.where} broke the Redis protocol (${decodeFault(detail)})${outcome}: check that a Redis server listens there, with TLS only where 'tls' is set`,
        details,
      );
    case Reason.UNSOLICITED:
      return new ProtocolError(`${at.where} sent a reply that nothing had asked for${outcome}`, details);
    case Reason.AUTHENTICATION:
      return new AuthenticationError(`${at.where} refused the user name or password (${at.detail})${outcome}: check 'username' and 'password'`, {
        ...details,
        code: at.detail,
      });
    case Reason.DATABASE:
      return new ResponseError(`${at.where} refused the database (${at.detail})${outcome}: check 'db'`, { ...details, code: at.detail.split(" ")[0]! });
    case Reason.PROTOCOL3:
      return new ConnectionError(`${at.where} does not speak RESP3${outcome}: set 'protocol' to "auto" or 2, and no 'cache'`, details);
    case Reason.MAX_CLIENTS:
      return new ConnectionError(`${at.where} has reached its maximum number of clients${outcome}: raise its 'maxclients', or close other clients`, details);
    case Reason.HANDSHAKE:
      return new ConnectionError(`${at.where} refused the handshake (${at.detail})${outcome}`, details);
    case Reason.POOL_TIMEOUT:
      return new TimeoutError(
        `all ${at.maxConnections} leased connections to ${at.where} were in use for ${at.poolTimeout} ms${outcome}: give leases back sooner, or raise 'maxConnections' or 'poolTimeout'`,
        details,
      );
    case Reason.LEASE_LOST:
      return new LeaseError(`the lease lost its connection to ${at.where}${outcome}: take another lease`, details);
    case Reason.CLOSED:
      return new ConnectionError(`the client was closed${outcome}`, details);
  }
};
