import type { Status } from "./status.js";
import type { RedisError } from "./errors.js";
import type { Host } from "./host.js";

/** What a client is at. It holds neither arguments nor values nor secrets. */
export interface Inspection {
  status: Status;
  /** Where it connects to: `host:port`, or the path of a unix socket. */
  server: string;
  /** The server's version, where it said it. */
  version?: string;
  /** Its connections: first the one that all callers share, then the places of the pool. In some of them is what listens, of `pubsub()`, `subscribe()` or `monitor()`. */
  links: LinkInspection[];
  /** Who waits, in the order of each connection. */
  waiting: WaitingInspection[];
  /** The last eight errors of connections, and of what goes on in the background, oldest first. */
  lastErrors: ErrorInspection[];
}

/** One connection. */
export interface LinkInspection {
  kind: "shared" | "leased" | "listening";
  /**
   * `idle`: nothing is tried; `waiting`: another attempt to connect is to come; `opening`, `handshake`, `ready`; `leaving`: it is being
   * changed for another as soon as all is answered.
   */
  state: (typeof states)[number];
  /** Commands that were not written. */
  queued: number;
  /** Commands that were written and not answered. */
  inFlight: number;
  /** Bytes of commands that the socket did not take yet. */
  unsentBytes: number;
}

/** A command that waits, or `lease()`; of what listens without a connection the first command only. */
export interface WaitingInspection {
  /** Its name; of a transaction `EXEC`. */
  command: string;
  /** The place of its connection in `links`; none: it waits for one of its own. */
  link?: number;
  /** Whether any of it was written. */
  written: boolean;
  /** For how many milliseconds it has been waiting. */
  since: number;
}

/** An error. */
export interface ErrorInspection {
  at: Date;
  name: string;
  code?: string;
  message: string;
}

const states = ["idle", "waiting", "opening", "handshake", "ready", "leaving"] as const;
/** What stands in the place of a state before those who wait for a connection. */
const POOL = 6;
const KEPT = 8;

/** Keeps the last errors. @internal */
export class Errors {
  readonly #kept: ErrorInspection[] = [];

  add(error: RedisError): void {
    const { code } = error as { code?: string };
    this.#kept.push({ at: new Date(), name: error.name, ...(code === undefined ? {} : { code }), message: error.message });
    if (this.#kept.length > KEPT) this.#kept.shift();
  }

  list(): ErrorInspection[] {
    return this.#kept.map((error) => ({ ...error }));
  }
}

/** Reads what the core says of its connections (`Host::inspect` in `wasm/src/host.rs`). @internal */
export const inspectLinks = (host: Host, now: number, commandOf: (slot: number) => string): Pick<Inspection, "links" | "waiting"> => {
  const count = host.exports.host_inspect(now);
  const at = host.register(0) >>> 2;
  const words = host.words.slice(at, at + count);
  const links: LinkInspection[] = [];
  const waiting: WaitingInspection[] = [];
  for (let next = 0; next < count; ) {
    const [state, unsentBytes, pending] = words.subarray(next, (next += 3));
    const counts = { queued: 0, inFlight: 0 };
    for (let entry = 0; entry < pending!; entry++) {
      const [slot, written, since] = words.subarray(next, (next += 3));
      counts[written === 0 ? "queued" : "inFlight"]++;
      const place = state === POOL ? {} : { link: links.length };
      waiting.push({ command: commandOf(slot!) || "lease()", ...place, written: written !== 0, since: since! });
    }
    if (state !== POOL) links.push({ kind: links.length === 0 ? "shared" : "leased", state: states[state!]!, ...counts, unsentBytes: unsentBytes! });
  }
  return { links, waiting };
};
