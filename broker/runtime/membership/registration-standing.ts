/** How this broker's own registration stands in committed metadata (rule 17). Pure. */
import type { BrokerEpoch, BrokerId } from '../../../base/units.ts';
import type { MetadataImage, ProcessStart } from '../../metadata/types.ts';

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
