import { cacheChecks, cacheSettings, type CacheOptions } from "./cache.js";
import type { Connector, Endpoint } from "./connector.js";
import type { Settings } from "./engine.js";
import { kindOf } from "./outbox.js";
import type { Pool } from "./pool.js";
import { decodes, decodingValues, type DecodingOptions } from "./view.js";

/** How to reach a server, and how to behave. Times are in milliseconds. */
export interface Options extends DecodingOptions {
  /** `redis://`, `rediss://` (TLS), `valkey://`, `valkeys://`, `redis+unix://` or `unix://`; options beside it win. */
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
  /** `true`, or options as Node's `tls.connect` takes them (`ca`, `cert`, `key`, `servername` ...). Chain and host name are verified by default. */
  tls?: boolean | object;
  /** RESP3 (3), RESP2 (2), or RESP3 with a fall-back on the same connection (`"auto"`, the default). */
  protocol?: 2 | 3 | "auto";
  /** The connection's name on the server: printable ASCII without spaces. */
  clientName?: string;
  /** From opening the socket to the end of the handshake; default 5 000, 0: no limit. */
  connectTimeout?: number;
  /** From the writing of a command to its reply; default 10 000, 0: no limit. */
  timeout?: number;
  /** Whether every argument's type is checked before it is sent; default `REDWIRE_RUNTIME_CHECKS=1` in the environment. */
  runtimeChecks?: boolean;
  /** Whether commands and options that are newer than the server are refused (default) or sent all the same. */
  verifyVersion?: boolean;
  /** How long a command may wait to be written, each time there is no connection; default 5 000, 0: no limit. */
  queueTimeout?: number;
  /** The first attempt to connect again is made within this time, any later one within twice the time of the one before; default 50. */
  retryDelay?: number;
  /** What the time between attempts does not grow beyond, and what it is after a wrong password and the like; default 2 000. */
  maxRetryDelay?: number;
  /**
   * How often a command that may be repeated is sent again when its connection is lost before the reply: one that only reads, or one of
   * `with({ idempotent: true })`. Default 3, at most 255, 0: never.
   */
  maxResends?: number;
  /**
   * What may wait while there is no connection; `false`: nothing, except for the first attempt to connect: whatever waits rejects when that
   * fails or the connection is lost, and from then on whatever comes before there is one again.
   */
  offlineQueue?: OfflineQueue | false;
  /** What may be on its way at once on the connection; what is beyond rejects with `QueueFullError`. Default: no limit. */
  highWater?: HighWater;
  /** After how long a silence the server is asked with a PING; 5 s later the connection is made anew. Default 15 000, 0: never. */
  keepAlive?: number;
  /** How replies are kept until their keys change; default: not at all. Needs RESP3. */
  cache?: CacheOptions;
  /**
   * How many connections may be leased at once, beside the one that all callers share: for blocking commands and `lease()`. Default 8,
   * from 1 to 255.
   */
  maxConnections?: number;
  /** How many leased connections are kept open for whoever comes next; default 0. */
  minIdle?: number;
  /** After how long a leased connection that nobody uses is closed; default 60 000, 0: never. */
  maxIdleTime?: number;
  /** How long a blocking command or `lease()` waits while all leased connections are in use; default 5 000, 0: no limit. */
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
  /** Commands without a reply; default: no limit. */
  maxCommands?: number;
  /** Bytes that the socket did not take yet; default: no limit. */
  maxBytes?: number;
}

type Check = (value: unknown) => boolean;

/** No limit, as the core knows it. */
const UNLIMITED = 0xffff_ffff;

const text: Check = (value) => typeof value === "string";
const boolean: Check = (value) => typeof value === "boolean";
const between =
  (least: number, most: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
const milliseconds = between(0, 0x7fff_ffff);

const decoding = (name: keyof DecodingOptions): readonly [check: Check, expected: string] => [(value) => decodes(name, value), decodingValues(name)!];
const count = between(1, UNLIMITED);
/** Takes an object of those fields. */
const fields =
  (known: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === "object" && value !== null && Object.entries(value).every(([name, field]) => Object.hasOwn(known, name) && (field === undefined || known[name]!(field)));
const offlineQueue = fields({ maxCommands: count, maxBytes: count, maxAge: count, onFull: (value) => value === "reject" || value === "drop-oldest" });

/** What each option takes. */
const checks: Readonly<Record<keyof Options, readonly [check: Check, expected: string]>> = {
  url: [text, "a string"],
  host: [(value) => text(value) && value !== "", "a host name or address"],
  port: [between(1, 65535), "a number from 1 to 65535"],
  path: [(value) => text(value) && value !== "", "the path of a unix socket"],
  db: [between(0, 0x7fff_ffff), "a number from 0"],
  username: [text, "a string"],
  password: [text, "a string"],
  tls: [(value) => boolean(value) || (typeof value === "object" && value !== null), "a boolean or an object of TLS options"],
  protocol: [(value) => value === 2 || value === 3 || value === "auto", '2, 3 or "auto"'],
  decodeResponses: decoding("decodeResponses"),
  encoding: decoding("encoding"),
  integers: decoding("integers"),
  maps: decoding("maps"),
  sets: decoding("sets"),
  clientName: [(value) => text(value) && /^[!-~]+$/.test(value as string), "printable ASCII without spaces"],
  connectTimeout: [milliseconds, "milliseconds, a whole number from 0"],
  timeout: [milliseconds, "milliseconds, a whole number from 0"],
  runtimeChecks: [boolean, "a boolean"],
  verifyVersion: [boolean, "a boolean"],
  queueTimeout: [milliseconds, "milliseconds, a whole number from 0"],
  retryDelay: [(value) => milliseconds(value) && value !== 0, "milliseconds, a whole number from 1"],
  maxRetryDelay: [(value) => milliseconds(value) && value !== 0, "milliseconds, a whole number from 1"],
  offlineQueue: [(value) => value === false || offlineQueue(value), "false or { maxCommands, maxBytes, maxAge, onFull }"],
  highWater: [fields({ maxCommands: count, maxBytes: count }), "{ maxCommands, maxBytes }"],
  keepAlive: [milliseconds, "milliseconds, a whole number from 0"],
  cache: [fields({ maxKeys: count, maxBytes: count, ttl: milliseconds, ...cacheChecks }), "{ maxKeys, maxBytes, ttl, mode, prefixes }"],
  maxResends: [between(0, 255), "a number from 0 to 255"],
  maxConnections: [between(1, 255), "a number from 1 to 255"],
  minIdle: [between(0, 255), "a number from 0 to 255"],
  maxIdleTime: [milliseconds, "milliseconds, a whole number from 0"],
  poolTimeout: [milliseconds, "milliseconds, a whole number from 0"],
  pool: [(value) => typeof value === "object", "a Pool"],
  connector: [(value) => typeof value === "function", "a function"],
};

/** Checks `options` and leaves out those that are undefined. */
const checked = (options: unknown): Options => {
  if (typeof options !== "object" || options === null) throw new TypeError(`options: expected an object, got ${kindOf(options)}`);
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(checks, name)) throw new TypeError(`options: '${name}' is not an option of redwire`);
    if (value === undefined) continue;
    const [check, expected] = checks[name as keyof Options];
    if (!check(value)) throw new TypeError(`options: '${name}' expected ${expected}, got ${kindOf(value)}`);
    kept[name] = value;
  }
  return kept;
};

const schemes: Readonly<Record<string, { tls?: true; unix?: true }>> = {
  "redis:": {},
  "valkey:": {},
  "rediss:": { tls: true },
  "valkeys:": { tls: true },
  "unix:": { unix: true },
  "redis+unix:": { unix: true },
};

/** Options that a URL's query can name, and what they become. */
const queries: Readonly<Record<string, (value: string) => unknown>> = {
  db: Number,
  username: String,
  password: String,
  protocol: (value) => (value === "auto" ? value : Number(value)),
  clientName: String,
  connectTimeout: Number,
  timeout: Number,
  queueTimeout: Number,
  keepAlive: Number,
  retryDelay: Number,
  maxRetryDelay: Number,
  maxResends: Number,
  maxConnections: Number,
  minIdle: Number,
  maxIdleTime: Number,
  poolTimeout: Number,
};

/** Gives the options that a URL holds. Its text is never repeated in an error: it may hold a password. */
const fromUrl = (url: string): Options => {
  const parsed = URL.canParse(url.trim()) ? new URL(url.trim()) : undefined;
  const scheme = parsed === undefined ? undefined : schemes[parsed.protocol];
  if (parsed === undefined || scheme === undefined) {
    throw new TypeError("url: expected redis://[user:password@]host[:port][/db], rediss:// for TLS, or unix:///path/of/socket");
  }
  const options: Record<string, unknown> = {};
  const { username, password, hostname, port, pathname } = parsed;
  if (username !== "") options["username"] = unescape(username, "user name");
  if (password !== "") options["password"] = unescape(password, "password");
  if (scheme.unix) {
    options["path"] = unescape(hostname + pathname, "path");
  } else {
    if (hostname !== "") options["host"] = unescape(hostname.replace(/^\[(.*)\]$/, "$1"), "host");
    if (port !== "") options["port"] = Number(port);
    const db = pathname.replace(/^\//, "");
    if (db !== "" && !/^\d+$/.test(db)) throw new TypeError("url: the path expected a database number, such as /0");
    if (db !== "") options["db"] = Number(db);
  }
  if (scheme.tls) options["tls"] = true;
  for (const [name, value] of parsed.searchParams) {
    if (!Object.hasOwn(queries, name)) throw new TypeError(`url: '${name}' is not an option that a URL can hold`);
    options[name] = queries[name]!(value);
  }
  return checked(options);
};

const unescape = (text: string, what: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError(`url: the ${what} is not percent-encoded right`);
  }
};

/** Gives the options that `url` and `options` make up together. */
export const resolveOptions = (url: string | Options | undefined, options?: Options): Options => {
  const beside = { ...(typeof url === "object" ? checked(url) : {}), ...(options === undefined ? {} : checked(options)) };
  if (url !== undefined && typeof url !== "object" && typeof url !== "string") {
    throw new TypeError(`url: expected a string or options, got ${kindOf(url)}`);
  }
  const address = typeof url === "string" ? url : beside.url;
  const all = { ...(address === undefined ? {} : fromUrl(address)), ...beside };
  if (all.pool !== undefined) {
    const contrary = Object.keys(all).find((name) => name !== "pool" && decodingValues(name) === undefined);
    if (contrary !== undefined) throw new TypeError(`options: '${contrary}' contradicts 'pool', which has connections of its own`);
  }
  if (all.path !== undefined && (all.host !== undefined || all.port !== undefined)) {
    throw new TypeError("options: 'path' (a unix socket) contradicts 'host' and 'port'");
  }
  if (all.path !== undefined && all.tls) throw new TypeError("options: 'path' (a unix socket) contradicts 'tls'");
  if (all.username !== undefined && all.password === undefined) throw new TypeError("options: 'username' needs a 'password'");
  return all;
};

/** Gives what an engine has to know of the options. */
export const settingsOf = (options: Options, connector: Connector): Settings => {
  const { host = "localhost", port = 6379, path, tls = false, protocol = "auto", queueTimeout = 5_000, highWater = {} } = options;
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
    clientName: options.clientName,
    connectTimeout: options.connectTimeout ?? 5_000,
    timeout: options.timeout ?? 10_000,
    runtimeChecks: options.runtimeChecks ?? (typeof process === "object" && process.env?.["REDWIRE_RUNTIME_CHECKS"] === "1"),
    verifyVersion: options.verifyVersion ?? true,
    queueTimeout: maxAge === 0 || queueTimeout === 0 ? Math.max(queueTimeout, maxAge) : Math.min(queueTimeout, maxAge),
    offline: [options.offlineQueue === false ? 0 : maxCommands, maxBytes, onFull === "drop-oldest" ? 1 : 0],
    highWater: [highWater.maxCommands ?? UNLIMITED, highWater.maxBytes ?? UNLIMITED],
    keepAlive: options.keepAlive ?? 15_000,
    retryDelay: options.retryDelay ?? 50,
    maxRetryDelay: options.maxRetryDelay ?? 2_000,
    maxResends: options.maxResends ?? 3,
    cache: options.cache && cacheSettings(options.cache, protocol),
    maxConnections: options.maxConnections ?? 8,
    minIdle: options.minIdle ?? 0,
    maxIdleTime: options.maxIdleTime ?? 60_000,
    poolTimeout: options.poolTimeout ?? 5_000,
  };
};
