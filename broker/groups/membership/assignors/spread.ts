/** An assignment in the making, which the steps of an assignor hand on. */
import type { PartitionKey, TopicId } from '../../../../base/units.ts';
import type { Assignee } from './types.ts';
import type { Loads } from './loads.ts';

/** A partition, and who has it. */
export interface Share {
  readonly key: PartitionKey;
  readonly topicId: TopicId;
  readonly racks: readonly string[];
  /** Place of the member in the list; -1: nobody. */
  owner: number;
  /** Who had it before; -1: nobody who may keep it. */
  before: number;
}

/** An assignment in the making. */
export interface Spread {
  readonly assignees: readonly Assignee[];
  readonly loads: Loads;
  readonly byTopic: ReadonlyMap<TopicId, readonly Share[]>;
}

/** Gives a partition to another. */
export function give({ loads }: Spread, share: Share, to: number): void {
  if (share.owner >= 0) loads.add(share.owner, -1);
  share.owner = to;
  loads.add(to, 1);
}
