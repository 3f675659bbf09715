import { describe, expect, it } from 'vitest';
import type { BrokerApi } from '../../../../broker/runtime/api.ts';
import { describeBrokers } from '../../../../broker/service/describe.ts';
import { brokerState, imageOf } from '../metadata/fixtures.ts';

const OUTSIDE = { listener: 'outside', host: 'b1.example.org', port: 443 };
const PARTNERS = { listener: 'partners', host: 'p1.example.org', port: 444 };

const broker = {
  report: () => ({ raft: null }),
  image: () =>
    imageOf([
      brokerState(1, { host: 'b1', port: 9_641, listeners: [OUTSIDE, PARTNERS] }),
      brokerState(2, { host: 'b2', port: 9_641 }),
    ]),
} as unknown as BrokerApi;

const told = (listener: string) =>
  describeBrokers(broker, listener).map(({ host, port, unreachable, listeners }) => ({
    ...{ at: `${host}:${port}`, unreachable, listeners },
  }));

describe('describeBrokers()', () => {
  it('tells the addresses of the listener that a caller came by, and of no other', () => {
    expect(told('client')).toEqual([
      { at: 'b1:9641', unreachable: '', listeners: [] },
      { at: 'b2:9641', unreachable: '', listeners: [] },
    ]);
    for (const { listener, host, port } of [OUTSIDE, PARTNERS])
      expect(told(listener)[0]).toEqual({ at: `${host}:${port}`, unreachable: '', listeners: [] });
  });

  it('names a broker that has no address there, and says so', () => {
    expect(told('outside')[1]).toEqual({
      at: ':0',
      unreachable: 'broker 2 has no address for clients of listener "outside"',
      listeners: [],
    });
  });

  it('tells whoever comes by the internal one of all', () => {
    expect(told('internal')).toEqual([
      { at: 'b1:9641', unreachable: '', listeners: [OUTSIDE, PARTNERS] },
      { at: 'b2:9641', unreachable: '', listeners: [] },
    ]);
  });
});
