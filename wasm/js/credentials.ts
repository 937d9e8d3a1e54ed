import { unlessAborted } from "./aborts.js";
import { ConnectionError } from "./errors.js";
import { laterUnheld, type Timer } from "./timer.js";

/** Who a client is to the server. */
export interface Credentials {
  /** Default: the server's default user. */
  username?: string;
  /** A password, or a token that serves as one. */
  password: string;
  /** When they expire, as a date or in milliseconds since 1970: before that they are asked for again, and open connections told. Default: never. */
  expiresAt?: number | Date;
}

/**
 * Gives the credentials for a connection that is to be opened, or, before those it gave expire, new ones: a minute before, or a fifth
 * of the time that is left, if that is less. When it throws or rejects, the attempt to connect has failed, with that as the error's
 * `cause`, and the next one asks again. `signal` aborts when nobody waits for the answer any more.
 */
export type CredentialsProvider = (about: { signal: AbortSignal }) => Credentials | Promise<Credentials>;

/** Why a provider gave nothing. Never says what it gave. */
const refused = (why: string, cause?: unknown): ConnectionError => new ConnectionError(`'credentials' ${why}`, cause === undefined ? {} : { cause });

/** Asks a provider, and asks again before what it gave expires. @internal */
export class Keeper {
  readonly #provider: CredentialsProvider;
  readonly #tell: (username: string | undefined, password: string) => void;
  readonly #failed: (error: ConnectionError) => void;
  readonly #delays: readonly [least: number, most: number];
  readonly #limit: number;
  #asked: Promise<void> | undefined;
  /** When what was given last expires. */
  #expires = Infinity;
  /** Ends asking again. */
  #renewing: AbortController | undefined;
  #told = "";
  #timer: Timer;

  /**
   * `tell` takes new credentials, `failed` what went wrong behind the scenes; such attempts take `limit` ms at most (0: no limit), and are
   * `delays` apart, from the least to the most.
   */
  constructor(
    provider: CredentialsProvider,
    tell: (username: string | undefined, password: string) => void,
    failed: (error: ConnectionError) => void,
    delays: readonly [least: number, most: number],
    limit: number,
  ) {
    this.#provider = provider;
    this.#tell = tell;
    this.#failed = failed;
    this.#delays = delays;
    this.#limit = limit;
  }

  /** Resolves when the credentials that were told are of use; rejects with a {@link ConnectionError}. */
  ensure(signal: AbortSignal): Promise<void> {
    if (Date.now() >= this.#expires) this.forget();
    if (this.#asked === undefined) {
      const asked = (this.#asked = this.#ask(signal).catch((error: unknown) => {
        if (this.#asked === asked) this.#asked = undefined;
        throw error;
      }));
    }
    return this.#asked;
  }

  /** Asks anew next time. */
  forget(): void {
    this.#asked = undefined;
    this.#expires = Infinity;
    clearTimeout(this.#timer);
    const renewing = this.#renewing;
    this.#renewing = undefined;
    renewing?.abort();
  }

  /** Forgets what was told: there is a new core, which knows nothing. */
  renew(): void {
    this.forget();
    this.#told = "";
  }

  async #ask(signal: AbortSignal): Promise<void> {
    let given: Credentials;
    try {
      // whoever asks next must not wait for an answer that nobody gives
      given = await unlessAborted(this.#provider({ signal }), signal);
    } catch (error) {
      throw refused("failed: see the error's cause", error);
    }
    const { username, password, expiresAt } = (given ?? {}) as Credentials;
    if (typeof password !== "string" || !(username === undefined || typeof username === "string")) throw refused("gave no { username, password } of strings");
    const left = expiresAt === undefined ? Infinity : Number(expiresAt) - Date.now();
    if (Number.isNaN(left)) throw refused("gave an 'expiresAt' that is neither a date nor milliseconds since 1970");
    if (left <= 0) throw refused("gave what has expired already");
    const told = JSON.stringify([username, password]);
    if (told !== this.#told) this.#tell(username, password);
    this.#told = told;
    this.#expires = Date.now() + left;
    if (left === Infinity) {
      // the next connection may need others
      queueMicrotask(() => (this.#asked = undefined));
    } else {
      this.#later(Math.max(left - Math.min(60_000, left / 5), this.#delays[0]), 0);
    }
  }

  /** Asks again after `delay` ms, whatever was told before. */
  #later(delay: number, failures: number): void {
    clearTimeout(this.#timer);
    this.#timer = laterUnheld(() => void this.#again(failures), delay);
  }

  async #again(failures: number): Promise<void> {
    const renewing = (this.#renewing = new AbortController());
    const timer = this.#limit === 0 ? undefined : laterUnheld(() => renewing.abort(), this.#limit);
    try {
      await this.#ask(renewing.signal);
    } catch (error) {
      if (this.#renewing !== renewing) return;
      this.#failed(error as ConnectionError);
      const [least, most] = this.#delays;
      this.#later(Math.min(least * 2 ** failures, most), failures + 1);
    } finally {
      clearTimeout(timer);
      if (this.#renewing === renewing) this.#renewing = undefined;
    }
  }
}
