/** What assignors take and give. */
import type { PartitionKey, TopicId } from '../../../../base/units.ts';

/** A member, as an assignor sees it. */
export interface Assignee {
  readonly memberId: string;
  readonly instanceId: string;
  readonly rack: string;
  /** Topics that it subscribes to. Those who subscribe to the same share one set. */
  readonly topics: ReadonlySet<TopicId>;
  /** Its last target: what it keeps if nothing speaks against it. */
  readonly previous: ReadonlySet<PartitionKey>;
  /** What it has now. Decides where two have the same in their targets. */
  readonly held: ReadonlyMap<PartitionKey, unknown>;
}

/** Targets by member. */
export type Targets = Map<string, Set<PartitionKey>>;
