/**
 * Listeners of a broker by name: one for brokers, one for clients, and any number of others for
 * clients, each with an address of its own. Pure.
 */
import { LISTENERS_MAX, LISTENER_NAME_LENGTH_MAX, PORT_MAX } from './limits.ts';

/** The one for clients that every broker has; its address stands in the broker's registration. */
export const CLIENT_LISTENER = 'client';
/** The one for brokers and the operator. */
export const INTERNAL_LISTENER = 'internal';

/** Where clients that come in by a named listener dial a broker. */
export interface ListenerAddress {
  readonly listener: string;
  readonly host: string;
  readonly port: number;
}

/** Longest host of an address: of a name in the DNS. */
const HOST_LENGTH_MAX = 253;

/**
 * What is wrong with the name of a listener, or null. It is part of names of options, of objects
 * and of ports of Kubernetes.
 *
 * @param field how the message calls it
 */
export function listenerNameFault(field: string, name: string): string | null {
  if (name.length > LISTENER_NAME_LENGTH_MAX || !/^[a-z](?:-?[a-z0-9])*$/.test(name))
    return `${field} is "${name}", must be 1 to ${String(LISTENER_NAME_LENGTH_MAX)} of a-z, 0-9 and single "-" inside, a letter first`;
  if (name === CLIENT_LISTENER || name === INTERNAL_LISTENER)
    return `${field} is "${name}", must not be "${CLIENT_LISTENER}" or "${INTERNAL_LISTENER}", which every broker has`;
  return null;
}

/** What is wrong with what a broker says of its listeners, or null. */
export function addressesFault(addresses: readonly ListenerAddress[]): string | null {
  if (addresses.length > LISTENERS_MAX)
    return `listeners are ${String(addresses.length)}, must be at most ${String(LISTENERS_MAX)}`;
  for (const [index, { listener, host, port }] of addresses.entries()) {
    const fault = listenerNameFault('listener', listener) ?? hostFault(host);
    if (fault !== null) return fault;
    if (!Number.isInteger(port) || port < 1 || port > PORT_MAX)
      return `port of listener "${listener}" is ${String(port)}, must be 1 to ${String(PORT_MAX)}`;
    if (addresses.findIndex((other) => other.listener === listener) !== index)
      return `listener "${listener}" stands twice, must stand once`;
  }
  return null;
}

/** What is wrong with a host that clients are to dial, or null. */
export function hostFault(host: string): string | null {
  // A name, an IPv4 address, or an IPv6 address without its brackets.
  const isHost =
    /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?|[0-9a-fA-F]*(?::[0-9a-fA-F.]*){2,7})$/;
  if (host.length <= HOST_LENGTH_MAX && isHost.test(host)) return null;
  return `host is "${host.slice(0, HOST_LENGTH_MAX)}", must be a host name or an address of at most ${String(HOST_LENGTH_MAX)} characters`;
}

/** In order of names: what two brokers say alike is alike. */
export function ordered(addresses: readonly ListenerAddress[]): readonly ListenerAddress[] {
  return addresses.toSorted((left, right) => (left.listener < right.listener ? -1 : 1));
}

/** Whether both say the same. In order of names. */
export function areSame(
  left: readonly ListenerAddress[],
  right: readonly ListenerAddress[],
): boolean {
  return (
    left.length === right.length &&
    left.every(({ listener, host, port }, index) => {
      const other = right[index];
      return other?.listener === listener && other.host === host && other.port === port;
    })
  );
}
