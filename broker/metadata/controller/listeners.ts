/**
 * Where a broker's named listeners are dialled, as it says by its heartbeats: an address may become
 * known, or another one, long after the broker registered. Below the feature level it says so in
 * vain, again and again, until the level is reached (docs/rules.md#listeners).
 */
import { areSame, ordered } from '../../../base/listeners.ts';
import type { HeartbeatRequest } from '../controller-types.ts';
import { hasLevel, LEVEL_OF_LISTENERS } from '../features.ts';
import type { BrokerState, MetadataImage, MetadataRecord } from '../types.ts';

/** What the heartbeat of this broker changes of its addresses: nothing, or one record. */
export function listenerRecords(
  image: MetadataImage,
  broker: BrokerState,
  { listeners }: HeartbeatRequest,
): MetadataRecord[] {
  if (listeners === undefined || !hasLevel(image, LEVEL_OF_LISTENERS)) return [];
  const stated = ordered(listeners);
  if (areSame(stated, broker.listeners ?? [])) return [];
  const { brokerId, brokerEpoch } = broker;
  return [{ kind: 'broker-listeners', brokerId, brokerEpoch, listeners: stated }];
}
