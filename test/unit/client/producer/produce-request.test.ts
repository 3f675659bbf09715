import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { produceRequestParts } from '../../../../client/producer/produce-request.ts';
import { ProduceRequest } from '../../../../proto/gen/tidemark/v1/log.ts';

const batch = fc.record({
  batchId: fc.oneof(fc.nat(), fc.integer({ min: 2 ** 31, max: Number.MAX_SAFE_INTEGER })),
  topicId: fc.uint8Array({ maxLength: 16 }),
  partition: fc.oneof(fc.nat(300), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  frame: fc.uint8Array({ maxLength: 400 }),
  condition: fc.option(
    fc.record({
      $case: fc.constant('expectedEnd' as const),
      value: fc.record({
        offset: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
        leaderEpoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      }),
    }),
    { nil: undefined },
  ),
});

describe('produceRequestParts()', () => {
  it('writes what generated code writes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 1, 2, 3),
        fc.array(batch, { maxLength: 5 }),
        (acks, batches) => {
          const request = { acks, batches } as ProduceRequest;
          const expected = ProduceRequest.encode(request).finish();
          const parts = produceRequestParts(request);
          const written = Buffer.alloc(parts.length);
          parts.copy(written);
          expect(Buffer.compare(written, expected)).toBe(0);
        },
      ),
    );
  });
});
