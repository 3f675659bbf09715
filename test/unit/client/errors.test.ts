import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';

import { BrokerError, ERROR_TABLE, type ErrorCode } from '../../../base/errors.ts';
import { fromCall, fromWire, TidemarkError } from '../../../client/errors.ts';
import { errorToMessage, errorToStatus } from '../../../wire/grpc/errors.ts';

const CODES = Object.keys(ERROR_TABLE) as ErrorCode[];

describe('fromWire()', () => {
  it.each(CODES)('exposes what %s says of its request', (code) => {
    expect(fromWire(errorToMessage(new BrokerError(code, 'x'))).effect).toBe(
      ERROR_TABLE[code].effect,
    );
  });

  it.each([
    { code: 'NOT_ENOUGH_REPLICAS', effect: 'none' },
    { code: 'NOT_LEADER', effect: 'unknown' },
    { code: 'LEADER_UNKNOWN', effect: 'unknown' },
    { code: 'FROM_THE_FUTURE', effect: 'unknown' },
  ])('of an older broker: $code', ({ code, effect }) => {
    const message = errorToMessage(new BrokerError('REFUSED', 'x'));
    expect(fromWire({ ...message, code, effect: 0 }).effect).toBe(effect);
  });
});

describe('fromCall()', () => {
  it.each(CODES)('exposes what %s says of its request', (code) => {
    const failure = Object.assign(new Error('x'), errorToStatus(new BrokerError(code, 'x')));
    expect(fromCall(failure, 'a')).toMatchObject({ code, effect: ERROR_TABLE[code].effect });
  });

  const failures = Object.values(status).filter(
    (code): code is status => typeof code === 'number' && code !== status.OK,
  );
  it.each(failures)('reads no certainty from the bare status %i', (code) => {
    const failure = Object.assign(new Error('x'), { code, details: 'x', metadata: new Metadata() });
    expect(fromCall(failure, 'a').effect).toBe('unknown');
  });
});

describe('TidemarkError', () => {
  it.each([
    { code: 'TIMED_OUT', effect: 'none' },
    { code: 'BUFFER_FULL', effect: 'none' },
    { code: 'CLOSED', effect: 'none' },
    { code: 'UNREACHABLE', effect: 'unknown' },
    { code: 'OF_ANOTHER_PROGRAM', effect: 'unknown' },
  ])('has an effect by its code: $code', ({ code, effect }) => {
    expect(new TidemarkError(code, 'x').effect).toBe(effect);
  });
});
