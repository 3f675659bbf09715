/**
 * Options of the listeners for clients: what one has, and how many there are. The one that every
 * broker has takes them as they are called here, a named one with `listener-<name>-` before them.
 */
import { wholeNumber } from '../base/broker-options.ts';
import { hostPort } from '../base/host-port.ts';
import { LISTENERS_MAX, PORT_MAX } from '../base/limits.ts';
import { hostFault, listenerNameFault } from '../base/listeners.ts';
import type { TlsPaths } from '../base/tls-paths.ts';
import { AUTH_METHODS, type AuthMethod, type AuthOptions } from './doors/options.ts';
import type { Address } from './runtime/ports.ts';

/** A listener for clients beside the one that every broker has. */
export interface ListenerOptions {
  readonly name: string;
  readonly listen: Address;
  /** Where clients dial it; null: as {@link advertiseFile} says. */
  readonly advertised: Address | null;
  /** Empty: none. */
  readonly advertiseFile: string;
  /** Null: none. */
  readonly tls: TlsPaths | null;
  /** Null: nobody is asked who they are. */
  readonly auth: AuthOptions | null;
  /** Connections of its own among those of all clients; null: as many as these. */
  readonly connectionsMax: number | null;
}

/** TLS of a listener for clients. */
export const TLS_OPTIONS = {
  'tls-cert': 'certificate of the listener for clients, a PEM file; empty: no TLS there',
  'tls-key': 'private key of that certificate, a PEM file',
  'tls-client-ca':
    'authorities of which clients must show a certificate, a PEM file; empty: they need none',
} as const;

/** Authentication of a listener for clients. */
export const AUTH_OPTIONS = {
  auth: `how clients are known, separated by commas: ${AUTH_METHODS.join(', ')}; or none, and then everybody may do everything; default none`,
  'auth-tokens-file':
    'static tokens, a file of lines "name sha256-of-the-token"; read again when it changes',
  'auth-oidc-issuer': 'issuer (iss) of the tokens that are taken',
  'auth-oidc-alias':
    'name of the issuer in principals, oidc:<alias>/<subject>; default kubernetes, whose accounts of pods are called as there',
  'auth-oidc-audience': "audience (aud) that tokens must be for; default: the cluster's id",
  'auth-oidc-jwks': 'public keys of the issuer (JWKS): https://…, or a file',
  'auth-oidc-ca': 'authorities of the server of the keys, a PEM file; empty: those of Node',
  'auth-oidc-bearer-file': 'token to show to the server of the keys, a file; empty: none',
  'auth-plaintext':
    'yes: take tokens on a listener without TLS, where whoever listens on the way can take them; default no',
  'auth-reflection':
    'yes: serve reflection to everybody though callers are asked who they are; default no',
} as const;

/** Of a named listener, behind `listener-<name>-`; also those of the two tables above. */
export const LISTENER_OPTIONS = {
  listen: 'address to listen on, host:port',
  advertise: 'address that its clients dial, host:port; default: the listen address',
  'advertise-file':
    'file with that address, read again when it changes; while it is empty or missing, or names a host that the certificate does not hold, clients of this listener are not sent to this broker',
  'connections-max':
    'connections of this listener among connections-max of all; default: no bound of its own',
} as const;

type AuthFlag = keyof typeof AUTH_OPTIONS;
type ListenerFlag = keyof typeof TLS_OPTIONS | AuthFlag | keyof typeof LISTENER_OPTIONS;

/** As {@link readTls} takes them. */
export const CLIENT_TLS_FLAGS = ['tls-cert', 'tls-key', 'tls-client-ca'] as const;

const FLAGS = [
  ...Object.keys(LISTENER_OPTIONS),
  ...Object.keys(TLS_OPTIONS),
  ...Object.keys(AUTH_OPTIONS),
] as readonly ListenerFlag[];

/** Every address of the machine. */
const WILDCARD_HOSTS: readonly string[] = ['0.0.0.0', '::'];

export function isWildcard(host: string): boolean {
  return WILDCARD_HOSTS.includes(host);
}

/** Names in `listeners`, good or not. */
export function namesIn(given: string): readonly string[] {
  return given
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** Flags of these listeners; of names that can be none there are none. */
export function listenerFlags(names: readonly string[]): readonly string[] {
  const good = names.filter((name) => listenerNameFault('', name) === null);
  return good.slice(0, LISTENERS_MAX).flatMap((name) => FLAGS.map((flag) => flagOf(name, flag)));
}

function flagOf(name: string, flag: ListenerFlag): string {
  return `listener-${name}-${flag}`;
}

/** The named listeners, with all that is wrong with them. */
export function readListeners(
  values: ReadonlyMap<string, string>,
  faults: string[],
): readonly ListenerOptions[] {
  const names = namesIn(values.get('listeners') ?? '');
  if (names.length > LISTENERS_MAX)
    faults.push(`listeners are ${names.length}, must be at most ${LISTENERS_MAX}`);
  return names.slice(0, LISTENERS_MAX).flatMap((name, index) => {
    const fault = listenerNameFault('listeners', name);
    if (fault !== null) faults.push(fault);
    if (names.indexOf(name) !== index) faults.push(`listeners name "${name}" twice, must once`);
    if (fault !== null || names.indexOf(name) !== index) return [];
    const own: string[] = [];
    const listener = readListener(name, (flag) => values.get(flagOf(name, flag)) ?? '', own);
    // Each begins with the flag that it is about.
    faults.push(...own.map((told) => `listener-${name}-${told}`));
    return [listener];
  });
}

function readListener(
  name: string,
  text: (flag: ListenerFlag) => string,
  faults: string[],
): ListenerOptions {
  const listen = readAddress('listen', text('listen'), faults);
  const [advertise, advertiseFile] = [text('advertise'), text('advertise-file')];
  if (advertise !== '' && advertiseFile !== '')
    faults.push(`advertise is '${advertise}', must not be given with advertise-file`);
  if (advertise === '' && advertiseFile === '' && isWildcard(listen.host))
    faults.push(
      `advertise is missing, must be host:port of this broker where listen is every address ('${hostPort(listen.host, listen.port)}'), or advertise-file be given`,
    );
  const given = advertise === '' ? listen : readAddress('advertise', advertise, faults);
  const fault = given.host === '' ? null : hostFault(given.host);
  if (fault !== null && advertiseFile === '')
    faults.push(`${advertise === '' ? 'listen' : 'advertise'}: ${fault}`);
  // Whoever opens a door says who may come in: nobody is asked only where that is said.
  if (text('auth') === '')
    faults.push(`auth is missing, must be none, or some of ${AUTH_METHODS.join(', ')}`);
  const most = text('connections-max');
  if (most !== '' && !(wholeNumber(most) >= 1 && wholeNumber(most) <= 1_000_000))
    faults.push(`connections-max is '${most}', must be a whole number from 1 to 1000000`);
  return {
    name,
    listen,
    advertised: advertiseFile === '' ? given : null,
    advertiseFile,
    tls: readTls(CLIENT_TLS_FLAGS, text, faults),
    auth: readAuth(text, faults),
    connectionsMax: most === '' ? null : Number(most),
  };
}

/** No two listeners stand at one address. */
export function listenerFaults(config: {
  readonly listen: Address;
  readonly internalListen: Address;
  readonly listeners: readonly ListenerOptions[];
}): string[] {
  const before = [
    { flag: 'listen', at: config.listen },
    { flag: 'internal-listen', at: config.internalListen },
  ];
  const faults: string[] = [];
  for (const { name, listen: at } of config.listeners) {
    const flag = flagOf(name, 'listen');
    const taken = before.find((other) => overlap(other.at, at));
    if (taken !== undefined)
      faults.push(
        `${flag} is '${hostPort(at.host, at.port)}', must be another address than ${taken.flag}`,
      );
    before.push({ flag, at });
  }
  return faults;
}

function overlap(left: Address, right: Address): boolean {
  if (left.port !== right.port) return false;
  return left.host === right.host || isWildcard(left.host) || isWildcard(right.host);
}

/** The brackets of an IPv6 address are spelling, and no part of the host. */
export function readAddress(flag: string, given: string, faults: string[]): Address {
  const match = /^(?:(?<host>[^:\s]+)|\[(?<ipv6>[0-9a-fA-F:]+)\]):(?<port>\d{1,5})$/.exec(given);
  const port = Number(match?.groups?.['port'] ?? 0);
  if (match !== null && port >= 1 && port <= PORT_MAX)
    return { host: match.groups?.['host'] ?? match.groups?.['ipv6'] ?? '', port };
  faults.push(`${flag} is '${given}', must be host:port with a port from 1 to ${PORT_MAX}`);
  return { host: '', port: 0 };
}

/** Certificate and key go together, and authorities are of no use without them. */
export function readTls<Flag extends string>(
  [certFlag, keyFlag, caFlag]: readonly [cert: Flag, key: Flag, ca: Flag],
  text: (flag: Flag) => string,
  faults: string[],
): TlsPaths | null {
  const [cert, key, ca] = [text(certFlag), text(keyFlag), text(caFlag)];
  const given = [certFlag, keyFlag, caFlag].filter((flag) => text(flag) !== '');
  if (given.length === 0) return null;
  for (const flag of [certFlag, keyFlag])
    if (text(flag) === '')
      faults.push(`${flag} is missing, must be given with ${given.join(' and ')}`);
  return { cert, key, ca: ca === '' ? null : ca };
}

/** Every option of a method that is not asked for is a mistake: somebody believes in it. */
export function readAuth(
  text: (flag: AuthFlag | 'tls-cert' | 'tls-client-ca') => string,
  faults: string[],
): AuthOptions | null {
  const words = (text('auth') === '' ? 'none' : text('auth')).split(',').map((word) => word.trim());
  const methods = AUTH_METHODS.filter((method) => words.includes(method));
  if (words.some((word) => word !== 'none' && !methods.some((method) => method === word)))
    faults.push(`auth is '${text('auth')}', must be none, or some of ${AUTH_METHODS.join(', ')}`);
  if (words.includes('none') && words.length > 1)
    faults.push(`auth is '${text('auth')}', must be none alone`);
  const needs = (flag: AuthFlag, method: AuthMethod, isNeeded = true): void => {
    if (!methods.includes(method) && text(flag) !== '')
      faults.push(`${flag} is given, must be given with auth ${method} only`);
    if (methods.includes(method) && isNeeded && text(flag) === '')
      faults.push(`${flag} is missing, must be given with auth ${method}`);
  };
  // Of use without as well: it says who may connect.
  if (methods.includes('mtls') && text('tls-client-ca') === '')
    faults.push('tls-client-ca is missing, must be given with auth mtls');
  needs('auth-tokens-file', 'token');
  needs('auth-oidc-issuer', 'oidc');
  needs('auth-oidc-jwks', 'oidc');
  for (const flag of ['alias', 'audience', 'ca', 'bearer-file'] as const)
    needs(`auth-oidc-${flag}`, 'oidc', false);
  const [isPlaintext, isReflected] = [yes('auth-plaintext'), yes('auth-reflection')];
  function yes(flag: AuthFlag): boolean {
    if (!['', 'yes', 'no'].includes(text(flag)))
      faults.push(`${flag} is '${text(flag)}', must be yes or no`);
    return text(flag) === 'yes';
  }
  const takesTokens = methods.includes('token') || methods.includes('oidc');
  if (takesTokens && text('tls-cert') === '' && !isPlaintext)
    faults.push(
      `tls-cert is missing, must be given with auth ${methods.join(',')}: without TLS whoever listens on the way takes the tokens (auth-plaintext=yes accepts that)`,
    );
  const keys = text('auth-oidc-jwks');
  if (/^http:/.test(keys) && !isPlaintext)
    faults.push(
      `auth-oidc-jwks is '${keys}', must be https://… or a file: whoever answers in its place says who anybody is (auth-plaintext=yes accepts that)`,
    );
  const alias = text('auth-oidc-alias') === '' ? 'kubernetes' : text('auth-oidc-alias');
  if (!/^[a-z0-9][a-z0-9.-]{0,62}$/.test(alias))
    faults.push(`auth-oidc-alias is '${alias}', must be 1 to 63 of a-z 0-9 . -`);
  if (methods.length === 0) return null;
  const oidc = {
    issuer: text('auth-oidc-issuer'),
    alias,
    audience: text('auth-oidc-audience'),
    keys,
    caFile: text('auth-oidc-ca'),
    bearerFile: text('auth-oidc-bearer-file'),
  };
  return {
    methods,
    tokensFile: text('auth-tokens-file'),
    oidc: methods.includes('oidc') ? oidc : null,
    isReflected,
  };
}
