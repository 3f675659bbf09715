/**
 * Topics that follow the default of the cluster: where nobody chose a minInSyncReplicas for a
 * topic, it changes with the setting. Like a change by hand it is lowered at once, and raised once
 * every sync set satisfies it (rule 8); until then the topic keeps what it has. Pure.
 */
import type { BrokerView } from '../leader-election.ts';
import type { MetadataImage, MetadataRecord } from '../types.ts';
import { changeMin, defaultsOf, type TopicLimits } from './topics.ts';

/** Topics that change at one look: with 2,000 partitions each, many proposals. */
export const FOLLOWERS_PER_LOOK_MAX = 20;

/** Records that bring followers to the default, as far as they can have it now. */
export function followDefaults(
  image: MetadataImage,
  view: BrokerView,
  limits: TopicLimits,
): MetadataRecord[] {
  const { minInSyncReplicas } = defaultsOf(image, limits);
  const records: MetadataRecord[] = [];
  let changes = 0;
  for (const topic of image.topics.values()) {
    if (topic.followsMin !== true || topic.config.minInSyncReplicas === minInSyncReplicas) continue;
    // It could never take an append (rule 8), so it keeps what it has.
    if (topic.replicationFactor < minInSyncReplicas) continue;
    const verdict = changeMin(topic, minInSyncReplicas, view);
    if (verdict.shortfall !== null) continue;
    records.push(...verdict.records);
    changes += 1;
    if (changes === FOLLOWERS_PER_LOOK_MAX) break;
  }
  return records;
}
