/** Who says how many copies there must be in sync: a topic, or the default, which it may follow. */
import { MIN_OF_CLUSTER } from '../../../base/units.ts';
import { TOPIC_CONFIG_DEFAULTS } from '../../../broker/metadata/config.ts';
import type { ControllerRequest } from '../../../broker/metadata/controller-types.ts';
import type { MetadataImage } from '../../../broker/metadata/types.ts';
import type { Random } from '../../../base/random.ts';

const MIN_MAX = 3;

/** Another minimum for the topic, none of its own, or another default. */
export function changedMinimum(random: Random): ControllerRequest {
  const min = 1 + random.below(MIN_MAX);
  const what = random.pick(['chosen', 'followed', 'default'] as const);
  if (what === 'default')
    return { kind: 'set-settings', settings: { topicDefaults: { minInSyncReplicas: min } } };
  return {
    kind: 'alter-topic',
    name: 't',
    partitions: 0,
    replicationFactor: 0,
    waitMs: random.pick([0, 5000]),
    config: { minInSyncReplicas: what === 'followed' ? MIN_OF_CLUSTER : min },
  };
}

/** A topic that follows has what it follows once all is healed, where that fits it. */
export function requireFollowed(image: MetadataImage): void {
  const { minInSyncReplicas = TOPIC_CONFIG_DEFAULTS.minInSyncReplicas } =
    image.settings.topicDefaults;
  for (const { name, followsMin, config, replicationFactor, partitions } of image.topics.values()) {
    // A partition that nobody can lead has no sync set to judge by.
    const isWhole = partitions.every(({ leader }) => leader !== -1);
    const isBound = followsMin === true && replicationFactor >= minInSyncReplicas && isWhole;
    if (isBound && config.minInSyncReplicas !== minInSyncReplicas)
      throw new Error(
        `topic ${name} follows minInSyncReplicas ${String(minInSyncReplicas)} and has ${String(config.minInSyncReplicas)}`,
      );
  }
}
