/** Where a broker listens, in the shape and spelling that options, metadata and gRPC share. */

/** Where a listener can be dialled. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`; the host of an IPv6 address stands in brackets. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Where other brokers dial a broker. A registration that names no address of its own for them has
 * one address for both.
 */
export function internalAddress({
  internal,
  host,
  port,
}: HostPort & { readonly internal?: HostPort }): HostPort {
  return internal ?? { host, port };
}
