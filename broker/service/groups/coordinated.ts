/**
 * Brings a call about a group to the group's coordinator, the leader of its partition of
 * `__groups`, wherever that is; makes the topic when somebody first needs it. A refusal that says
 * that nothing was done, and that the same may succeed later, is tried again within the deadline.
 */
import type { MethodDefinition } from '@grpc/grpc-js';
import { BrokerError } from '../../../base/errors.ts';
import { GROUPS_TOPIC } from '../../../base/internal-topics.ts';
import { partitionOfGroup } from '../../runtime/groups/groups-host.ts';
import { expected, type ReportDefect } from '../../messages/handlers.ts';
import { Backoff, type Cluster, imageChangeOr, isRetriable } from '../cluster.ts';
import { topicNamed } from '../decisions.ts';
import { internalTopic } from '../internal-topic.ts';

export interface GroupParts {
  readonly cluster: Cluster;
  /** For the id of the topic, if it is to be made. */
  readonly newUuid: () => string;
  readonly report: ReportDefect;
}

/** A call on its way. */
export interface Onwards {
  readonly deadlineMs: number;
  readonly principal: string;
  /** Another broker handed it on: this one is the coordinator, or refuses. */
  readonly isForwarded: boolean;
  /** Nobody waits for the answer any more. */
  readonly isGone: () => boolean;
}

export interface GroupCall<Request, Response> {
  readonly group: string;
  readonly method: MethodDefinition<Request, Response>;
  readonly request: Request;
  /** Answers as the coordinator. */
  readonly here: (deadlineMs: number) => Promise<Response> | Response;
  /** What the call is answered where there is no topic of groups yet; absent: it is made. */
  readonly whereNone?: () => Response;
}

/**
 * Throws QUEUE_EXISTS where a queue has the name: whoever reads by it would not know what it is.
 */
export function refuseNameOfQueue({ broker }: Cluster, group: string): void {
  if (broker.image().queueIdsByName.has(group))
    throw new BrokerError('QUEUE_EXISTS', `Group "${group}" cannot be: a queue has this name`);
}

/**
 * Rejects with the coordinator's refusal, and with OUTCOME_UNKNOWN for a change at its deadline.
 */
export async function askCoordinator<Request, Response>(
  parts: GroupParts,
  call: GroupCall<Request, Response>,
  { deadlineMs, principal, isForwarded, isGone }: Onwards,
): Promise<Response> {
  const { cluster, report } = parts;
  const { clock, broker } = cluster;
  if (isForwarded) return within(cluster, deadlineMs, call.here(deadlineMs));
  const untilMs = clock.monotonicMs() + deadlineMs;
  const backoff = new Backoff();
  for (;;) {
    const leftMs = Math.max(1, untilMs - clock.monotonicMs());
    try {
      cluster.requireMetadata();
      if (call.whereNone !== undefined && topicNamed(broker.image(), GROUPS_TOPIC) === undefined)
        return call.whereNone();
      const topicId = await internalTopic(parts, GROUPS_TOPIC, leftMs);
      const coordinator = cluster.leader(topicId, partitionOfGroup(call.group));
      if (cluster.isSelf(coordinator)) return await within(cluster, leftMs, call.here(leftMs));
      const onwards = { deadlineMs: leftMs, principal };
      return await cluster.forward(coordinator, call.method, call.request, onwards);
    } catch (thrown) {
      const error = expected(thrown, report);
      const restMs = untilMs - clock.monotonicMs();
      if (!isRetriable(error) || error.effect !== 'none' || restMs <= 0) throw error;
      // What waits here would only be more.
      if (error.code === 'OVERLOADED' || isGone()) throw error;
      await imageChangeOr(broker, Math.min(backoff.nextMs(), restMs));
    }
  }
}

/**
 * Waits no longer than its caller, whatever becomes of it: then it rejects with OUTCOME_UNKNOWN.
 */
export function within<T>(
  { clock }: Cluster,
  deadlineMs: number,
  answer: Promise<T> | T,
): Promise<T> {
  if (!(answer instanceof Promise)) return Promise.resolve(answer);
  return new Promise((resolve, reject) => {
    const cancel = clock.after(deadlineMs, () => {
      reject(
        new BrokerError(
          'OUTCOME_UNKNOWN',
          'The deadline passed before the change was committed; it may be repeated',
        ),
      );
    });
    void answer.then(resolve, reject).finally(cancel);
  });
}
