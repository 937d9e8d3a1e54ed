import type { CacheSettings } from "./cache.js";
import type { Connector, Endpoint } from "./connector.js";
import type { CredentialsProvider } from "./credentials.js";
import type { Notice } from "./pubsub/notices.js";

/** What an engine is told once. */
export interface Settings {
  endpoint: Endpoint;
  connector: Connector;
  /** Where it connects to, for messages. */
  where: string;
  protocol: 0 | 2 | 3;
  database: number;
  username: string | undefined;
  password: string | undefined;
  /** Instead of both. */
  credentials: CredentialsProvider | undefined;
  /** What is asked of the server: no-evict (1), no-touch (2), its version (4). */
  features: number;
  clientName: string | undefined;
  connectTimeout: number;
  timeout: number;
  /** Whether types are checked that the server would check too. */
  runtimeChecks: boolean;
  /** Whether commands that the server is too old for are refused. */
  verifyVersion: boolean;
  queueTimeout: number;
  retryDelay: number;
  maxRetryDelay: number;
  maxResends: number;
  /** Commands and bytes that may wait, and whether the oldest make room for new ones (1). */
  offline: number[];
  /** Commands and bytes that may be on their way, and whether others wait for room (1). */
  highWater: number[];
  maxReplyBytes: number;
  keepAlive: number;
  maxConnections: number;
  minIdle: number;
  maxIdleTime: number;
  poolTimeout: number;
  cache: CacheSettings | undefined;
  /** Who is told what the server sends unasked, if this is its engine. */
  listener?: Listener;
}

/** Takes what a server sends unasked, on a connection that is there for nothing else. */
export interface Listener {
  /** How user data is read. */
  readonly mode: number;
  /** Whether it listens to what the server executes. */
  readonly monitors?: boolean;
  /** Takes what was told. The core is being worked with meanwhile: nothing of the user's may run. */
  take(notice: Notice, first: unknown, second: unknown, third: unknown): void;
  /** The engine was destroyed, or its core failed with `error`. */
  ended(error?: unknown): void;
}
