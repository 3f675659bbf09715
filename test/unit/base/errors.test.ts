import { describe, expect, it } from 'vitest';

import { BrokerError, type Effect, ERROR_TABLE, type ErrorCode } from '../../../base/errors.ts';

/**
 * What each answer proves of its request. `none` must hold wherever the code is made: it frees the
 * sequence of an append for another batch, and a change for a repetition.
 */
const EFFECTS: Readonly<Record<ErrorCode, Effect>> = {
  INVALID_ARGUMENT: 'none',
  UNAUTHENTICATED: 'none',
  PERMISSION_DENIED: 'none',
  CORRUPT_BATCH: 'none',
  BATCH_TOO_LARGE: 'none',
  TIMESTAMP_IN_FUTURE: 'none',
  UNKNOWN_TOPIC: 'none',
  UNKNOWN_PARTITION: 'none',
  UNKNOWN_GROUP: 'none',
  UNKNOWN_QUEUE: 'none',
  CURSOR_GONE: 'none',
  CURSOR_AHEAD: 'none',
  CURSOR_FENCED: 'none',
  LEASE_LOST: 'none',
  UNKNOWN_BROKER: 'none',
  TOPIC_EXISTS: 'none',
  QUEUE_EXISTS: 'none',
  NOT_LEADER: 'none',
  LEADER_UNKNOWN: 'none',
  NOT_CONTROLLER: 'none',
  // A leader that leaves its epoch answers appends that stand in its log with it.
  STALE_EPOCH: 'unknown',
  FENCED: 'none',
  NOT_ENOUGH_REPLICAS: 'none',
  BROKER_NOT_READY: 'none',
  OFFSET_OUT_OF_RANGE: 'none',
  POSITION_DIVERGED: 'none',
  OFFSET_NOT_AVAILABLE: 'none',
  UNKNOWN_PRODUCER: 'none',
  OUT_OF_ORDER_SEQUENCE: 'none',
  DUPLICATE_SEQUENCE: 'none',
  OFFSET_TAKEN: 'none',
  SEQUENCE_REUSED: 'none',
  PRODUCER_FENCED: 'none',
  OUTCOME_UNKNOWN: 'unknown',
  UNREACHABLE: 'unknown',
  OVERLOADED: 'none',
  DISK_FULL: 'none',
  // Of a write that failed, some bytes may have left the process.
  STORAGE_FAILED: 'unknown',
  DATA_CORRUPT: 'unknown',
  CLUSTER_EXISTS: 'none',
  WRONG_CLUSTER: 'none',
  CONFLICT: 'none',
  UNDECODABLE: 'none',
  REFUSED: 'none',
  INTERNAL: 'unknown',
};

describe('ERROR_TABLE', () => {
  it.each(Object.keys(ERROR_TABLE) as ErrorCode[])('says what %s proves of its request', (code) => {
    expect(ERROR_TABLE[code].effect).toBe(EFFECTS[code]);
    expect(new BrokerError(code, 'x').effect).toBe(EFFECTS[code]);
  });
});

describe('BrokerError', () => {
  it('keeps what its maker said of it over the table', () => {
    const error = new BrokerError('NOT_LEADER', 'x', { effect: 'unknown', retry: 'no' });
    expect([error.effect, error.retry]).toEqual(['unknown', 'no']);
  });
});
