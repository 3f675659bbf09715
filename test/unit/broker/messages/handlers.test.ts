import type { MethodDefinition } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { checkedDefinition, wellFormed } from '../../../../broker/messages/handlers.ts';
import { AppendRequest, LogServiceService } from '../../../../proto/gen/tidemark/v1/log.ts';

type Checked = Record<'append' | 'fetch' | 'produce' | 'read', MethodDefinition<unknown, unknown>>;
const { append, fetch, produce, read } = checkedDefinition(LogServiceService) as Checked;

describe('checkedDefinition()', () => {
  it.each([
    { name: 'append', method: append },
    { name: 'produce', method: produce },
    { name: 'fetch', method: fetch },
    { name: 'read', method: read },
  ])('refuses $name with millions of empty parts while it decodes them', ({ method }) => {
    // The tag of field 2 and a length of zero, over and over: eight million parts in sixteen
    // megabytes.
    const bomb = Buffer.alloc(16_000_000);
    for (let at = 0; at < bomb.length; at += 2) bomb[at] = 0x12;
    expect(() => wellFormed(method.requestDeserialize(bomb))).toThrow(
      'Request is not a message of its type: it holds more than 500000 fields',
    );
  });

  it('lets the largest honest request through', () => {
    const record = {
      partition: undefined,
      key: new Uint8Array(8),
      value: new Uint8Array(20),
      headers: [],
      timestampMs: 0,
    };
    const records = Array(50_000).fill(record);
    const request = { topic: 'orders', records, acks: 0 as const, condition: undefined };
    const bytes = Buffer.from(AppendRequest.encode(request).finish());
    const decoded = wellFormed(append.requestDeserialize(bytes)) as AppendRequest;
    expect(decoded.records).toHaveLength(50_000);
  });

  it('refuses bytes that are no message, with the reason', () => {
    expect(() => wellFormed(append.requestDeserialize(Buffer.from([0x12, 0xff])))).toThrow(
      /^Request is not a message of its type: /,
    );
  });
});
