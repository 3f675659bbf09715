/** Where a broker listens, in the spelling that options, metadata and gRPC share. */

/** `host:port`; the host of an IPv6 address stands in brackets. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
