/**
 * How many metadata voters a cluster has: the controller aims at it, and the launcher waits for it.
 */

/**
 * Largest odd number of voters that so many brokers allow: two brokers get one voter, since two
 * cannot lose either.
 */
export function votersWanted(brokers: number, votersMax: number): number {
  const bound = Math.min(brokers, votersMax);
  return bound % 2 === 1 ? bound : Math.max(1, bound - 1);
}
