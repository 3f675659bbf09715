import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { exchangeFromMessage, exchangeToMessage } from '../../../../broker/messages/raft-codec.ts';
import type { Entry, MessageBody, Peer } from '../../../../broker/raft/types.ts';
import { ExchangeRequest } from '../../../../proto/gen/tidemark/internal/v1/quorum.ts';

const number = fc.maxSafeNat();
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const peer: fc.Arbitrary<Peer> = fc.record({
  brokerId: fc.nat({ max: 65_535 }),
  directoryId: fc.uuid(),
});
const leader = fc.option(peer, { nil: null });
const entry: fc.Arbitrary<Entry> = fc.record({
  index: number,
  term: number,
  kind: fc.constantFrom('data', 'voters', 'barrier'),
  data: text,
});

const bodies: {
  [Kind in MessageBody['kind']]: fc.Arbitrary<Omit<Extract<MessageBody, { kind: Kind }>, 'kind'>>;
} = {
  'pre-vote': fc.record({ campaignTerm: number, lastIndex: number, lastTerm: number }),
  'pre-vote-reply': fc.record({ campaignTerm: number, isGranted: fc.boolean(), leader }),
  vote: fc.record({ lastIndex: number, lastTerm: number, isTransfer: fc.boolean() }),
  'vote-reply': fc.record({ isGranted: fc.boolean() }),
  append: fc.record({
    prevIndex: number,
    prevTerm: number,
    entries: fc.array(entry, { maxLength: 4 }),
    commitIndex: number,
    round: number,
  }),
  'append-accepted': fc.record({ matchIndex: number, round: number }),
  'append-rejected': fc.record({
    rejectedIndex: number,
    hintIndex: number,
    hintTerm: number,
    lastIndex: number,
    round: number,
  }),
  snapshot: fc.record({
    snapshotIndex: number,
    snapshotTerm: number,
    voters: fc.array(peer, { maxLength: 3 }),
    offset: number,
    total: number,
    chunk: text,
  }),
  'snapshot-reply': fc.record({ snapshotIndex: number, received: number }),
  'timeout-now': fc.constant({}),
  follow: fc.record({ lastIndex: number, lastTerm: number }),
  'follow-reply': fc.record({ leader }),
};
const header = fc.record({ term: number, incarnation: number, toIncarnation: number });

describe('raft messages', () => {
  it.each(Object.keys(bodies) as MessageBody['kind'][])('%s comes back as it was sent', (kind) => {
    fc.assert(
      fc.property(
        peer,
        peer,
        header,
        bodies[kind] as fc.Arbitrary<object>,
        (from, to, top, body) => {
          const exchange = { from, to, message: { ...top, ...body, kind } as never };
          const wire = ExchangeRequest.encode(exchangeToMessage(exchange)).finish();
          expect(exchangeFromMessage(ExchangeRequest.decode(wire))).toEqual(exchange);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('exchangeFromMessage()', () => {
  const whole = exchangeToMessage({
    from: { brokerId: 1, directoryId: '00000000-0000-4000-8000-000000000001' },
    to: { brokerId: 2, directoryId: '00000000-0000-4000-8000-000000000002' },
    message: { kind: 'timeout-now', term: 1, incarnation: 1, toIncarnation: 1 },
  });

  it.each([
    {
      name: 'no sender',
      message: { ...whole, from: undefined },
      text: 'from is "absent", must be present',
    },
    {
      name: 'no body',
      message: { ...whole, body: undefined },
      text: 'body is "absent", must be present',
    },
    {
      name: 'a bad directory',
      message: { ...whole, to: { brokerId: 2, directoryId: 'x' } },
      text: 'to.directory_id is "x", must be a UUID in lower case',
    },
    {
      name: 'a broker id too large',
      message: { ...whole, to: { ...whole.to!, brokerId: 70_000 } },
      text: 'to.broker_id is 70000, must be an integer of 0 to 65535',
    },
  ])('refuses $name', ({ message, text }) => {
    expect(() => exchangeFromMessage(message)).toThrow(text);
  });
});
