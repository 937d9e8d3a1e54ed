import { cacheChecks, cacheSettings, type CacheOptions } from "./cache.js";
import type { Connector, Endpoint } from "./connector.js";
import { unexpected } from "./outbox.js";
import type { CredentialsProvider } from "./credentials.js";
import type { Pool } from "./pool.js";
import { isRetryPolicy, type RetryPolicy } from "./retry.js";
import type { Settings } from "./settings.js";
import type { TlsOptions } from "./tls.js";
import { parseUrl } from "./url.js";
import { decodes, decodingValues, type DecodingOptions } from "./view.js";

/** How to reach a server, and how to behave. Times are in milliseconds. */
export interface Options extends DecodingOptions {
  /**
   * `redis://[user:password@]host[:port][/db][?option=value]`; `rediss://` for TLS; `valkey://` and `valkeys://` likewise;
   * `unix:///path` or `redis+unix:///path`. Options win over what it says, and its query wins over them.
   */
  url?: string;
  /** Default `localhost`. */
  host?: string;
  /** Default 6379. */
  port?: number;
  /** Path of a unix socket, instead of host and port. */
  path?: string;
  /** Database number, default 0. */
  db?: number;
  /** Default: the server's default user. */
  username?: string;
  /** Sent with HELLO or AUTH; never part of an error. */
  password?: string;
  /** Gives user name and password instead, for each connection, and again before they expire: see {@link CredentialsProvider}. */
  credentials?: CredentialsProvider;
  /** Default `false`; `true`, or how: the server's certificate has to be from a trusted authority, and for the host. */
  tls?: boolean | TlsOptions;
  /** RESP3 (3), RESP2 (2), or RESP3 with a fall-back on the same connection (`"auto"`, the default). */
  protocol?: 2 | 3 | "auto";
  /** The connection's name on the server: printable ASCII without spaces. */
  clientName?: string;
  /** Whether the server is asked not to close the connection when its clients use too much memory (Redis 7.0); default `false`. */
  noEvict?: boolean;
  /** Whether the server is asked not to take note of what is used through the connection, for LRU and LFU (Redis 7.2); default `false`. */
  noTouch?: boolean;
  /** From opening the socket to the end of the handshake; default 5 000, 0: no limit. */
  connectTimeout?: number;
  /** To a command's reply, from when there is a connection for it, which writes it as soon as its socket takes it; default 10 000, 0: no limit. */
  timeout?: number;
  /** Whether every argument's type is checked before it is sent; default `REDWIRE_RUNTIME_CHECKS=1` in the environment. */
  runtimeChecks?: boolean;
  /** Whether commands and options that are newer than the server, if that is Redis, are refused (default) or sent all the same; modules and forks refuse for themselves. */
  verifyVersion?: boolean;
  /** How long a command may wait for a connection, each time there is none, or for room on it (`highWater`); default 5 000, 0: no limit. */
  queueTimeout?: number;
  /** The first attempt to connect again is made within this time, any later one within twice the time of the one before; default 50. */
  retryDelay?: number;
  /** What the time between attempts does not grow beyond, and what it is after a wrong password and the like; default 2 000, or `retryDelay` where that is more. */
  maxRetryDelay?: number;
  /**
   * How often a command that may be repeated is sent again when its connection is lost before the reply: one that only reads, or one of
   * `with({ idempotent: true })`. Default 3, at most 255, 0: never.
   */
  maxResends?: number;
  /**
   * What may wait while there is no connection, default: 10 000 commands and 16 MiB; `false`: nothing, except for the first attempt to connect: whatever waits rejects when that
   * fails or the connection is lost, and from then on whatever comes before there is one again.
   */
  offlineQueue?: OfflineQueue | false;
  /**
   * What may be on its way at once on each connection, replies that nobody waits for any more included. Default: 4 000 000 commands and 1 GiB;
   * what is beyond rejects with `QueueFullError`.
   */
  highWater?: HighWater;
  /**
   * How large a reply may be, in bytes, where each element of an array, map or set counts 16 more; a larger one rejects with `DecodeError`, and
   * the connection goes on. At least 64 KiB, default 1 GiB.
   */
  maxReplyBytes?: number;
  /** After how long a silence the server is asked with a PING; 5 s later the connection is made anew. Default 15 000, 0: never. */
  keepAlive?: number;
  /** How replies are kept until their keys change; default: not at all. Needs RESP3. */
  cache?: CacheOptions;
  /** When commands that failed are sent again, and after how long; default: never, beyond what `maxResends` says. */
  retry?: RetryPolicy;
  /**
   * How many connections there may be at once beside the one that all callers share: for blocking commands, leases, transactions that watch,
   * and each `pubsub()`, each `monitor()` and all `subscribe()` together, which hold theirs until they are closed. Default 8, from 1 to 255.
   */
  maxConnections?: number;
  /** How many leased connections are kept open for whoever comes next; default 0. */
  minIdle?: number;
  /** After how long a leased connection that nobody uses is closed; default 60 000, 0: never. */
  maxIdleTime?: number;
  /** How long a blocking command, `lease()` or what listens waits while all these connections are in use; default 5 000, 0: no limit. */
  poolTimeout?: number;
  /** Whose connections to use: how to reach the server is the pool's business then, and options about it beside this one are refused. */
  pool?: Pool;
  /** Makes connections instead of the runtime's own sockets. */
  connector?: Connector;
}

/** What may wait while there is no connection. */
export interface OfflineQueue {
  /** Default 10 000. */
  maxCommands?: number;
  /** Bytes of commands, large arguments included; default 16 MiB. */
  maxBytes?: number;
  /** How long a command may wait, in milliseconds; default: `queueTimeout`, which also holds. */
  maxAge?: number;
  /** Who rejects with `QueueFullError`: the new command (`"reject"`, the default) or those that wait longest. */
  onFull?: "reject" | "drop-oldest";
}

/** What may be on its way at once. */
export interface HighWater {
  /** Commands without a reply; default 4 000 000. */
  maxCommands?: number;
  /** Bytes of commands, large arguments included, that the socket did not take yet; default 1 GiB. */
  maxBytes?: number;
  /**
   * Whether a command beyond that rejects (`"reject"`, the default) or waits for its turn: within the bounds of `offlineQueue` and for
   * `queueTimeout` at most, then it rejects with `QueueFullError`.
   */
  onFull?: "reject" | "wait";
}

type Check = (value: unknown) => boolean;
/** What an option takes, in words, and, of an object, what each of its fields does. */
type Rule = readonly [check: Check, expected: string, fields?: Rules];
type Rules = Readonly<Record<string, Rule>>;

/** The largest number that the core takes. */
const LARGEST = 0xffff_ffff;

const integer =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

const text: Check = (value) => typeof value === "string";
const isFunction: Check = (value) => typeof value === "function";
const string: Rule = [text, "a string"];
const boolean: Rule = [(value) => typeof value === "boolean", "a boolean"];
const milliseconds: Rule = [integer(0, 0x7fff_ffff), "milliseconds, a whole number from 0"];
const delay: Rule = [integer(1, 0x7fff_ffff), "milliseconds, a whole number from 1"];
const count: Rule = [integer(1, LARGEST), "a whole number from 1"];
const none: Check = () => false;
const isPem: Check = (value) => text(value) || value instanceof Uint8Array;
const pem: Rule = [isPem, "the text or bytes of a PEM file"];
const tlsVersion: Rule = [(value) => value === "TLSv1.2" || value === "TLSv1.3", '"TLSv1.2" or "TLSv1.3"'];

const decoding = (name: keyof DecodingOptions): Rule => [(value) => decodes(name, value), decodingValues(name)!];

const tlsRules: Record<keyof TlsOptions, Rule> = {
  ca: [(value) => isPem(value) || (Array.isArray(value) && value.every(isPem)), "PEM files, each as text or bytes"],
  cert: pem,
  key: pem,
  passphrase: string,
  servername: string,
  minVersion: tlsVersion,
  maxVersion: tlsVersion,
  ciphers: string,
  dangerouslyAcceptAnyCertificate: boolean,
};
const offlineRules: Record<keyof OfflineQueue, Rule> = {
  maxCommands: count,
  maxBytes: count,
  maxAge: milliseconds,
  onFull: [(value) => value === "reject" || value === "drop-oldest", '"reject" or "drop-oldest"'],
};
const cacheRules: Record<keyof CacheOptions, Rule> = {
  maxKeys: count,
  maxBytes: count,
  ttl: milliseconds,
  mode: [cacheChecks.mode, '"default", "optin" or "broadcast"'],
  prefixes: [cacheChecks.prefixes, "keys that are not empty"],
};
const highWaterRules: Record<keyof HighWater, Rule> = {
  maxCommands: count,
  maxBytes: count,
  onFull: [(value) => value === "reject" || value === "wait", '"reject" or "wait"'],
};

const rules: Record<keyof Options, Rule> = {
  url: string,
  host: [(value) => text(value) && value !== "", "a host name or address"],
  port: [integer(1, 65_535), "a number from 1 to 65535"],
  path: [(value) => text(value) && value !== "", "the path of a unix socket"],
  db: [integer(0, 0x7fff_ffff), "a number from 0"],
  username: string,
  password: string,
  credentials: [isFunction, "a function that gives { username, password, expiresAt }"],
  tls: [boolean[0], "a boolean or an object of TLS options", tlsRules],
  protocol: [(value) => value === 2 || value === 3 || value === "auto", '2, 3 or "auto"'],
  decodeResponses: decoding("decodeResponses"),
  encoding: decoding("encoding"),
  integers: decoding("integers"),
  maps: decoding("maps"),
  sets: decoding("sets"),
  clientName: [(value) => text(value) && /^[!-~]+$/.test(value as string), "printable ASCII without spaces"],
  noEvict: boolean,
  noTouch: boolean,
  connectTimeout: milliseconds,
  timeout: milliseconds,
  runtimeChecks: boolean,
  verifyVersion: boolean,
  queueTimeout: milliseconds,
  retryDelay: delay,
  maxRetryDelay: delay,
  offlineQueue: [(value) => value === false, "false or { maxCommands, maxBytes, maxAge, onFull }", offlineRules],
  highWater: [none, "{ maxCommands, maxBytes, onFull }", highWaterRules],
  maxReplyBytes: [integer(64 << 10, LARGEST), "a whole number from 65536"],
  keepAlive: milliseconds,
  cache: [none, "{ maxKeys, maxBytes, ttl, mode, prefixes }", cacheRules],
  maxResends: [integer(0, 255), "a number from 0 to 255"],
  maxConnections: [integer(1, 255), "a number from 1 to 255"],
  minIdle: [integer(0, 255), "a number from 0 to 255"],
  maxIdleTime: milliseconds,
  poolTimeout: milliseconds,
  pool: [(value) => typeof value === "object", "a Pool"],
  retry: [isRetryPolicy, "a retry policy"],
  connector: [isFunction, "a function"],
};

/** Tells an object of options from what has no fields that could be some: an array, a Map, null. */
const isObject = (value: unknown): value is object => Object.prototype.toString.call(value) === "[object Object]";

/** Checks an object against `known`, whose name begins with `prefix`, and leaves out what is undefined. */
const checked = (options: unknown, known: Rules = rules, prefix = ""): Options => {
  if (!isObject(options)) throw unexpected("options:", "an object", options);
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(known, name)) {
      const instead = name === "rejectUnauthorized" ? "to take any certificate, say 'dangerouslyAcceptAnyCertificate'" : "check its name in the README";
      throw new TypeError(`options: '${prefix}${name}' is not an option of redwire: ${instead}`);
    }
    if (value === undefined) continue;
    const [check, expected, fields] = known[name]!;
    const nested = fields !== undefined && isObject(value);
    if (!nested && !check(value)) throw unexpected(`options: '${prefix}${name}'`, expected, value);
    kept[name] = nested ? checked(value, fields, `${prefix}${name}.`) : value;
  }
  return kept;
};

const contradiction = (one: string, other: string): TypeError => new TypeError(`options: ${one} contradicts ${other}: change one of them`);

/** Gives the options that `url` and `options` make up together: what its query says wins over `options`, and these over its body. @internal */
export const resolveOptions = (url: string | URL | Options | undefined, options?: Options): Options => {
  if (url instanceof URL) url = url.href;
  const beside = { ...(typeof url === "object" ? checked(url) : {}), ...(options === undefined ? {} : checked(options)) };
  if (url !== undefined && typeof url !== "object" && typeof url !== "string") {
    throw unexpected("url:", "a string, a URL or options", url);
  }
  const address = typeof url === "string" ? url : beside.url;
  const { body, query } = address === undefined ? { body: {}, query: {} } : parseUrl(address);
  const all: Options = { ...checked(body), ...beside, ...checked(query) };
  if (all.pool !== undefined) {
    const contrary = Object.keys(all).find((name) => name !== "pool" && name !== "retry" && decodingValues(name) === undefined);
    if (contrary !== undefined) throw contradiction(`'${contrary}'`, "'pool', which has connections of its own");
  }
  if (all.path !== undefined && (all.host !== undefined || all.port !== undefined)) throw contradiction("'path' (a unix socket)", "'host' and 'port'");
  if (all.path !== undefined && all.tls) throw contradiction("'path' (a unix socket)", "'tls'");
  if (body["tls"] === true && all.tls === false) throw contradiction("'tls: false'", "the URL, which asks for TLS");
  if (all.credentials !== undefined && (all.username ?? all.password) !== undefined) throw contradiction("'credentials'", "'username' and 'password'");
  if ((all.retryDelay ?? 0) > (all.maxRetryDelay ?? Infinity)) throw contradiction("'retryDelay'", "'maxRetryDelay', which is less");
  if ((all.minIdle ?? 0) > (all.maxConnections ?? 8)) throw contradiction("'minIdle'", `'maxConnections', which is ${all.maxConnections ?? "8, its default"}`);
  const { minVersion = "", maxVersion = minVersion } = Object(all.tls) as TlsOptions;
  if (minVersion > maxVersion) throw contradiction("'tls.minVersion'", "'tls.maxVersion', which is older");
  if (all.username !== undefined && all.password === undefined) throw new TypeError("options: 'username' needs a 'password'");
  if (typeof all.tls === "object" && (all.tls.cert === undefined) !== (all.tls.key === undefined)) throw new TypeError("options: 'tls.cert' and 'tls.key' need each other");
  return all;
};

/** Gives what an engine has to know of the options. @internal */
export const settingsOf = (options: Options, connector: Connector): Settings => {
  const { host = "localhost", port = 6379, path, tls = false, protocol = "auto", queueTimeout = 5_000, retryDelay = 50, highWater = {} } = options;
  const { maxCommands = 10_000, maxBytes = 16 << 20, maxAge = 0, onFull } = options.offlineQueue || {};
  const endpoint: Endpoint =
    path === undefined ? { kind: "tcp", host, port, tls: tls === true ? {} : tls || null } : { kind: "unix", path, tls: null };
  return {
    endpoint,
    connector: options.connector ?? connector,
    where: path ?? `${host.includes(":") ? `[${host}]` : host}:${port}`,
    protocol: protocol === "auto" ? 0 : protocol,
    database: options.db ?? 0,
    username: options.username,
    password: options.password,
    credentials: options.credentials,
    clientName: options.clientName,
    features: Number(options.noEvict ?? false) | (Number(options.noTouch ?? false) << 1) | (Number(options.verifyVersion ?? true) << 2),
    connectTimeout: options.connectTimeout ?? 5_000,
    timeout: options.timeout ?? 10_000,
    runtimeChecks: options.runtimeChecks ?? (typeof process === "object" && process.env?.["REDWIRE_RUNTIME_CHECKS"] === "1"),
    verifyVersion: options.verifyVersion ?? true,
    queueTimeout: maxAge === 0 || queueTimeout === 0 ? Math.max(queueTimeout, maxAge) : Math.min(queueTimeout, maxAge),
    offline: [options.offlineQueue === false ? 0 : maxCommands, maxBytes, onFull === "drop-oldest" ? 1 : 0],
    highWater: [highWater.maxCommands ?? 4_000_000, highWater.maxBytes ?? 1 << 30, highWater.onFull === "wait" ? 1 : 0],
    maxReplyBytes: options.maxReplyBytes ?? 1 << 30,
    keepAlive: options.keepAlive ?? 15_000,
    retryDelay,
    maxRetryDelay: options.maxRetryDelay ?? Math.max(2_000, retryDelay),
    maxResends: options.maxResends ?? 3,
    cache: options.cache && cacheSettings(options.cache, protocol),
    maxConnections: options.maxConnections ?? 8,
    minIdle: options.minIdle ?? 0,
    maxIdleTime: options.maxIdleTime ?? 60_000,
    poolTimeout: options.poolTimeout ?? 5_000,
  };
};
