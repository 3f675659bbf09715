/** What an append expects of the log, as calls and streams state it. Knows no log. */
import type { ExpectedEnd as ExpectedEndMessage } from '../../proto/gen/tidemark/v1/log.ts';
import type { AckLevel, ExpectedEnd } from '../replication/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { refuse } from '../messages/fields.ts';

type Condition = { readonly $case: 'expectedEnd'; readonly value: ExpectedEndMessage } | undefined;

/**
 * The end that is expected; absent: none. Throws INVALID_ARGUMENT where less than a commit would be
 * acknowledged, and REFUSED below the level at which every broker judges it: a leader of an older
 * build would append in any case.
 */
export function expectedEndField(
  condition: Condition,
  ack: AckLevel,
  broker: Pick<BrokerApi, 'requireExpectedEnds'>,
): ExpectedEnd | undefined {
  if (condition === undefined) return undefined;
  if (ack !== 'all') refuse('acks', ack, 'ACK_LEVEL_ALL where expected_end is stated');
  broker.requireExpectedEnds();
  const { offset, leaderEpoch } = condition.value;
  return { offset, leaderEpoch };
}
