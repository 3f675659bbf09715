/** What the Secrets of a LogCluster's certificates hold, as a pass sees it. Pure data. */
/** TLS between brokers, and with the operator. */
export interface TlsView {
  /** Why the Secrets could not be read; null: they were. */
  readonly fault: string | null;
  /** Null: there is no such Secret. */
  readonly authority: AuthorityView | null;
  /** Null: there is no such Secret. */
  readonly certificates: CertificatesView | null;
  /** What clients are to trust; null: there is no such Secret. */
  readonly trust: TrustView | null;
  /** What an issuer of cert-manager signs; null: the operator's own authority does. */
  readonly issued: IssuedView | null;
}

export interface IssuedView {
  /** Why cert-manager cannot be asked; null: it can. */
  readonly fault: string | null;
  /** Of brokers and the operator, where it was asked. */
  readonly certificates: readonly IssuedCertificate[];
}

export interface IssuedCertificate {
  /** Null: the operator's. */
  readonly brokerId: number | null;
  /** It is asked for what would be asked for now. */
  readonly isCurrent: boolean;
  /** Why there is none yet, or no newer one, as cert-manager says; null: it says nothing. */
  readonly fault: string | null;
  /** What it has issued, where that can be used. */
  readonly leaf: LeafView | null;
  /** Authorities that the issuer names. */
  readonly trusted: readonly string[];
}

export interface TrustView {
  readonly resourceVersion: string;
  /** Authorities in it. */
  readonly trusted: readonly string[];
}

/** Authorities are told apart by the first half of their SHA-256 fingerprint. */
export interface AuthorityView {
  readonly resourceVersion: string;
  /** Signs; null: there is none, or its key is not its own. */
  readonly current: SignerView | null;
  /** To be trusted now, and to sign later. */
  readonly next: SignerView | null;
  /** To be trusted still. */
  readonly previous: readonly string[];
}

export interface SignerView {
  readonly id: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface CertificatesView {
  readonly resourceVersion: string;
  /** Authorities that whoever reads it trusts. */
  readonly trusted: readonly string[];
  /** When it last changed; null: not known. */
  readonly changedAtMs: number | null;
  /** Those that can be used: the names are right, and the key is its own. */
  readonly leaves: readonly LeafView[];
}

export interface LeafView {
  /** Null: the operator's. */
  readonly brokerId: number | null;
  /** Authority that signed it; null: none that is known. */
  readonly signer: string | null;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Hosts by which clients of listeners dial its owner, and that it lacks; absent: none. */
  readonly missing?: readonly string[];
}
