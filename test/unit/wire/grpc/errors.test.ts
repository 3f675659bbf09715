import { Metadata, status as Status } from '@grpc/grpc-js';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { describe, expect, it } from 'vitest';

import { BrokerError, ERROR_TABLE, type ErrorCode } from '../../../../base/errors.ts';
import {
  asBrokerError,
  DETAILS_TRAILER,
  errorFromMessage,
  errorFromStatus,
  errorToMessage,
  errorToStatus,
} from '../../../../wire/grpc/errors.ts';

const CODES = Object.keys(ERROR_TABLE) as ErrorCode[];
const DETAILS = {
  leader: 0,
  leaderEpoch: 7,
  controller: 3,
  logStart: 0,
  logEnd: 2 ** 53 - 1,
  retryAfterMs: 40,
};

describe('errorToStatus()', () => {
  it.each(CODES)('maps %s to its status and back, with all details', (code) => {
    const failure = errorToStatus(new BrokerError(code, 'Cannot do: x is 1, must be 2', DETAILS));
    expect(failure.code).toBe(Status[ERROR_TABLE[code].status]);
    const error = errorFromStatus(failure);
    expect([error.code, error.message, error.details]).toEqual([
      code,
      'Cannot do: x is 1, must be 2',
      DETAILS,
    ]);
  });

  it('packs a google.rpc.Status whose detail is an Any', () => {
    const packed = errorToStatus(new BrokerError('NOT_LEADER', 'no')).metadata.get(
      DETAILS_TRAILER,
    )[0] as Buffer;
    const reader = new BinaryReader(packed);
    expect([reader.uint32(), reader.int32()]).toEqual([8, Status.UNAVAILABLE]);
    expect([reader.uint32(), reader.string()]).toEqual([18, 'no']);
    expect(reader.uint32()).toBe(26);
    const any = new BinaryReader(reader.bytes());
    expect([any.uint32(), any.string()]).toEqual([10, 'type.googleapis.com/tidemark.v1.Error']);
  });

  it('answers INTERNAL for what is no BrokerError', () => {
    expect(errorToStatus(new TypeError('boom'))).toMatchObject({
      code: Status.INTERNAL,
      details: 'Unexpected failure: boom',
    });
  });

  it('survives text that is no Unicode, and bounds it', () => {
    const { details } = errorToStatus(new BrokerError('REFUSED', `\ud800${'x'.repeat(5_000)}`));
    expect([details.isWellFormed(), details.length]).toEqual([true, 1_000]);
  });
});

describe('errorToMessage()', () => {
  it('bounds a pause to what its field holds', () => {
    const told = errorToMessage(new BrokerError('OVERLOADED', 'later', { retryAfterMs: 2 ** 53 }));
    expect(told.retryAfterMs).toBe(2 ** 32 - 1);
    const failure = errorToStatus(new BrokerError('OVERLOADED', 'later', { retryAfterMs: 1e300 }));
    expect(errorFromStatus(failure).details.retryAfterMs).toBe(2 ** 32 - 1);
  });
});

describe('errorFromStatus()', () => {
  it.each([
    { name: 'no connection', code: Status.UNAVAILABLE, expected: 'UNREACHABLE' },
    { name: 'no answer', code: Status.DEADLINE_EXCEEDED, expected: 'UNREACHABLE' },
    { name: 'a full queue of gRPC', code: Status.RESOURCE_EXHAUSTED, expected: 'UNREACHABLE' },
    { name: 'a reset stream', code: Status.INTERNAL, expected: 'UNREACHABLE' },
    {
      name: 'a proxy that refuses the argument',
      code: Status.INVALID_ARGUMENT,
      expected: 'INTERNAL',
    },
    { name: 'anything else', code: Status.UNIMPLEMENTED, expected: 'INTERNAL' },
  ])('classes a failure without details: $name', ({ code, expected }) => {
    expect(errorFromStatus({ code, details: 'x', metadata: new Metadata() }).code).toBe(expected);
  });

  const failures = Object.values(Status).filter(
    (code): code is Status => typeof code === 'number' && code !== Status.OK,
  );
  it.each(failures)('reads no certainty from the bare status %i', (code) => {
    const error = errorFromStatus({ code, details: 'x', metadata: new Metadata() });
    expect(error.effect).toBe('unknown');
  });

  it('ignores a trailer that is not ours', () => {
    const metadata = new Metadata();
    metadata.set(DETAILS_TRAILER, Buffer.from([26, 200, 1]));
    expect(errorFromStatus({ code: Status.UNAVAILABLE, details: 'x', metadata }).code).toBe(
      'UNREACHABLE',
    );
  });
});

describe('errorFromMessage()', () => {
  it.each(CODES)('keeps what %s says of its request', (code) => {
    const message = errorToMessage(new BrokerError(code, 'x'));
    expect([errorFromMessage(message).effect, errorFromMessage(message).details]).toEqual([
      ERROR_TABLE[code].effect,
      {},
    ]);
  });

  it.each([
    { code: 'NOT_ENOUGH_REPLICAS', expected: 'none' },
    { code: 'PRODUCER_FENCED', expected: 'none' },
    { code: 'STALE_EPOCH', expected: 'unknown' },
    // Builds that state no effect answered appends that stood in the log with these.
    { code: 'NOT_LEADER', expected: 'unknown' },
    { code: 'LEADER_UNKNOWN', expected: 'unknown' },
    { code: 'OVERLOADED', expected: 'unknown' },
    { code: 'FROM_THE_FUTURE', expected: 'unknown' },
  ])('says $expected of a $code without a stated effect', ({ code, expected }) => {
    const message = {
      ...errorToMessage(new BrokerError('REFUSED', 'x')),
      code,
      effect: 0,
    } as const;
    expect(errorFromMessage(message).effect).toBe(expected);
  });

  it.each([
    { effect: 1, retry: 3, expected: ['none', 'refresh'] },
    { effect: 2, retry: 2, expected: ['unknown', 'same'] },
  ] as const)('trusts the maker of an unknown code: $expected', ({ effect, retry, expected }) => {
    const message = {
      ...errorToMessage(new BrokerError('REFUSED', 'x')),
      effect,
      retry,
      code: 'NEW',
    };
    const error = errorFromMessage(message);
    expect([error.effect, error.retry]).toEqual(expected);
  });

  it('names a code that this build does not know', () => {
    const message = {
      ...errorToMessage(new BrokerError('REFUSED', 'later')),
      code: 'FROM_THE_FUTURE',
    };
    expect(errorFromMessage(message)).toMatchObject({
      code: 'INTERNAL',
      message: 'Unknown error code "FROM_THE_FUTURE": later',
    });
  });

  it('leaves out unknown brokers', () => {
    const message = errorToMessage(
      new BrokerError('NOT_LEADER', 'x', { leader: -1, controller: -1 }),
    );
    expect([message.leader, message.controller]).toEqual([undefined, undefined]);
  });
});

describe('asBrokerError()', () => {
  it('keeps the cause', () => {
    const cause = new RangeError('r');
    expect(asBrokerError(cause)).toMatchObject({ code: 'INTERNAL', cause });
  });
});
