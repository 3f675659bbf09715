/** Decisions about one partition, from the topic in which they are kept, if there is one. */
import { DECISIONS_TOPIC, type KeptDecision, readKeptDecision } from '../../base/kept-decisions.ts';
import { BrokerError } from '../../base/errors.ts';
import { type Tidemark, TidemarkError } from '../index.ts';

/**
 * Reads the whole topic, which its retention bounds, into `decisions`, in the order in which they
 * were appended: an entry may come twice. What was read stays where it fails. A record that nobody
 * who controls wrote is passed over.
 */
export async function readKept(
  cluster: Tidemark,
  { topicId, partition }: { readonly topicId: string; readonly partition: number },
  decisions: KeptDecision[],
  signal: AbortSignal,
): Promise<void> {
  try {
    await using consumer = cluster.consumer({
      topic: DECISIONS_TOPIC,
      follow: false,
      onReset: 'earliest',
      onLoss: 'yield',
      onUndecodable: 'skip',
    });
    for await (const item of consumer.records({ signal })) {
      const decision = 'kind' in item ? null : decisionIn(item.value);
      if (decision?.topicId === topicId && decision.partition === partition)
        decisions.push(decision);
    }
  } catch (error) {
    const isNone = error instanceof TidemarkError && error.code === 'UNKNOWN_TOPIC';
    if (!isNone) throw error;
  }
}

function decisionIn(value: Uint8Array | null): KeptDecision | null {
  try {
    return value === null ? null : readKeptDecision(new TextDecoder().decode(value));
  } catch (error) {
    if (error instanceof BrokerError) return null;
    throw error;
  }
}
