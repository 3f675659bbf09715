/**
 * The producers of a log as recovery left them: what was saved, and the batches that came after it
 * (rule 20). Without anything saved nobody knows who wrote below the log start.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { MonotonicMs, Offset } from '../../../base/units.ts';
import { ProducerTable } from '../../replication/producers.ts';
import type { PartitionLog } from '../ports.ts';

export function recoverProducers(
  log: PartitionLog,
  producersMax: number,
  nowMs: MonotonicMs,
): ProducerTable {
  const table = new ProducerTable({ producersMax, nowMs });
  const { snapshot, headers, state } = log.recovery;
  if (snapshot === null) table.clear(state.startOffset);
  else restore(table, snapshot);
  for (const header of headers) table.apply(header);
  return table;
}

/** A snapshot that cannot be read tells nothing of what stands below it: nobody knows who wrote. */
function restore(
  table: ProducerTable,
  snapshot: { readonly offset: Offset; readonly text: string },
): void {
  try {
    table.restore(snapshot.text);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    table.clear(snapshot.offset);
    table.forgetBeginning();
  }
}
