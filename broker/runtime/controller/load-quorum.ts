/** What a broker's quorum takes part with: the durable state and the identity that goes with it. */
import { BrokerError } from '../../../base/errors.ts';
import type { Durable } from '../../raft/types.ts';
import type { BrokerOptions } from '../options.ts';
import type { DirectoryMeta } from '../ports.ts';

/**
 * A damaged quorum log may hide a vote: such a directory returns as a learner, under another id
 * (docs/rules.md#metadata-quorum).
 */
export async function loadQuorum(
  options: BrokerOptions,
  meta: DirectoryMeta,
): Promise<{ readonly durable: Durable; readonly directoryId: string }> {
  const { disk, newUuid, onFact } = options;
  try {
    return { durable: await disk.quorum.load(), directoryId: meta.directoryId };
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'DATA_CORRUPT') throw error;
    const directoryId = newUuid();
    onFact('quorum-log-damaged', { reason: error.message, directoryId });
    await disk.renew(directoryId);
    return { durable: await disk.quorum.load(), directoryId };
  }
}
