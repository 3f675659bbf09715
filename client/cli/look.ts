/** One look at a whole cluster: metadata, and what every broker says of itself. */
import { setTimeout as pause } from 'node:timers/promises';
import type { DescribeBrokerResponse } from '../../proto/gen/tidemark/v1/admin.ts';
import type { ClusterDescription } from '../admin-types.ts';
import type { Admin } from '../index.ts';
import { reportOf } from './exit.ts';
import type { HealthLook } from './health.ts';

/** What was found. */
export interface ClusterLook extends HealthLook {
  readonly cluster: ClusterDescription;
}

/** Longer than a broker takes to find out that it cannot reach another. */
const PATIENCE_MS = 5_000;

/** Between two questions whether those that say nothing are fenced by now. */
const FENCED_MS = 250;
/** Of a broker that is well and does not answer this caller. */
const REFUSALS: readonly string[] = ['PERMISSION_DENIED', 'UNAUTHENTICATED'];

/** Colours of health. */
export const HEALTH_COLOURS = { ok: 'green', degraded: 'yellow', failing: 'red' } as const;

/**
 * Asks once. Rejects where no broker answers, or where the caller may not ask; a broker that says
 * nothing of itself within `patienceMs`, or that is fenced meanwhile, is taken for silent.
 * `answered` is called once there is metadata, before brokers are asked.
 */
export async function look(
  admin: Admin,
  patienceMs = PATIENCE_MS,
  answered: () => void = () => undefined,
): Promise<ClusterLook> {
  const before = await metadataOf(admin);
  answered();
  const live = before.cluster.brokers.filter(({ fenced }) => !fenced);
  const ids = live.map(({ brokerId }) => brokerId);
  const reports = await reportsOf(admin, ids, patienceMs);
  // A broker that fell silent was waited for: what became of it is in newer metadata.
  const isOld = reports.size < ids.length;
  const { cluster, topics } = isOld ? await metadataOf(admin).catch(() => before) : before;
  const { brokers, controller, losses } = cluster;
  return { cluster, brokers, controller, losses, topics, reports };
}

async function metadataOf(admin: Admin): Promise<Pick<ClusterLook, 'cluster' | 'topics'>> {
  const [cluster, topics] = await Promise.all([admin.describeCluster(), admin.listTopics()]);
  return { cluster, topics };
}

/** What these brokers say, by id; those that say nothing are missing. */
async function reportsOf(
  admin: Admin,
  ids: readonly number[],
  patienceMs: number,
): Promise<Map<number, DescribeBrokerResponse>> {
  const reports = new Map<number, DescribeBrokerResponse>();
  const waiting = new Map(ids.map((id) => [id, new AbortController()]));
  const patience = AbortSignal.timeout(patienceMs);
  const asked = [...waiting].map(async ([id, { signal }]) => {
    try {
      const answer = await admin.describeBroker(id, {
        signal: AbortSignal.any([signal, patience]),
      });
      reports.set(answer.brokerId, answer);
    } catch (error) {
      // Who may not ask must not take the brokers for silent. Of the others the view is worth
      // having without their reports.
      if (REFUSALS.includes(reportOf(error).code)) throw error;
    } finally {
      waiting.delete(id);
    }
  });
  const answers = Promise.all(asked);
  const isOver = answers.then(
    () => true,
    () => true,
  );
  while (!(await Promise.race([isOver, pause(FENCED_MS, false, { ref: false })]))) {
    const cluster = await admin.describeCluster({ signal: patience }).catch(() => null);
    for (const { brokerId, fenced } of cluster?.brokers ?? [])
      if (fenced) waiting.get(brokerId)?.abort();
  }
  await answers;
  return reports;
}
