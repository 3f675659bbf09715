/**
 * Which loss reports a reader comes across (P11). Pure: knows reports and one log's epochs, not
 * where the reader is served.
 */
import type { LeaderEpoch, Offset } from '../../../base/units.ts';
import type { LossReport } from '../../metadata/types.ts';

/** A report, and where the log goes on behind it. */
export interface CrossedLoss {
  readonly report: LossReport;
  /** End of what the log kept of epochs before the report's. */
  readonly toOffset: Offset;
}

/** Where a reader stands, and how far it goes on. */
export interface ReaderWay {
  readonly offset: Offset;
  /** Epoch of the record before `offset`; 0: not stated. */
  readonly epoch: LeaderEpoch;
  /** Epoch of the last record that it is given. */
  readonly upToEpoch: LeaderEpoch;
}

/** What the log says of epochs. */
export interface LogEpochs {
  readonly logEnd: Offset;
  /** Epoch of the batch before an offset, or of the one it lies in; 0: none, or nobody knows. */
  epochBefore(offset: Offset): LeaderEpoch;
  /** End of what the log holds of an epoch and earlier ones. */
  endOf(epoch: LeaderEpoch): Offset;
}

/**
 * Those of a partition's reports whose epoch lies behind the reader's and within its way, oldest
 * first. A reader that states no epoch has that of the log at its offset; beyond the end of the log
 * there is none, and every range that reaches there may have held what it read.
 */
export function crossedLosses(
  reports: readonly LossReport[],
  { offset, epoch, upToEpoch }: ReaderWay,
  log: LogEpochs,
): readonly CrossedLoss[] {
  const isBeyond = epoch === 0 && offset > log.logEnd;
  const since = epoch === 0 ? log.epochBefore(offset) : epoch;
  return reports
    .filter(({ leaderEpoch, fromOffset }) => {
      const isBehind = isBeyond ? fromOffset < offset : leaderEpoch > since;
      return isBehind && leaderEpoch <= upToEpoch;
    })
    .sort((left, right) => left.leaderEpoch - right.leaderEpoch)
    .map((report) => ({ report, toOffset: log.endOf(report.leaderEpoch - 1) }));
}
