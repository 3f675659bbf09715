/** How this broker's own registration stands in committed metadata (rule 17). Pure. */
import { areSame, type ListenerAddress, ordered } from '../../../base/listeners.ts';
import type { BrokerEpoch, BrokerId } from '../../../base/units.ts';
import { hasLevel, LEVEL_OF_LISTENERS } from '../../metadata/features.ts';
import type { MetadataImage, ProcessStart } from '../../metadata/types.ts';
import type { BrokerOptions } from '../options.ts';

/**
 * `waiting`: metadata here has not come so far. `held`: the broker is registered by this start,
 * under `brokerEpoch`. `superseded`: a later registration took its place, and nobody named its
 * start: it may be a repeated request of this one. `displaced`: another start has the place, or
 * nobody has.
 */
export type Standing =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'held'; readonly brokerEpoch: BrokerEpoch }
  | { readonly kind: 'superseded' }
  | { readonly kind: 'displaced'; readonly reason: string };

/** @param brokerEpoch as the controller answered the registration of `start` */
export function standingOf(
  image: MetadataImage,
  brokerId: BrokerId,
  start: ProcessStart,
  brokerEpoch: BrokerEpoch,
): Standing {
  if (image.lastBrokerEpoch < brokerEpoch) return { kind: 'waiting' };
  const present = image.brokers.get(brokerId);
  if (present === undefined)
    return { kind: 'displaced', reason: `broker ${brokerId} was removed from the cluster` };
  // Two registrations may come with one entry of the log: the epoch alone would miss its own.
  if (present.start?.id === start.id || present.brokerEpoch === brokerEpoch)
    return { kind: 'held', brokerEpoch: present.brokerEpoch };
  if (present.brokerEpoch < brokerEpoch) return { kind: 'waiting' };
  if (present.start === undefined) return { kind: 'superseded' };
  const reason = `broker epoch ${present.brokerEpoch} of another start took the place of broker epoch ${brokerEpoch}`;
  return { kind: 'displaced', reason };
}

/**
 * What this broker has to say of where its named listeners are dialled: all of them, where metadata
 * says otherwise and the feature level lets it be told. Null: nothing.
 */
export function newAddresses(
  image: MetadataImage,
  { brokerId, listenerAddresses }: Pick<BrokerOptions, 'brokerId' | 'listenerAddresses'>,
): readonly ListenerAddress[] | null {
  const known = image.brokers.get(brokerId)?.listeners ?? [];
  const stated = ordered(listenerAddresses());
  return !hasLevel(image, LEVEL_OF_LISTENERS) || areSame(stated, known) ? null : stated;
}
