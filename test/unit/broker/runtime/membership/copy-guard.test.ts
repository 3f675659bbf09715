import { describe, expect, it } from 'vitest';
import { encodeRecords } from '../../../../../broker/metadata/codec.ts';
import type { Durable } from '../../../../../broker/raft/types.ts';
import { refuseCopy } from '../../../../../broker/runtime/membership/copy-guard.ts';
import type { Address, NodeInfo, Peers } from '../../../../../broker/runtime/ports.ts';

const META = { formatVersion: 1, clusterId: 'c', brokerId: 2, directoryId: 'd' } as const;

function registeredAt(...ports: readonly number[]): Durable {
  return registered(ports.map((port) => ({ port })));
}

/** A log in which broker 2 registered at each of these places, one after another. */
function registered(
  places: readonly { readonly port: number; readonly internal?: Address }[],
): Durable {
  const entries = places.map((place, at) => ({
    index: at + 1,
    term: 1,
    kind: 'data' as const,
    data: encodeRecords([
      {
        kind: 'broker-registered',
        brokerId: 2,
        brokerEpoch: at + 1,
        directoryId: 'd',
        host: 'h',
        ...place,
        rack: 'r',
        restartClass: 'new',
        featureLevelMax: 1,
      },
    ]),
  }));
  return { hardState: { term: 1, vote: null }, snapshot: null, entries };
}

function at(port: number, holder: NodeInfo | null, asked: Address[] = []) {
  const peers = {
    probe: (address: Address) => {
      asked.push(address);
      return Promise.resolve(holder);
    },
  } as unknown as Peers;
  const internalAdvertised = { host: 'h', port };
  return { brokerId: 2, advertised: { host: 'h', port: 9 }, internalAdvertised, peers };
}

const HOLDER: NodeInfo = {
  brokerId: 2,
  directoryId: 'd',
  clusterId: 'c',
  brokerEpoch: 7,
  controller: 1,
  controllerAddress: null,
};

describe('refuseCopy()', () => {
  it('refuses a directory whose broker answers at the address that it was registered with last', async () => {
    await expect(refuseCopy(at(5, HOLDER), META, registeredAt(3, 4))).rejects.toThrow(
      'Cannot start broker 2 at h:9: directory d is in use by the broker at h:4 (broker epoch 7), so this is a copy of it; ' +
        'stop that broker to go on with the copy, or start here with an empty directory',
    );
  });

  it.each([
    { name: 'nobody answers there', holder: null },
    {
      name: 'a broker on another directory answers there',
      holder: { ...HOLDER, directoryId: 'e' },
    },
  ])('lets a broker move to another address where $name', async ({ holder }) => {
    await expect(refuseCopy(at(5, holder), META, registeredAt(4))).resolves.toBeUndefined();
  });

  it('asks where brokers dial, which may be elsewhere than clients do', async () => {
    const asked: Address[] = [];
    const internal = { host: 'i', port: 4 };
    const start = refuseCopy(at(5, HOLDER, asked), META, registered([{ port: 3, internal }]));
    await expect(start).rejects.toThrow('is in use by the broker at h:3 (broker epoch 7)');
    expect(asked).toEqual([internal]);
  });

  it('asks nobody where the address is the same, or none is known', async () => {
    const asked: Address[] = [];
    await refuseCopy(at(4, HOLDER, asked), META, registeredAt(4));
    await refuseCopy(at(4, HOLDER, asked), META, registeredAt());
    expect(asked).toEqual([]);
  });
});
