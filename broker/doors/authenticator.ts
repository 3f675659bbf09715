/**
 * Who a caller of a client listener is: by the token that it shows, else by its certificate. What
 * is shown and wrong is refused, whatever else is shown beside it. Tokens stand in no message and
 * in no log; those that were good are remembered by their hash.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';
import { errors, jwtVerify, type JWTPayload } from 'jose';
import { BrokerError } from '../../base/errors.ts';
import {
  principalOfCertificate,
  principalOfSubject,
  principalOfToken,
} from '../access/principals.ts';
import type { SigningKeys } from './signing-keys.ts';

/** Of a token: those of Kubernetes have some 1,500. */
const TOKEN_LENGTH_MAX = 8_192;
/** How far an issuer's clock may be from this broker's. */
const CLOCK_LEEWAY_S = 60;
/** How long a token's signature is believed before it is looked at again: keys are withdrawn. */
const BELIEVED_MS = 60_000;
/** Tokens that are remembered; beyond, all are forgotten. */
const REMEMBERED_MAX = 10_000;
/** By public keys alone: with a shared secret whoever checks a token could make one. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
].concat(['EdDSA', 'Ed25519']);

/** Somebody that a listener knows. */
export interface Known {
  readonly principal: string;
  /** When what was shown is over, on the wall clock; null: with the connection. */
  readonly untilMs: number | null;
  /** Whether what was shown would be taken now. */
  readonly stands: () => boolean;
}

/** As far as authentication looks at a call. */
export interface ShownCall {
  readonly metadata: Metadata;
  getAuthContext?(): { readonly sslPeerCertificate?: { readonly raw?: Buffer } } | null;
}

export interface OidcParts {
  readonly issuer: string;
  readonly alias: string;
  /** Empty: not known yet. */
  readonly audience: () => string;
  readonly keys: SigningKeys;
}

export interface AuthenticatorParts {
  readonly mtls: boolean;
  /** Names by hash; null: no static tokens. */
  readonly tokens: (() => ReadonlyMap<string, string>) | null;
  readonly oidc: OidcParts | null;
  readonly wallMs: () => number;
}

interface Believed {
  readonly known: Known;
  readonly againMs: number;
}

const ALWAYS = (): boolean => true;

export class Authenticator {
  readonly #parts: AuthenticatorParts;
  readonly #believed = new Map<string, Believed>();

  constructor(parts: AuthenticatorParts) {
    this.#parts = parts;
  }

  /** Throws or rejects with UNAUTHENTICATED. */
  authenticate(call: ShownCall): Known | Promise<Known> {
    const shown = call.metadata.get('authorization');
    if (shown.length > 0 && this.#takesTokens) return this.#byToken(tokenOf(shown));
    const known = this.#parts.mtls ? byCertificate(call, this.#parts.wallMs()) : null;
    if (known !== null) return known;
    throw refused(`nothing was shown; this listener asks for ${this.#wanted()}`);
  }

  get #takesTokens(): boolean {
    return this.#parts.tokens !== null || this.#parts.oidc !== null;
  }

  #wanted(): string {
    const { mtls, tokens, oidc } = this.#parts;
    return [
      ...(mtls ? ['a client certificate'] : []),
      ...(tokens === null && oidc === null ? [] : ['a token (authorization: Bearer …)']),
    ].join(' or ');
  }

  #byToken(token: string): Known | Promise<Known> {
    const digest = createHash('sha256').update(token).digest('hex');
    const { tokens, oidc, wallMs } = this.#parts;
    const name = tokens?.().get(digest);
    if (name !== undefined) {
      const stands = (): boolean => tokens?.().get(digest) === name;
      return { principal: principalOfToken(name), untilMs: null, stands };
    }
    if (oidc === null) throw refused('the token is not known');
    const believed = this.#believed.get(digest);
    if (believed !== undefined && believed.againMs > wallMs()) return believed.known;
    return this.#byIssuer(token, digest, oidc);
  }

  async #byIssuer(token: string, digest: string, oidc: OidcParts): Promise<Known> {
    const { issuer, alias, keys } = oidc;
    const audience = oidc.audience();
    if (audience === '')
      throw new BrokerError(
        'BROKER_NOT_READY',
        'This broker belongs to no cluster yet, whose id a token must be for (auth-oidc-audience)',
      );
    const nowMs = this.#parts.wallMs();
    let payload: JWTPayload;
    try {
      const checks = {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_LEEWAY_S,
        currentDate: new Date(nowMs),
        requiredClaims: ['exp', 'sub'],
      };
      ({ payload } = await jwtVerify(token, keys.find, checks));
    } catch (error) {
      throw refused(whyNot(error, issuer, audience));
    }
    // An issuer may sign what is no text, whatever the type says.
    const subject: unknown = payload.sub;
    const principal = typeof subject === 'string' ? principalOfSubject(alias, subject) : null;
    if (principal === null) throw refused('the subject of the token cannot be a principal');
    const untilMs = ((payload.exp ?? 0) + CLOCK_LEEWAY_S) * 1_000;
    const known = { principal, untilMs, stands: ALWAYS };
    if (this.#believed.size >= REMEMBERED_MAX) this.#believed.clear();
    this.#believed.set(digest, { known, againMs: Math.min(untilMs, nowMs + BELIEVED_MS) });
    return known;
  }
}

/** One token, in the form of RFC 6750. */
function tokenOf(shown: readonly (string | Buffer)[]): string {
  const [, token] = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(String(shown[0])) ?? [];
  if (shown.length !== 1 || token === undefined || token.length > TOKEN_LENGTH_MAX)
    throw refused('authorization must be shown once, as Bearer and a token');
  return token;
}

function byCertificate(call: ShownCall, nowMs: number): Known | null {
  const raw = call.getAuthContext?.()?.sslPeerCertificate?.raw;
  if (raw === undefined) return null;
  const { subject, subjectAltName = '', validToDate } = new X509Certificate(raw);
  // A connection outlives the certificate that it began with.
  const untilMs = validToDate.getTime();
  if (untilMs <= nowMs) throw refused('the certificate is over');
  const principal = principalOfCertificate({ subject, subjectAltName });
  if (principal === null)
    throw refused('the certificate names nobody, or more than one, or in letters of no name');
  return { principal, untilMs, stands: ALWAYS };
}

/** In words that tell nothing of the token. */
function whyNot(error: unknown, issuer: string, audience: string): string {
  if (error instanceof errors.JWTExpired) return 'the token is over';
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return `the token is not for "${audience}"`;
    if (error.claim === 'iss') return `the token is not of the issuer "${issuer}"`;
    if (error.claim === 'nbf') return 'the token is not valid yet';
    return `the token has no ${error.claim} that counts`;
  }
  if (error instanceof errors.JWKSNoMatchingKey) return 'the key of the token is not known';
  return 'the token cannot be verified';
}

function refused(reason: string): BrokerError {
  return new BrokerError('UNAUTHENTICATED', `Not authenticated: ${reason}`);
}
