import { describe, expect, it } from 'vitest';
import { LEVEL_OF_LISTENERS } from '../../../../../broker/metadata/features.ts';
import {
  newAddresses,
  standingOf,
} from '../../../../../broker/runtime/membership/registration-standing.ts';
import { brokerState, imageOf } from '../../metadata/fixtures.ts';

const OWN = { id: 'own', number: 4 };
const OTHER = { id: 'other', number: 5 };

describe('standingOf()', () => {
  it.each([
    { name: 'metadata has not come so far', epoch: 9, brokers: [brokerState(1)], kind: 'waiting' },
    {
      name: 'metadata shows the epoch',
      epoch: 2,
      brokers: [brokerState(1, { start: OWN })],
      kind: 'held',
    },
    {
      name: 'two registrations of this start came with one entry',
      epoch: 2,
      brokers: [brokerState(1, { brokerEpoch: 3, start: OWN })],
      kind: 'held',
    },
    {
      name: 'a build that names no start let a second one in',
      epoch: 2,
      brokers: [brokerState(1, { brokerEpoch: 3 })],
      kind: 'superseded',
    },
    {
      name: 'another start has the place',
      epoch: 2,
      brokers: [brokerState(1, { brokerEpoch: 3, start: OTHER })],
      kind: 'displaced',
    },
    { name: 'the broker was removed', epoch: 2, brokers: [brokerState(2)], kind: 'displaced' },
  ])('is $kind where $name', ({ epoch, brokers, kind }) => {
    expect(standingOf(imageOf(brokers), 1, OWN, epoch).kind).toBe(kind);
  });
});

describe('newAddresses()', () => {
  const [a, b] = [
    { listener: 'a', host: 'h', port: 1 },
    { listener: 'b', host: 'h', port: 2 },
  ];
  const told = (known: (typeof a)[] | undefined, own: (typeof a)[], level = LEVEL_OF_LISTENERS) =>
    newAddresses(
      {
        ...imageOf([brokerState(1, known === undefined ? {} : { listeners: known })]),
        featureLevel: level,
      },
      { brokerId: 1, listenerAddresses: () => own },
    );

  it('are all addresses, in order, where metadata says otherwise', () => {
    expect(told(undefined, [b, a])).toEqual([a, b]);
    expect(told([a], [a, b])).toEqual([a, b]);
    expect(told([a], [])).toEqual([]);
    expect(told([{ ...a, port: 9 }], [a])).toEqual([a]);
  });

  it('are nothing where metadata says the same, or cannot say it yet', () => {
    expect(told(undefined, [])).toBeNull();
    expect(told([a, b], [b, a])).toBeNull();
    expect(told(undefined, [a], LEVEL_OF_LISTENERS - 1)).toBeNull();
  });
});
