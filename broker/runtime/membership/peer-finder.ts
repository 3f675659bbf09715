/**
 * Learns who stands at the seeds' addresses while the controller does not hear this broker, and
 * tells the network where every broker can be dialled. A controller may be known and not be
 * reached: its messages arrive here, while its address does not stand in metadata that is old or
 * not yet read. So brokers at the seeds say where it is, which need not be at one of them. Knows
 * nothing of what is said to those brokers.
 */
import type { Cancel, Clock } from '../../../base/clock.ts';
import type { BrokerId } from '../../../base/units.ts';
import type { MetadataImage } from '../../metadata/types.ts';
import type { Address, NodeInfo, Peers } from '../ports.ts';
import { AddressBook, type MetBroker } from './address-book.ts';
import { askAll } from './formation.ts';

/** Pause between looks at the seeds. */
const FIND_PEERS_MS = 200;

export interface PeerFinderOptions {
  readonly self: BrokerId;
  readonly clusterId: string;
  /** Other brokers' addresses, as configured; may contain this broker's own. */
  readonly seeds: readonly Address[];
  readonly clock: Clock;
  readonly peers: Pick<Peers, 'probe' | 'setAddresses'>;
  readonly image: () => MetadataImage;
  /** The controller is known and answers this broker: nobody needs to be found. */
  readonly isHeard: () => boolean;
  /** Brokers of this cluster that answered: at least one. */
  readonly onFound: (mates: readonly NodeInfo[]) => void;
}

export class PeerFinder {
  readonly #options: PeerFinderOptions;
  readonly #addresses: AddressBook;
  #isClosed = false;
  #cancel: Cancel = () => {};

  constructor(options: PeerFinderOptions) {
    this.#options = options;
    this.#addresses = new AddressBook(options.self);
  }

  start(): void {
    this.#look();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  /** Tells the network where this image's brokers are, and those that were met elsewhere since. */
  publish(image: MetadataImage): void {
    this.#options.peers.setAddresses(this.#addresses.all(image));
  }

  #look(): void {
    const { clock } = this.#options;
    const again = (): void => {
      if (this.#isClosed) return;
      this.#cancel = clock.after(FIND_PEERS_MS, () => {
        this.#look();
      });
    };
    this.#find().then(again, again);
  }

  async #find(): Promise<void> {
    const { self, clusterId, seeds, peers, image, isHeard, onFound } = this.#options;
    if (isHeard()) return;
    const infos = await askAll(peers, seeds, self);
    const mates = infos.filter((info) => info.clusterId === clusterId);
    if (mates.length === 0) return;
    // Whoever was met in person counts more than what others say of it.
    this.#addresses.met([...controllersOf(mates), ...mates], image());
    this.publish(image());
    onFound(mates);
  }
}

function controllersOf(mates: readonly NodeInfo[]): MetBroker[] {
  return mates.flatMap(({ controller: brokerId, controllerAddress: address }) =>
    address === null ? [] : [{ brokerId, address }],
  );
}
