import { describe, expect, it } from 'vitest';
import { standingOf } from '../../../../../broker/runtime/membership/registration-standing.ts';
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
