/** How a connection is made secure. Certificates and keys are PEM. */
export interface TlsOptions {
  /** Authorities whose certificates are trusted, instead of those that the runtime knows. */
  ca?: Pem | readonly Pem[];
  /** The client's own certificate, for servers that ask for one. */
  cert?: Pem;
  /** The key of `cert`. */
  key?: Pem;
  /** What `key` is encrypted with. */
  passphrase?: string;
  /** The name that the server is asked for (SNI) and that its certificate has to be for; default: the host, where that is a name. */
  servername?: string;
  /** Default: the runtime's. */
  minVersion?: "TLSv1.2" | "TLSv1.3";
  /** Default: the runtime's. */
  maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** Ciphers, as OpenSSL spells them; default: the runtime's. */
  ciphers?: string;
  /**
   * Takes any certificate, of anybody, for any host: whoever stands between client and server can read and change everything. For
   * experiments only, default `false`; a server of your own is trusted by its authority in `ca`.
   */
  dangerouslyAcceptAnyCertificate?: boolean;
}

/** The text or bytes of a PEM file. */
export type Pem = string | Uint8Array;

/** Tells whether one side of a connection that could not be made does not trust the other, or speaks no TLS: so it will be next time. @internal */
export const isUntrusted = (error: unknown): boolean => /^ERR_(SSL|TLS)_|CERT|SELF_SIGNED|ISSUER|VERIFY|INVALID_(CA|PURPOSE)/.test(codeOf(error));

/** Gives the code that the runtime gave an error, such as `ECONNREFUSED`. @internal */
export const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "";
};
