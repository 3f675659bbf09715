/**
 * The token that a program shows with every call. It is asked for anew before it is over, and after
 * a broker has refused it; between, one is enough. It travels over TLS alone, and stands in no
 * error.
 */
import { type CallCredentials, credentials, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';

/** A token, or what gives one: it is called again when the one before is about to end. */
export type TokenSource = string | (() => string | Promise<string>);

/** How long before its end a token is asked for anew, and how long one without an end is kept. */
const REFRESH_MS = 60_000;

export class Tokens {
  readonly #source: TokenSource;
  readonly #clock: Pick<Clock, 'wallMs'>;
  #asking: Promise<string> | null = null;
  #untilMs = 0;

  constructor(source: TokenSource, clock: Pick<Clock, 'wallMs'>) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Shows the token with every call of a channel that has TLS. */
  credentials(): CallCredentials {
    return credentials.createFromMetadataGenerator((_, answer) => {
      this.#token().then(
        (token) => {
          const metadata = new Metadata();
          metadata.set('authorization', `Bearer ${token}`);
          answer(null, metadata);
        },
        () => answer(new Error('the function that gives the token failed')),
      );
    });
  }

  /** A broker has refused it: the next call asks for another. */
  forget(): void {
    this.#asking = null;
  }

  #token(): Promise<string> {
    if (this.#asking !== null && this.#clock.wallMs() < this.#untilMs) return this.#asking;
    const source = this.#source;
    this.#untilMs = Infinity;
    const asking = (async () => (typeof source === 'string' ? source : await source()).trim())();
    this.#asking = asking;
    asking.then(
      (token) => {
        if (this.#asking === asking) this.#untilMs = keepUntilMs(token, this.#clock.wallMs());
      },
      () => {
        if (this.#asking === asking) this.#asking = null;
      },
    );
    return asking;
  }
}

/** From the `exp` of a JSON Web Token; what is none is looked at again after a while. */
function keepUntilMs(token: string, nowMs: number): number {
  const [, payload = ''] = token.split('.');
  try {
    const { exp } = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as {
      readonly exp?: unknown;
    };
    if (typeof exp === 'number') return exp * 1_000 - REFRESH_MS;
  } catch {
    // Not that kind of token.
  }
  return nowMs + REFRESH_MS;
}
