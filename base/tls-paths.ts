/** Names of the files that one listener's TLS is read from. */

/** Where the files are. */
export interface TlsPaths {
  /** The certificate, and those between it and an authority, as PEM. */
  readonly cert: string;
  /** Its private key, as PEM. */
  readonly key: string;
  /** Authorities that vouch for the other side, as PEM: several during a rotation; null: none. */
  readonly ca: string | null;
}
