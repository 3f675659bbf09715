/** The log that one partition of `__groups` is, folded. Its rules are those of `broker/groups`. */
import type { BrokerError } from '../../../base/errors.ts';
import type { Clock } from '../../../base/clock.ts';
import type { OnFact } from '../../../base/events.ts';
import { emptyGroups, fold, type GroupsImage } from '../../groups/fold.ts';
import { decodeRecord, encodeRecord, type GroupsRecord } from '../../groups/records.ts';
import { type FoldCodec, FoldedLog, type FoldedReplica } from '../folded/folded-log.ts';
import type { TextRecords } from '../ports.ts';

/** A coordinator of groups. */
export type Coordinator = FoldedLog<GroupsImage, GroupsRecord>;

const CODEC: FoldCodec<GroupsImage, GroupsRecord> = {
  empty: emptyGroups,
  fold,
  decode: decodeRecord,
  encode: encodeRecord,
  bytes: ({ bytes }) => bytes,
};

export interface CoordinatorParts {
  readonly clock: Clock;
  readonly records: TextRecords;
  readonly onFact: OnFact;
  /** P9: what the log holds is damaged. */
  readonly onDamage: (error: BrokerError) => void;
}

export function openCoordinator(replica: FoldedReplica, parts: CoordinatorParts): Coordinator {
  const { onFact, ...rest } = parts;
  const onUnreadable = (reason: string): void => {
    onFact('groups-unreadable', { partition: replica.name, reason });
  };
  return new FoldedLog(replica, { ...rest, codec: CODEC, what: 'groups', onUnreadable });
}
