import { AuthenticationError, BusyLoadingError, ConnectionError, DecodeError, LeaseError, ProtocolError, QueueFullError, RedisError, TimeoutError } from "./errors.js";
import { classOf, remedies } from "./server-error.js";
import { codeOf } from "./tls.js";

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
  LOADING = 20,
  UNAUTHENTICATED = 21,
  UNTRUSTED = 22,
  HUNG_UP = 23,
  REPLY_TOO_LARGE = 24,
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

/** What to do about what the runtime says of a socket, by its code. */
const runtimeRemedies: readonly (readonly [code: RegExp, remedy: string])[] = [
  [/^ENOTFOUND|^EAI_/, "check the host's name, and that it can be looked up here"],
  [/^ECONNREFUSED$/, "check that a server listens there"],
  [/^ENOENT$|^ENOTSOCK$/, "check 'path', and that a server listens there"],
  [/^EACCES$|^EPERM$/, "check that this process may use it"],
  [/^E(HOST|NET)UNREACH$/, "check the network"],
  [/WRONG_VERSION|PACKET_LENGTH/, "there is no TLS there: use redis://, or leave 'tls' out"],
  [/ALTNAME|HOSTNAME/, "connect to a name that the certificate is for, or say it in 'tls.servername'"],
  [/EXPIRED|NOT_YET_VALID/, "renew the server's certificate, or set this machine's clock"],
  [/ALERT/, "the server wants a certificate that it trusts: give 'tls.cert' and 'tls.key'"],
  [/SELF_SIGNED|UNABLE_TO|ISSUER/, "give the authority that signed the server's certificate as 'tls.ca'"],
];

/** What to do about what something that is no Redis server said first. */
const speakers: readonly (readonly [said: RegExp, remedy: string])[] = [
  [/^HTTP\//, "a web server listens there: check host and port"],
  [/^\x15\x03/, "it wants TLS: use rediss://, or set 'tls'"],
  [/^220 /, "a mail or FTP server listens there: check host and port"],
  [/^SSH-/, "an SSH server listens there: check host and port"],
];

/** What to do about the code of a refused handshake. */
const refusals: Readonly<Record<string, string>> = {
  ...remedies,
  BUSY: "end its script",
  ERR: "the server knows no password: leave 'password' out",
  DENIED: "its protected mode takes clients of its own machine only: give it a password, or switch that off",
};

const remedyOf = (list: readonly (readonly [RegExp, string])[], text: string, otherwise: string): string => list.find(([known]) => known.test(text))?.[1] ?? otherwise;

/** What the messages of failures tell of the client. */
export interface Situation {
  /** Where it connects to, without secrets. */
  where: string;
  /** Whether it is to speak TLS. */
  secure: boolean;
  connectTimeout: number;
  timeout: number;
  queueTimeout: number;
  poolTimeout: number;
  maxConnections: number;
  /** How many connections listen. */
  listening: number;
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
  // OpenSSL's messages are for its own developers
  const socket = at.cause instanceof Error ? ` (${codeOf(at.cause).startsWith("ERR_SSL") ? codeOf(at.cause) : at.cause.message})` : "";
  const outcome = maybeExecuted === undefined ? "" : maybeExecuted ? "; the command may have been executed" : "; the command was not sent";
  const unready = (limit: "queueTimeout" | "connectTimeout"): string =>
    `${at.where} was not ready within ${at[limit]} ms${outcome}: check host, port${at.secure ? ", whether TLS is spoken there," : ""} and firewall, or raise '${limit}'`;
  switch (reason) {
    case Reason.TIMEOUT:
      return new TimeoutError(`no reply within the command's timeout${outcome}: raise 'timeout', or look at the server's load and SLOWLOG`, details);
    case Reason.QUEUE_TIMEOUT:
      return new TimeoutError(unready("queueTimeout"), details);
    case Reason.QUEUE_FULL:
      return new QueueFullError(`too many commands wait for a connection to ${at.where}${outcome}: wait for them, or raise 'offlineQueue'`, details);
    case Reason.HIGH_WATER:
      return new QueueFullError(`too many commands are on their way to ${at.where}${outcome}: wait for some of them, or raise 'highWater'`, details);
    case Reason.SILENT:
      return new ConnectionError(`${at.where} answers nothing any more${outcome}: check the network and the server's load`, details);
    case Reason.DEMOTED:
      return new ConnectionError(`${at.where} takes no writes any more${outcome}: it was made a replica`, details);
    case Reason.CONNECT_TIMEOUT:
      return new ConnectionError(unready("connectTimeout"), details);
    case Reason.REFUSED: {
      const remedy = at.cause instanceof RedisError ? "" : `: ${remedyOf(runtimeRemedies, codeOf(at.cause), "check that a server listens there, and TLS where it wants that")}`;
      return new ConnectionError(`cannot connect to ${at.where}${socket}${outcome}${remedy}`, details);
    }
    case Reason.UNTRUSTED:
      return new ConnectionError(`cannot connect to ${at.where} securely${socket}${outcome}: ${remedyOf(runtimeRemedies, codeOf(at.cause), "check the certificates")}`, details);
    case Reason.HUNG_UP:
      return new ConnectionError(
        `${at.where} hung up before it said anything of use${socket}${outcome}: check that a Redis server listens there, and whether it wants TLS (rediss://)`,
        details,
      );
    case Reason.DROPPED:
      return new ConnectionError(`the connection to ${at.where} was closed${socket}${outcome}`, details);
    case Reason.PROTOCOL: {
      const said = at.detail === "" ? "" : ` when it said ${JSON.stringify(at.detail)}`;
      const remedy = remedyOf(speakers, at.detail, "check that a Redis server listens there, with TLS only where 'tls' is set");
      return new ProtocolError(`${at.where} broke the Redis protocol${said} (${decodeFault(detail)})${outcome}: ${remedy}`, details);
    }
    case Reason.UNSOLICITED:
      return new ProtocolError(`${at.where} sent a reply that nothing had asked for${outcome}: check that nothing but Redis stands between`, details);
    case Reason.AUTHENTICATION:
      return new AuthenticationError(`${at.where} refused the user name or password (${at.detail})${outcome}: ${refusals[at.detail] ?? "check 'username' and 'password'"}`, {
        ...details,
        code: at.detail,
      });
    case Reason.UNAUTHENTICATED:
      return new AuthenticationError(`${at.where} does not know the client any more${outcome}: check that its user still exists`, { ...details, code: "NOAUTH" });
    case Reason.LOADING:
      return new BusyLoadingError(`${at.where} is loading its data set${outcome}: wait for it, or raise 'queueTimeout'`, details);
    case Reason.DATABASE:
    case Reason.HANDSHAKE: {
      const code = at.detail.split(" ")[0]!;
      const what = reason === Reason.DATABASE ? "database" : "handshake";
      const remedy = (code !== "ERR" && refusals[code]) || (reason === Reason.DATABASE ? "check 'db'" : "check 'clientName', 'noEvict' and 'noTouch', and the server's version");
      return new (classOf(code))(`${at.where} refused the ${what} (${at.detail})${outcome}: ${remedy}`, { ...details, code });
    }
    case Reason.PROTOCOL3:
      return new ConnectionError(`${at.where} does not speak RESP3${outcome}: set 'protocol' to "auto" or 2, and no 'cache'`, details);
    case Reason.MAX_CLIENTS:
      return new ConnectionError(`${at.where} has reached its maximum number of clients${outcome}: raise its 'maxclients', or close other clients`, details);
    case Reason.POOL_TIMEOUT:
      return new TimeoutError(
        `all ${at.maxConnections} connections to ${at.where} beside the shared one were in use for ${at.poolTimeout} ms (${at.maxConnections - at.listening} leased or blocking, ${at.listening} listening)${outcome}: give them back sooner, or raise 'maxConnections' or 'poolTimeout'`,
        details,
      );
    case Reason.LEASE_LOST:
      return new LeaseError(`the lease lost its connection to ${at.where}${outcome}: take another lease`, details);
    case Reason.REPLY_TOO_LARGE:
      return new DecodeError("the reply is larger than 'maxReplyBytes' allows: read it in parts, with GETRANGE or HSCAN for example, or raise it", details);
    case Reason.CLOSED:
      return new ConnectionError(`the client was closed${outcome}`, details);
  }
};
