/** The log that one partition of `__queues` is, folded. Its rules are those of `broker/queues`. */
import { bytesOf, emptyQueues, fold, type QueuesImage } from '../../queues/fold.ts';
import { decodeRecord, encodeRecord, type QueuesRecord } from '../../queues/records.ts';
import type { FoldCodec, FoldedLog } from '../folded/folded-log.ts';

/** States and changes of queues in one partition of `__queues`. */
export type QueuesLog = FoldedLog<QueuesImage, QueuesRecord>;

export const QUEUES_CODEC: FoldCodec<QueuesImage, QueuesRecord> = {
  empty: emptyQueues,
  fold,
  decode: decodeRecord,
  encode: encodeRecord,
  bytes: bytesOf,
};
