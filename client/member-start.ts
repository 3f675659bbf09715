/** What members of groups and of queues do before they join, and when a signal ends them. */
import { hostname } from 'node:os';
import { basename } from 'node:path';
import type { CallControl } from './abort.ts';
import type { Cluster } from './cluster.ts';
import { TidemarkError } from './errors.ts';

const LEVEL_TIMEOUT_MS = 5_000;

/** Rejects with REFUSED where the cluster is below a feature level. @param doing as in messages */
export async function requireLevel(cluster: Cluster, needed: number, doing: string): Promise<void> {
  const level = await cluster.lookUpFeatureLevel(LEVEL_TIMEOUT_MS);
  if (level >= needed) return;
  throw new TidemarkError(
    'REFUSED',
    `Cannot ${doing}: it needs feature level ${needed}, the cluster is at ${level}`,
  );
}

/** The signal ends the member in order. Returns the way to stop that. */
export function endOnAbort(run: { finish(): Promise<void> }, { signal }: CallControl): () => void {
  const onAbort = (): void => void run.finish();
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  return () => signal?.removeEventListener('abort', onAbort);
}

/** Program, process and host, as a list of members shows them. */
export function program(): string {
  const name = basename(process.argv[1] ?? process.title);
  return `${name} ${process.pid} on ${hostname()}`.slice(0, 200);
}
