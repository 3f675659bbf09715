/** Decisions about one partition, from the topic in which they are kept, if there is one. */
import { DECISIONS_TOPIC, type KeptDecision, readKeptDecision } from '../../base/kept-decisions.ts';
import { BrokerError } from '../../base/errors.ts';
import { type Tidemark, TidemarkError } from '../index.ts';

export interface Kept {
  /** In the order in which they were appended: an entry may come twice. */
  readonly decisions: readonly KeptDecision[];
  /** Least entry of any partition that is kept. */
  readonly from: number;
}

/**
 * Reads the whole topic, which its retention bounds; null: there is none, or nothing of use in it.
 * A record that nobody who controls wrote is passed over.
 */
export async function readKept(
  cluster: Tidemark,
  { topicId, partition }: { readonly topicId: string; readonly partition: number },
  signal: AbortSignal,
): Promise<Kept | null> {
  const decisions: KeptDecision[] = [];
  let from = Infinity;
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
      if (decision === null) continue;
      from = Math.min(from, decision.index);
      if (decision.topicId === topicId && decision.partition === partition)
        decisions.push(decision);
    }
  } catch (error) {
    const isNone = error instanceof TidemarkError && error.code === 'UNKNOWN_TOPIC';
    if (!isNone) throw error;
  }
  return from === Infinity ? null : { decisions, from };
}

function decisionIn(value: Uint8Array | null): KeptDecision | null {
  try {
    return value === null ? null : readKeptDecision(new TextDecoder().decode(value));
  } catch (error) {
    if (error instanceof BrokerError) return null;
    throw error;
  }
}
