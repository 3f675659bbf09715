import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { ReplicateResponse } from '../../../../proto/gen/tidemark/internal/v1/replication.ts';
import {
  type AckLevel,
  FetchResponse,
  ProduceRequest,
} from '../../../../proto/gen/tidemark/v1/log.ts';
import {
  type FetchParts,
  type ProduceParts,
  type ReplicateParts,
  serializeFetch,
  serializeProduce,
  serializeReplicate,
} from '../../../../wire/grpc/frame-messages.ts';

const bytes = fc.uint8Array({ maxLength: 30 });
const pieces = fc.array(bytes, { maxLength: 4 });
const u32 = fc.nat({ max: 0xffff_ffff });
const u64 = fc.maxSafeNat();

const error = fc.option(
  fc.record({
    code: fc.string(),
    message: fc.string(),
    retry: fc.constantFrom(0, 1, 2, 3),
    retryAfterMs: u32,
    effect: fc.constantFrom(0, 1, 2),
    holder: fc.constant(undefined),
  }),
  { nil: undefined },
);
const target = { topicId: bytes, partition: u32 };

const expectedEnd = fc.option(fc.record({ offset: u64, leaderEpoch: u32 }), { nil: undefined });

const produce: fc.Arbitrary<ProduceParts> = fc.record({
  acks: fc.constantFrom<AckLevel>(0, 1, 2, 3),
  batches: fc.array(fc.record({ batchId: u64, ...target, frame: pieces, expectedEnd }), {
    maxLength: 5,
  }),
});
const losses = fc.array(
  fc.record({
    report: fc.record({
      topic: fc.string(),
      topicId: fc.string(),
      partition: u32,
      leaderEpoch: u32,
      leader: u32,
      fromOffset: u64,
      atMs: u64,
    }),
    toOffset: u64,
  }),
  { maxLength: 3 },
);
const fetch: fc.Arbitrary<FetchParts> = fc.record({
  partitions: fc.array(
    fc.record({
      ...target,
      frames: pieces,
      highWaterMark: u64,
      logStart: u64,
      error,
      losses,
      // 0 is left out, as an absent one.
      compactedTo: fc.option(
        u64.filter((offset) => offset > 0),
        { nil: undefined },
      ),
      tombstonesBelow: fc.option(
        u64.filter((offset) => offset > 0),
        { nil: undefined },
      ),
    }),
    { maxLength: 5 },
  ),
});
const replicate: fc.Arbitrary<ReplicateParts> = fc.record({
  frames: fc.array(
    fc.record({ ...target, leaderEpoch: u32, frames: pieces, highWaterMark: u64, logStart: u64 }),
    { maxLength: 5 },
  ),
  diverged: fc.array(fc.record({ ...target, leaderEpoch: u32, epoch: u32, endOffset: u64 }), {
    maxLength: 3,
  }),
  resets: fc.array(
    fc.record({
      ...target,
      leaderEpoch: u32,
      startOffset: u64,
      startEpoch: u32,
      tombstonesBelow: u64,
    }),
    { maxLength: 3 },
  ),
});

/** What grpc-js does with a serialized message. */
function written(parts: Buffer): Buffer {
  const target = Buffer.allocUnsafe(parts.length + 5);
  expect(parts.byteLength).toBe(parts.length);
  expect(parts.copy(target, 5)).toBe(parts.length);
  return target.subarray(5);
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

describe('serializers', () => {
  it('serializeProduce() writes what generated code writes', () => {
    fc.assert(
      fc.property(produce, (parts) => {
        const message = {
          acks: parts.acks,
          batches: parts.batches.map(({ expectedEnd: value, ...batch }) => ({
            ...batch,
            frame: joined(batch.frame),
            condition: value && ({ $case: 'expectedEnd', value } as const),
          })),
        };
        expect(written(serializeProduce(parts))).toEqual(
          Buffer.from(ProduceRequest.encode(message).finish()),
        );
      }),
    );
  });

  it('serializeFetch() writes what generated code writes', () => {
    fc.assert(
      fc.property(fetch, (parts) => {
        const message = {
          partitions: parts.partitions.map((part) => ({
            ...part,
            frames: joined(part.frames),
            losses: [...part.losses],
          })),
        };
        expect(written(serializeFetch(parts))).toEqual(
          Buffer.from(FetchResponse.encode(message).finish()),
        );
      }),
    );
  });

  it('serializeFetch() writes an error that says nothing, since it is there', () => {
    const part = { topicId: new Uint8Array(), partition: 0, highWaterMark: 0, logStart: 0 };
    const said = { code: '', message: '', retry: 0, retryAfterMs: 0, effect: 0 } as const;
    const error = { ...said, holder: undefined };
    expect(
      written(serializeFetch({ partitions: [{ ...part, frames: [], error, losses: [] }] })),
    ).toEqual(Buffer.from([10, 2, 50, 0]));
  });

  it('serializeReplicate() writes what generated code writes', () => {
    fc.assert(
      fc.property(replicate, (parts) => {
        const message = {
          frames: parts.frames.map((part) => ({ ...part, frames: joined(part.frames) })),
          diverged: [...parts.diverged],
          resets: [...parts.resets],
        };
        expect(written(serializeReplicate(parts))).toEqual(
          Buffer.from(ReplicateResponse.encode(message).finish()),
        );
      }),
    );
  });
});

describe('generated decoders', () => {
  it('leave frames where they lie', () => {
    const frame = new Uint8Array(100).fill(5);
    const message = written(
      serializeProduce({
        acks: 0,
        batches: [{ batchId: 1, topicId: new Uint8Array(16), partition: 0, frame: [frame] }],
      }),
    );
    expect(ProduceRequest.decode(message).batches[0]?.frame.buffer).toBe(message.buffer);
  });
});
