import { describe, expect, it } from 'vitest';
import { BrokerError } from '../../../../base/errors.ts';
import { HELD_MS_MAX } from '../../../../broker/replication/held-appends.ts';
import { Partition, type PartitionOptions } from '../../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../../broker/replication/producers.ts';
import type { LogState, PartitionOutput, Position } from '../../../../broker/replication/types.ts';
import { assignment } from './assignment.ts';
import { header } from './header.ts';

const EMPTY_LOG: LogState = {
  startOffset: 0,
  endOffset: 0,
  epochs: [],
  highWaterMark: 0,
  syncedOffset: 0,
};

function partition(log: LogState = EMPTY_LOG, fields: Partial<PartitionOptions> = {}): Partition {
  const options = {
    self: 1,
    selfEpoch: 11,
    key: 'topic/0',
    lagMsMax: 1_000,
    appendsPendingMax: 2,
    nowMs: 0,
    ...fields,
  };
  return new Partition(options, log, new ProducerTable({ producersMax: 10, nowMs: 0 }));
}

/** Leader of epoch 5 whose epoch start, at 0, is written and pushed to broker 2. */
function leader(): Partition {
  const led = partition();
  led.step({ kind: 'assign', assignment: assignment() });
  led.step({ kind: 'written', writeId: 1 });
  return led;
}

function position(fields: Partial<Position> = {}): { kind: 'position'; position: Position } {
  return {
    kind: 'position',
    position: {
      from: 2,
      brokerEpoch: 12,
      leaderEpoch: 5,
      lastEpoch: 5,
      endOffset: 1,
      syncedOffset: 0,
      ...fields,
    },
  };
}

function append(led: Partition, fields: Parameters<typeof header>[0] = {}): PartitionOutput {
  return led.step({ kind: 'append', requestId: 1, ack: 'all', header: header(fields), wallMs: 0 });
}

function refusal(output: PartitionOutput): string {
  const result = output.replies[0]?.result;
  return result === undefined || result.ok
    ? 'none'
    : `${result.error.code}: ${result.error.message}`;
}

describe('Partition.step() append', () => {
  const cases = [
    {
      name: 'a batch that is too large',
      fields: { length: 1_001 },
      expected:
        'BATCH_TOO_LARGE: Cannot append to topic/0 in epoch 5: the batch has 1001 bytes, must have 1000 or fewer',
    },
    {
      name: 'a timestamp in the future',
      fields: { maxTimestampMs: 3_600_001 },
      expected:
        'TIMESTAMP_IN_FUTURE: Cannot append to topic/0 in epoch 5: maxTimestampMs is 3600001, must be 3600000 or less',
    },
    {
      name: 'a control batch',
      fields: { isControl: true },
      expected: 'INVALID_ARGUMENT: Cannot append batch: control bit is set, must be clear',
    },
  ];
  for (const { name, fields, expected } of cases) {
    it(`refuses ${name}`, () => {
      const led = leader();

      const output = append(led, fields);

      expect(refusal(output)).toBe(expected);
      expect(led.status().logEnd).toBe(1);
    });
  }

  it('refuses past appendsPendingMax', () => {
    const led = leader();
    append(led);
    append(led);

    expect(refusal(append(led))).toBe(
      'OVERLOADED: Cannot append to topic/0 in epoch 5: 2 appends are pending, the most allowed',
    );
  });

  it('takes none while draining, and is drained once all is committed', () => {
    const led = leader();
    append(led);

    led.step({ kind: 'drain' });
    append(led);

    expect(led.status()).toMatchObject({ logEnd: 2, isDrained: false });
  });

  it('has an unknown outcome once another leads, since it stands in this log', () => {
    const led = leader();
    append(led);

    const { replies } = led.step({
      kind: 'assign',
      assignment: assignment({ leader: 2, leaderEpoch: 6, partitionEpoch: 2 }),
    });

    expect(replies[0]?.result).toMatchObject({ ok: false, error: { effect: 'unknown' } });
  });

  it('names the leader when it is another', () => {
    const follower = partition();
    follower.step({ kind: 'assign', assignment: assignment({ leader: 2 }) });

    const result = append(follower).replies[0]?.result;

    expect(result?.ok === false && result.error.details).toEqual({ leader: 2, leaderEpoch: 5 });
  });

  it('is never acknowledged once a write failed', () => {
    const led = leader();
    append(led);

    const output = led.step({ kind: 'failed' });

    expect(refusal(output)).toBe(
      'STORAGE_FAILED: Outcome of the append is unknown on topic/0: a write of broker 1 failed',
    );
    expect([led.status().role, led.pushWindow(2), led.inspect(5)]).toEqual(['failed', null, null]);
  });
});

describe('Partition.step() hand-over (rule 22)', () => {
  const named = {
    kind: 'assign',
    assignment: assignment({ partitionEpoch: 2, successor: 2 }),
  } as const;

  it('begins only with a successor that is caught up', () => {
    const led = leader();
    led.step(named);

    expect(refusal(append(led))).toBe('none');
  });

  it('takes no appends, and is asked for once the successor holds everything', () => {
    const led = leader();
    led.pushed(2, 1, 0);
    led.step(position());
    append(led);
    led.step({ kind: 'written', writeId: 2 });

    const waiting = led.step(named).proposal;
    append(led);
    led.pushed(2, 2, 1);
    const { proposal } = led.step(position({ endOffset: 2 }));

    expect(waiting).toBe(null);
    expect(led.status().logEnd).toBe(2);
    expect(proposal).toMatchObject({
      partitionEpoch: 2,
      change: { op: 'hand-over', successor: 2 },
    });
  });

  it('is not given up while its request may be on its way, and is when metadata names no successor', () => {
    const led = leader();
    led.pushed(2, 1, 0);
    led.step(position());
    const latest = [led.latest()];
    led.step(named);
    led.followerGone(2);
    append(led);
    const { logEnd } = led.status();
    latest.push(led.latest());

    led.step({ kind: 'assign', assignment: assignment({ partitionEpoch: 3 }) });

    latest.push(led.latest());
    expect([logEnd, led.status().logEnd]).toEqual([1, 2]);
    // Somebody else may append by then.
    expect(latest).toEqual([1, null, 1]);
  });
});

describe('Partition.step() append between leaders', () => {
  const HANDED_OVER = assignment({ leader: 2, leaderEpoch: 6, partitionEpoch: 2 });
  const LEADERLESS = assignment({ leader: -1, leaderEpoch: 6, partitionEpoch: 2 });

  it('is answered with the next leader as soon as that is known', () => {
    const led = leader();
    led.step({ kind: 'drain' });
    const held = append(led);

    const [answered] = led.step({ kind: 'assign', assignment: HANDED_OVER }).replies;

    expect(held.replies).toEqual([]);
    expect(answered?.result).toMatchObject({
      error: { code: 'NOT_LEADER', details: { leader: 2, leaderEpoch: 6 } },
    });
  });

  it('is taken in the order of arrival by the replica that comes to lead', () => {
    const led = leader();
    led.step({ kind: 'assign', assignment: LEADERLESS });
    for (const requestId of [7, 8])
      led.step({ kind: 'append', requestId, ack: 'all', header: header(), wallMs: 0 });

    const { writes } = led.step({
      kind: 'assign',
      assignment: assignment({ leaderEpoch: 7, partitionEpoch: 3 }),
    });

    expect(writes).toMatchObject([
      { kind: 'control' },
      { kind: 'append', requestId: 7 },
      { kind: 'append', requestId: 8 },
    ]);
  });

  const reasons = [
    {
      name: 'the leader drains',
      input: { kind: 'drain' },
      expected:
        'BROKER_NOT_READY: Cannot append to topic/0 in epoch 5: the leader, broker 1, is stopping',
    },
    {
      name: 'there is no leader',
      input: { kind: 'assign', assignment: LEADERLESS },
      expected: 'LEADER_UNKNOWN: Cannot append on topic/0: it has no leader in epoch 6',
    },
  ] as const;
  for (const { name, input, expected } of reasons) {
    it(`is refused when it has waited long enough while ${name}`, () => {
      const led = leader();
      led.step(input);
      append(led);

      const early = led.step({ kind: 'tick', nowMs: HELD_MS_MAX - 1 });
      const late = led.step({ kind: 'tick', nowMs: HELD_MS_MAX });

      expect([refusal(early), refusal(late)]).toEqual(['none', expected]);
    });
  }

  it('is refused when it has waited long enough while leadership is handed over (rule 22)', () => {
    const led = leader();
    led.pushed(2, 1, 0);
    led.step(position());
    led.step({ kind: 'assign', assignment: assignment({ partitionEpoch: 2, successor: 2 }) });
    append(led);

    const late = led.step({ kind: 'tick', nowMs: HELD_MS_MAX });

    expect([refusal(late), led.status().logEnd]).toEqual([
      'LEADER_UNKNOWN: Cannot append to topic/0 in epoch 5: leadership is being handed to broker 2',
      1,
    ]);
  });

  it('is judged by what metadata says of its producer when it is taken, not when it came', () => {
    let epoch = 1;
    const led = partition(EMPTY_LOG, {
      producerFault: (_, producerEpoch) =>
        producerEpoch < epoch ? new BrokerError('PRODUCER_FENCED', 'a newer one') : null,
    });
    led.step({ kind: 'assign', assignment: assignment() });
    led.step({ kind: 'drain' });
    const held = append(led, { producerId: 7, producerEpoch: 1, baseSequence: 0 });
    epoch = 2;
    const released = led.step({ kind: 'resume' });

    expect([refusal(held), refusal(released)]).toEqual(['none', 'PRODUCER_FENCED: a newer one']);
    expect(refusal(append(led, { producerId: 7, producerEpoch: 2, baseSequence: 0 }))).toBe('none');
  });

  it('is refused at once past appendsPendingMax', () => {
    const led = leader();
    led.step({ kind: 'drain' });
    append(led);
    append(led);

    expect(refusal(append(led))).toMatch(/^BROKER_NOT_READY/);
  });

  it('is refused when a write fails meanwhile', () => {
    const led = leader();
    led.step({ kind: 'drain' });
    append(led);

    expect(refusal(led.step({ kind: 'failed' }))).toMatch(/^STORAGE_FAILED: Cannot append/);
  });
});

describe('Partition.step() position', () => {
  const ignored = [
    { name: 'of an older epoch (rule 5)', fields: { leaderEpoch: 4 } },
    { name: 'of an older incarnation (rule 13)', fields: { brokerEpoch: 10 } },
    { name: 'of a newer incarnation that is not known yet', fields: { brokerEpoch: 20 } },
    { name: 'that is not in this log', fields: { lastEpoch: 4 } },
  ];
  for (const { name, fields } of ignored) {
    it(`${name} acknowledges nothing`, () => {
      const led = leader();

      led.step(position(fields));

      expect([led.readEnd(), led.pushWindow(2)]).toEqual([0, null]);
    });
  }

  it('of a newer incarnation counts when metadata has caught up', () => {
    const led = leader();
    led.step(position({ brokerEpoch: 20 }));
    const replicas = assignment().replicas.map((replica) =>
      replica.brokerId === 2 ? { ...replica, brokerEpoch: 20 } : replica,
    );

    led.step({ kind: 'assign', assignment: assignment({ replicas }) });

    expect(led.readEnd()).toBe(1);
  });

  it('is forgotten when its incarnation is replaced (rule 14)', () => {
    const led = leader();
    append(led);
    led.step({ kind: 'written', writeId: 2 });
    led.step(position({ endOffset: 2 }));
    append(led);
    const replicas = assignment().replicas.map((replica) =>
      replica.brokerId === 2 ? { ...replica, brokerEpoch: 20 } : replica,
    );

    led.step({ kind: 'assign', assignment: assignment({ replicas }) });

    expect(led.status().followers[0]).toMatchObject({ brokerId: 2, endOffset: null });
  });

  it('of a member of S that matches only below HW says that it has lost what it acknowledged (P7)', () => {
    const led = leader();
    led.step(position());
    append(led);
    led.step({ kind: 'written', writeId: 2 });
    led.pushed(2, 2, 1);
    led.step(position({ endOffset: 2 }));
    const replicas = assignment().replicas.map((replica) =>
      replica.brokerId === 2 ? { ...replica, brokerEpoch: 20 } : replica,
    );
    led.step({ kind: 'assign', assignment: assignment({ replicas }) });

    const output = led.step(position({ brokerEpoch: 20, endOffset: 1 }));

    expect(led.readEnd()).toBe(2);
    expect(led.status().followers[0]).toMatchObject({ brokerId: 2, hasLost: true });
    expect(output.proposal?.change).toEqual({ op: 'distrust', member: 2 });
  });

  // Raft thesis 3.6.2 and figure 8: batches of earlier epochs are committed only through one of the
  // leader's own.
  it('at the end of earlier epochs commits nothing before the epoch start', () => {
    const led = partition({ ...EMPTY_LOG, endOffset: 4, epochs: [{ epoch: 3, startOffset: 0 }] });
    led.step({ kind: 'assign', assignment: assignment() });
    led.step({ kind: 'written', writeId: 1 });

    led.step(position({ lastEpoch: 3, endOffset: 4 }));
    const before = [led.readEnd(), led.latest()];
    led.pushed(2, 5, 0);
    led.step(position({ lastEpoch: 5, endOffset: 5 }));

    expect(before).toEqual([0, null]);
    expect([led.readEnd(), led.latest()]).toEqual([5, 5]);
  });
});

describe('Partition.step() assign', () => {
  it('never leads an epoch whose batches it holds already', () => {
    const restarted = partition({
      ...EMPTY_LOG,
      endOffset: 4,
      epochs: [{ epoch: 5, startOffset: 0 }],
    });

    const output = restarted.step({ kind: 'assign', assignment: assignment() });

    expect(restarted.status().role).toBe('spent');
    expect([output.stopped, output.writes]).toEqual([null, []]);
    expect(refusal(append(restarted))).toBe('none');
    const next = restarted.step({ kind: 'assign', assignment: assignment({ leaderEpoch: 7 }) });
    expect(restarted.status().role).toBe('leader');
    expect(next.writes).toMatchObject([
      { kind: 'control', baseOffset: 4, leaderEpoch: 7 },
      { kind: 'append', baseOffset: 5 },
    ]);
  });

  it('does not lead for another incarnation of itself', () => {
    const displaced = partition();
    const replicas = assignment().replicas.map((replica) => ({ ...replica, brokerEpoch: 99 }));

    displaced.step({ kind: 'assign', assignment: assignment({ replicas }) });

    expect(displaced.status().role).toBe('waiting');
  });

  it('ignores an assignment that is older', () => {
    const led = leader();

    led.step({ kind: 'assign', assignment: assignment({ leader: 2, leaderEpoch: 4 }) });

    expect(led.status()).toMatchObject({ role: 'leader', leaderEpoch: 5 });
  });

  it('takes the leader of an epoch that was committed leaderless', () => {
    const sealed = partition();
    sealed.step({ kind: 'assign', assignment: assignment({ leader: -1 }) });

    sealed.step({ kind: 'assign', assignment: assignment({ partitionEpoch: 2 }) });

    expect(sealed.status().role).toBe('leader');
  });
});

describe('Partition.divergence()', () => {
  const log: LogState = {
    ...EMPTY_LOG,
    endOffset: 10,
    highWaterMark: 10,
    epochs: [
      { epoch: 2, startOffset: 0 },
      { epoch: 4, startOffset: 6 },
    ],
  };
  const cases = [
    { name: 'a position within its epoch agrees', epoch: 2, offset: 6, expected: null },
    {
      name: 'a position past its epoch diverges at the end of that',
      epoch: 2,
      offset: 8,
      expected: { epoch: 2, endOffset: 6 },
    },
    {
      name: 'an epoch that the log skipped diverges at the end of the one before',
      epoch: 3,
      offset: 8,
      expected: { epoch: 2, endOffset: 6 },
    },
    { name: 'a follower may only be behind', epoch: 4, offset: 12, expected: null },
    { name: 'an epoch above the own one says nothing', epoch: 9, offset: 12, expected: null },
  ];
  for (const { name, epoch, offset, expected } of cases) {
    it(name, () => {
      const follower = partition(log);
      follower.step({ kind: 'assign', assignment: assignment({ leader: 2 }) });

      expect(follower.divergence(epoch, offset)).toEqual(expected);
    });
  }
});

describe('Partition.step() position', () => {
  it('pushes again from the stated end where what was pushed is lost', () => {
    const led = leader();
    led.step(position());
    append(led);
    led.step({ kind: 'written', writeId: 2 });
    led.pushed(2, 2, 1);
    expect(led.pushWindow(2)).toBe(null);

    led.step(position({ endOffset: 1, resend: true }));

    expect(led.pushWindow(2)).toMatchObject({ from: 1, upTo: 2 });
  });
});

describe('Partition.step() sync-set-result', () => {
  it('takes no answer to an earlier leadership of its own for one to the present', () => {
    const led = leader();
    led.pushed(3, 1, 0);
    const earlier = led.step(position({ from: 3, brokerEpoch: 13 })).proposal;
    led.step({ kind: 'assign', assignment: assignment({ leader: 2, leaderEpoch: 6 }) });
    led.step({ kind: 'assign', assignment: assignment({ leaderEpoch: 7 }) });
    led.step({ kind: 'written', writeId: 2 });
    const stated = { leaderEpoch: 7, lastEpoch: 7, endOffset: 2 };
    led.step(position(stated));
    const present = led.step(position({ ...stated, from: 3, brokerEpoch: 13 })).proposal;
    const error = new BrokerError('REFUSED', 'late');
    const { leaderEpoch = 0, proposalId = 0 } = earlier ?? {};
    led.step({ kind: 'sync-set-result', leaderEpoch, proposalId, error });
    append(led);
    led.step({ kind: 'written', writeId: 3 });
    led.pushed(2, 3, 2);
    led.step(position({ ...stated, endOffset: 3 }));

    expect([earlier, present]).toMatchObject([{ leaderEpoch: 5 }, { leaderEpoch: 7 }]);
    // Broker 3 may be in S by now (rule 12), and does not hold the batch.
    expect(led.status().highWaterMark).toBe(2);
  });
});
