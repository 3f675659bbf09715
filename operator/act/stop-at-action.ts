/**
 * For tests alone: ends the process before its n-th action, so that every point at which an
 * operator can die is tried on a real cluster.
 */

/** @param count actions until then; null: never */
export function stopAtAction(count: number | null, exit: () => never): () => void {
  let left = count ?? Number.POSITIVE_INFINITY;
  return () => {
    left -= 1;
    if (left < 0) exit();
  };
}
