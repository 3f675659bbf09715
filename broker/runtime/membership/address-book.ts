/**
 * Where brokers can be dialled: what metadata says, except where a broker was met at a seed's
 * address since it last registered. Without that exception a cluster whose addresses all changed
 * could never elect a controller to tell it the new ones.
 */
import { internalAddress } from '../../../base/host-port.ts';
import type { BrokerEpoch, BrokerId } from '../../../base/units.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { Address, NodeInfo } from '../ports.ts';

/** Somebody says that this broker stands there. */
export type MetBroker = Pick<NodeInfo, 'brokerId'> & { readonly address: Address };

export class AddressBook {
  readonly #self: BrokerId;
  readonly #met = new Map<
    BrokerId,
    { readonly address: Address; readonly registration: BrokerEpoch }
  >();

  constructor(self: BrokerId) {
    this.#self = self;
  }

  /** These brokers answered at these addresses. */
  met(infos: readonly MetBroker[], image: MetadataImage): void {
    for (const { brokerId, address } of infos) {
      this.#met.set(brokerId, {
        address,
        registration: image.brokers.get(brokerId)?.brokerEpoch ?? 0,
      });
    }
  }

  /** Every other broker's address. */
  all(image: MetadataImage): ReadonlyMap<BrokerId, Address> {
    const addresses = new Map<BrokerId, Address>();
    for (const broker of image.brokers.values())
      addresses.set(broker.brokerId, internalAddress(broker));
    for (const [brokerId, { address, registration }] of this.#met) {
      if ((image.brokers.get(brokerId)?.brokerEpoch ?? 0) === registration)
        addresses.set(brokerId, address);
    }
    addresses.delete(this.#self);
    return addresses;
  }
}
