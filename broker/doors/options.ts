/** What a client listener asks of those who come in, as options say it. */

/** Ways in which a listener knows its callers, in the order in which they are tried. */
export const AUTH_METHODS = ['mtls', 'token', 'oidc'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

export interface AuthOptions {
  readonly methods: readonly AuthMethod[];
  /** Of static tokens; empty where `token` is none of the methods. */
  readonly tokensFile: string;
  readonly oidc: {
    readonly issuer: string;
    readonly alias: string;
    /** Empty: the cluster's id. */
    readonly audience: string;
    /** Address or file. */
    readonly keys: string;
    readonly caFile: string;
    readonly bearerFile: string;
  } | null;
  /** Reflection is served all the same. */
  readonly isReflected: boolean;
}
