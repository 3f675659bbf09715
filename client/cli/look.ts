/** One look at a whole cluster: metadata, and what every broker says of itself. */
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

/** Of a broker that is well and does not answer this caller. */
const REFUSALS: readonly string[] = ['PERMISSION_DENIED', 'UNAUTHENTICATED'];

/** Colours of health. */
export const HEALTH_COLOURS = { ok: 'green', degraded: 'yellow', failing: 'red' } as const;

/**
 * Asks once. Rejects where no broker answers, or where the caller may not ask; a broker that says
 * nothing of itself within `patienceMs` is taken for silent. `answered` is called once there is
 * metadata, before brokers are asked.
 */
export async function look(
  admin: Admin,
  patienceMs = PATIENCE_MS,
  answered: () => void = () => undefined,
): Promise<ClusterLook> {
  const [cluster, topics] = await Promise.all([admin.describeCluster(), admin.listTopics()]);
  answered();
  const { brokers, controller, losses } = cluster;
  const live = brokers.filter(({ fenced }) => !fenced);
  const signal = AbortSignal.timeout(patienceMs);
  // A broker that died a moment ago is still in the list: the view is worth having without its
  // report.
  const answers = await Promise.allSettled(
    live.map(({ brokerId }) => admin.describeBroker(brokerId, { signal })),
  );
  const reports = new Map<number, DescribeBrokerResponse>();
  for (const answer of answers) {
    if (answer.status === 'fulfilled') reports.set(answer.value.brokerId, answer.value);
    // Who may not ask must not take the brokers for silent.
    else if (REFUSALS.includes(reportOf(answer.reason).code)) throw answer.reason;
  }
  return { cluster, brokers, controller, losses, topics, reports };
}
