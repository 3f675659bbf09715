import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { PeerFinder } from '../../../../../broker/runtime/membership/peer-finder.ts';
import type { Address, NodeInfo } from '../../../../../broker/runtime/ports.ts';
import { FakeCluster } from '../../service/fake-broker.ts';
import { FakeClock } from '../fake-clock.ts';

const CLUSTER_ID = 'cluster-1';
const SEED: Address = { host: 'seed', port: 1 };
/** More than the pause between two looks. */
const PAUSE_MS = 300;

function infoOf(brokerId: number, clusterId = CLUSTER_ID): NodeInfo {
  return {
    brokerId,
    clusterId,
    directoryId: `directory-${brokerId}`,
    brokerEpoch: 1,
    controller: -1,
    controllerAddress: null,
  };
}

/** Broker 1 with one seed, at which `answer` says who stands there. */
class Scene {
  readonly clock = new FakeClock();
  readonly finder: PeerFinder;
  readonly found: number[] = [];
  addresses: ReadonlyMap<number, Address> = new Map();
  isHeard = false;
  probes = 0;

  constructor(answer: () => NodeInfo | null) {
    const image = { ...new FakeCluster().image, brokers: new Map() };
    this.finder = new PeerFinder({
      self: 1,
      clusterId: CLUSTER_ID,
      seeds: [SEED],
      clock: this.clock,
      peers: {
        probe: async () => {
          this.probes += 1;
          return answer();
        },
        setAddresses: (addresses) => {
          this.addresses = addresses;
        },
      },
      image: () => image,
      isHeard: () => this.isHeard,
      onFound: (mates) => this.found.push(...mates.map(({ brokerId }) => brokerId)),
    });
  }

  async look(): Promise<void> {
    await setImmediate();
    this.clock.advance(PAUSE_MS);
    await setImmediate();
  }
}

describe('PeerFinder', () => {
  it('tells who was found, and the network where', async () => {
    const scene = new Scene(() => infoOf(2));
    scene.finder.start();
    await setImmediate();
    expect(scene.found).toEqual([2]);
    expect([...scene.addresses]).toEqual([[2, SEED]]);
  });

  it('learns where the controller is, which stands at no seed', async () => {
    const controllerAddress = { host: 'controller', port: 2 };
    const scene = new Scene(() => ({ ...infoOf(2), controller: 3, controllerAddress }));
    scene.finder.start();
    await setImmediate();
    expect(scene.found).toEqual([2]);
    expect(new Map(scene.addresses)).toEqual(
      new Map([
        [2, SEED],
        [3, controllerAddress],
      ]),
    );
  });

  it('goes by whom it met, not by what others say of that one', async () => {
    const elsewhere = { host: 'elsewhere', port: 2 };
    const scene = new Scene(() => ({ ...infoOf(2), controller: 2, controllerAddress: elsewhere }));
    scene.finder.start();
    await setImmediate();
    expect([...scene.addresses]).toEqual([[2, SEED]]);
  });

  it.each([
    { name: 'is of another cluster', answer: () => infoOf(2, 'another') },
    { name: 'is this broker itself', answer: () => infoOf(1) },
    { name: 'refuses', answer: () => null },
    {
      name: 'is silent',
      answer: () => {
        throw new Error('no answer');
      },
    },
  ])('looks again where who stands there $name', async ({ answer }) => {
    const scene = new Scene(answer);
    scene.finder.start();
    await scene.look();
    expect({ probes: scene.probes, found: scene.found }).toEqual({ probes: 2, found: [] });
    expect(scene.addresses.size).toBe(0);
  });

  it('asks nobody while the controller hears this broker, and again once it does not', async () => {
    const scene = new Scene(() => infoOf(2));
    scene.isHeard = true;
    scene.finder.start();
    await scene.look();
    const probes = scene.probes;
    scene.isHeard = false;
    await scene.look();
    expect({ before: probes, after: scene.probes }).toEqual({ before: 0, after: 1 });
  });

  it('ends when it is closed, also while it asks', async () => {
    const scene = new Scene(() => infoOf(2));
    scene.finder.start();
    scene.finder.close();
    await scene.look();
    expect(scene.probes).toBe(1);
  });
});
