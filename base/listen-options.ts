/** What a server listens on. Pure. */

/**
 * For Node's `listen`. `::` is every address of both families: without a host Node takes that
 * itself, and 0.0.0.0 where the kernel has no IPv6.
 */
export function listenOptions(
  host: string,
  port: number,
): { readonly host?: string; readonly port: number } {
  return host === '::' ? { port } : { host, port };
}
