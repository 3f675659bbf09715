/** Topics of the cluster's own, for whoever needs one: made when it is not there. */
import { assert } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { TopicId } from '../../base/units.ts';
import type { Cluster } from './cluster.ts';
import { imageWithin, topicNamed } from './decisions.ts';

/** One try to have the topic made; whoever waits tries again within its own deadline. */
const MAKE_DEADLINE_MS = 5_000;

export interface TopicMaker {
  readonly cluster: Cluster;
  /** For the id of the topic, if it is to be made. */
  readonly newUuid: () => string;
}

/** Its id. Only the controller knows that it is not there. */
export async function internalTopic(
  { cluster, newUuid }: TopicMaker,
  name: string,
  deadlineMs: number,
): Promise<TopicId> {
  const { broker } = cluster;
  const present = topicNamed(broker.image(), name);
  if (present !== undefined) return present.topicId;
  const request = { kind: 'make-internal-topic', topicId: newUuid(), name } as const;
  const waitMs = Math.min(MAKE_DEADLINE_MS, deadlineMs);
  try {
    await broker.decide(request, waitMs);
  } catch (error) {
    // Whatever became of the request, it may be made again, and nothing else was asked for yet.
    if (!(error instanceof BrokerError) || error.effect === 'none') throw error;
    throw new BrokerError(
      'BROKER_NOT_READY',
      `There is no topic "${name}" yet: ${error.message}`,
      {},
      error,
    );
  }
  const image = await imageWithin(broker, (seen) => topicNamed(seen, name) !== undefined, waitMs);
  const made = topicNamed(image, name);
  if (made === undefined)
    throw new BrokerError('BROKER_NOT_READY', `There is no topic "${name}" here yet`);
  assert(made.partitions.length > 0, 'a topic has partitions');
  return made.topicId;
}
