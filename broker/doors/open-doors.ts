/**
 * The doors of a broker's listeners, from its options: who is known to each of those for clients,
 * whom brokers may speak for on their own.
 */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { BrokerError } from '../../base/errors.ts';
import type { OnFact } from '../../base/events.ts';
import { CLIENT_LISTENER, INTERNAL_LISTENER } from '../../base/listeners.ts';
import { type Identity, identityUri, readIdentity } from '../../base/identity.ts';
import { principalFault } from '../../base/access.ts';
import { reasonOf } from '../../base/reason.ts';
import { principalOf } from '../messages/principal.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { Audit } from './audit.ts';
import { Authenticator, type Known } from './authenticator.ts';
import { Door, type DoorCall } from './door.ts';
import type { AuthOptions } from './options.ts';
import { SigningKeys } from './signing-keys.ts';
import { Throttle } from './throttle.ts';
import { parseTokens } from './tokens-file.ts';
import { WatchedFile } from './watched-file.ts';

export interface DoorsParts {
  readonly auth: AuthOptions | null;
  /** Named ones; default: none. */
  readonly listeners?: readonly { readonly name: string; readonly auth: AuthOptions | null }[];
  readonly dataDir: string;
  /** That the directory must belong to; empty: any. */
  readonly clusterId: string;
  readonly broker: Pick<
    BrokerApi,
    'brokerId' | 'image' | 'isInformed' | 'rightsOf' | 'watchImage'
  > & { readonly clock: Clock };
  /** Whether brokers show each other certificates. */
  readonly isInternalTls: boolean;
  readonly onFact: OnFact;
  /** Writes whatever the log level is. */
  readonly tellAudit: OnFact;
}

export interface Doors {
  /** Null: nobody is asked who they are. */
  readonly outer: Door | null;
  /** Of named listeners, alike. */
  readonly named: ReadonlyMap<string, Door | null>;
  readonly inner: Door;
  /** Of clients. */
  readonly throttle: Throttle;
  close(): void;
}

/** Rejects with INVALID_ARGUMENT where a file cannot be used. */
export async function openDoors(parts: DoorsParts): Promise<Doors> {
  const { auth, listeners = [], broker, isInternalTls, onFact, tellAudit } = parts;
  const audit = new Audit(tellAudit, broker.clock);
  const inner = new Door({
    broker,
    authenticate: (call) => spokenFor(call, isInternalTls),
    audit,
    isOuter: false,
    listener: INTERNAL_LISTENER,
  });
  const named = new Map<string, Door | null>();
  const closes = [(): void => inner.close()];
  const openFor = async (listener: string, asked: AuthOptions | null): Promise<Door | null> => {
    if (asked === null) return null;
    const opened = await openOuter(listener, asked, parts, audit);
    closes.push(() => opened.close());
    return opened.door;
  };
  const outer = await openFor(CLIENT_LISTENER, auth);
  for (const { name, auth: asked } of listeners) named.set(name, await openFor(name, asked));
  return {
    outer,
    named,
    inner,
    throttle: new Throttle({ broker, onFact }),
    close: () => {
      for (const close of closes) close();
    },
  };
}

async function openOuter(
  listener: string,
  auth: AuthOptions,
  { dataDir, clusterId, broker, onFact }: DoorsParts,
  audit: Audit,
): Promise<{ readonly door: Door; close(): void }> {
  const { methods, tokensFile, oidc } = auth;
  const told = (what: string) => (reason: string) =>
    onFact('auth-refused', { listener, what, reason });
  const isNamed = listener !== CLIENT_LISTENER;
  const prefix = isNamed ? `listener-${listener}-` : '';
  let opened: Door | null = null;
  const tokens = methods.includes('token')
    ? await opening(`${prefix}auth-tokens-file`, () =>
        WatchedFile.open({
          path: tokensFile,
          parse: parseTokens,
          onChanged: () => opened?.lookAgain(),
          onRefused: told('tokens'),
        }),
      )
    : null;
  const keys =
    oidc === null
      ? null
      : await opening(`${prefix}auth-oidc-jwks`, () =>
          SigningKeys.open({
            source: oidc.keys,
            caFile: oidc.caFile,
            bearerFile: oidc.bearerFile,
            storeFile: join(dataDir, 'auth', isNamed ? `keys-${listener}.json` : 'keys.json'),
            onRefused: told('keys'),
            nowMs: () => broker.clock.monotonicMs(),
          }),
        );
  const authenticator = new Authenticator({
    mtls: methods.includes('mtls'),
    tokens: tokens === null ? null : () => tokens.content,
    oidc:
      oidc === null || keys === null
        ? null
        : {
            issuer: oidc.issuer,
            alias: oidc.alias,
            audience: () => oidc.audience || clusterId || broker.image().clusterId,
            keys,
          },
    wallMs: () => broker.clock.wallMs(),
  });
  const door = new Door({
    broker,
    authenticate: (call) => authenticator.authenticate(call),
    audit,
    isOuter: true,
    listener,
  });
  opened = door;
  return {
    door,
    close: () => {
      door.close();
      tokens?.close();
      keys?.close();
    },
  };
}

async function opening<T>(flag: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const text = `Cannot use ${flag}: ${reasonOf(error)}`;
    throw new BrokerError('INVALID_ARGUMENT', text, {}, error);
  }
}

interface InnerCall {
  getAuthContext?(): { readonly sslPeerCertificate?: { readonly subjectaltname?: string } } | null;
}

/**
 * Whom a call between brokers is made for; null: for nobody but who makes it. Only a broker speaks
 * for others. Without TLS there is no telling who speaks, and whoever reaches the listener could be
 * a broker as well.
 */
export function spokenFor(call: DoorCall, isTls: boolean): Known | null {
  const principal = principalOf(call);
  if (principal === '') return null;
  const fault = principalFault(principal);
  if (fault !== null) throw new BrokerError('INVALID_ARGUMENT', fault);
  const speaker = isTls ? speakerOf(call as unknown as InnerCall) : null;
  if (isTls && speaker?.kind !== 'broker') {
    const shown = speaker === null ? 'nobody' : identityUri(speaker);
    throw new BrokerError('REFUSED', `The certificate is of ${shown}, and cannot speak for others`);
  }
  return { principal, untilMs: null, stands: () => true };
}

function speakerOf(call: InnerCall): Identity | null {
  return readIdentity(call.getAuthContext?.()?.sslPeerCertificate?.subjectaltname ?? '');
}
