/** Where a log starts, as brokers tell each other. */
import type { LogStart as LogStartMessage } from '../../proto/gen/tidemark/internal/v1/replication.ts';
import type { LogStart } from '../replication/types.ts';

/** What is not said is 0 on the wire. */
export function startToMessage(start: LogStart): LogStartMessage {
  return { tombstonesBelow: 0, ...start };
}
