const schemes: Readonly<Record<string, { tls?: true; unix?: true }>> = {
  "redis:": {},
  "valkey:": {},
  "rediss:": { tls: true },
  "valkeys:": { tls: true },
  "unix:": { unix: true },
  "redis+unix:": { unix: true },
};

const whole = (value: string): number => (value.trim() === "" ? NaN : Number(value));

/** Options that a URL's query can name, and what they become. */
const queries: Readonly<Record<string, (value: string) => unknown>> = {
  db: whole,
  username: String,
  password: String,
  protocol: (value) => (value === "auto" ? value : whole(value)),
  clientName: String,
  connectTimeout: whole,
  timeout: whole,
  queueTimeout: whole,
  keepAlive: whole,
  retryDelay: whole,
  maxRetryDelay: whole,
  maxResends: whole,
  maxConnections: whole,
  minIdle: whole,
  maxIdleTime: whole,
  poolTimeout: whole,
  maxReplyBytes: whole,
};

/** Stands for the host that a unix socket does not have: URLs with a user and no host are none. */
const NOWHERE = "-";

/** What a URL says: the options in its body, and those in its query. */
export interface Parsed {
  body: Record<string, unknown>;
  query: Record<string, unknown>;
}

/**
 * Takes a URL apart. Its text is never repeated in an error: it may hold a password.
 * @throws TypeError, where it is no URL of a Redis server.
 */
export const parseUrl = (url: string): Parsed => {
  const text = url.trim().replace(/^((redis\+)?unix:\/\/[^/@]*@)\//i, `$1${NOWHERE}/`);
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = parsed === undefined ? undefined : schemes[parsed.protocol];
  if (parsed === undefined || scheme === undefined) {
    throw new TypeError(
      "url: expected redis://[user:password@]host[:port][/db], rediss:// for TLS, or unix:///path/of/socket; percent-encode what is special in user and password",
    );
  }
  const body: Record<string, unknown> = {};
  const { username, password, hostname, port, pathname, hash } = parsed;
  if (hash !== "") throw new TypeError("url: '#' begins a fragment, which means nothing here: write %23 where it is part of a password");
  if (username !== "") body["username"] = unescape(username, "user name");
  if (password !== "") body["password"] = unescape(password, "password");
  if (scheme.unix) {
    body["path"] = unescape((hostname === NOWHERE ? "" : hostname) + pathname, "path");
    if (body["path"] === "/") throw new TypeError("url: the path of the unix socket is missing");
  } else {
    if (hostname !== "") body["host"] = unescape(hostname.replace(/^\[(.*)\]$/, "$1"), "host");
    if (port !== "") body["port"] = Number(port);
    const db = pathname.replace(/^\//, "");
    if (db !== "" && !/^\d+$/.test(db)) throw new TypeError("url: the path expected a database number, such as /0");
    if (db !== "") body["db"] = Number(db);
  }
  if (scheme.tls) body["tls"] = true;
  const query: Record<string, unknown> = {};
  for (const [name, value] of new URLSearchParams(parsed.search.replaceAll("+", "%2B"))) {
    if (!Object.hasOwn(queries, name)) {
      // where an '@' follows, it is part of a password that was not encoded
      const told = parsed.search.includes("@") ? "what follows '?'" : `'${name}'`;
      throw new TypeError(`url: ${told} is not an option that a URL can hold`);
    }
    if (Object.hasOwn(query, name)) throw new TypeError(`url: '${name}' is said twice`);
    query[name] = queries[name]!(value);
  }
  return { body, query };
};

const unescape = (text: string, what: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError(`url: the ${what} is not percent-encoded right`);
  }
};
