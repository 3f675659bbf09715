/** Where logs start: what retention took, what a cut or a reset left, and what got lost. */
import { describe, expect, it } from 'vitest';
import { ABDICATE_AGAIN_MS } from '../../../../broker/replication/abdication.ts';
import { Partition } from '../../../../broker/replication/partition.ts';
import { ProducerTable } from '../../../../broker/replication/producers.ts';
import type {
  Assignment,
  LogState,
  PartitionInput,
  Position,
} from '../../../../broker/replication/types.ts';
import type { BatchHeader } from '../../../../wire/batch/frame.ts';
import { assignment } from './assignment.ts';
import { header } from './header.ts';

/** Offsets 0 to 9 in epochs 2 and 3, all committed and synced. */
const LOG: LogState = {
  startOffset: 0,
  endOffset: 10,
  epochs: [
    { epoch: 2, startOffset: 0 },
    { epoch: 3, startOffset: 6 },
  ],
  highWaterMark: 10,
  syncedOffset: 10,
};
/** It starts at 4, and retention reached 1 only. */
const WITHOUT_BEGINNING: LogState = {
  ...LOG,
  startOffset: 4,
  retiredTo: 1,
  epochs: [
    { epoch: 2, startOffset: 4 },
    { epoch: 3, startOffset: 6 },
  ],
};

function replica(
  self: number,
  log: LogState = LOG,
  fields: Partial<Assignment> = {},
  known: readonly BatchHeader[] = [],
): Partition {
  const options = {
    self,
    selfEpoch: 10 + self,
    key: 'topic/0',
    lagMsMax: 1_000,
    appendsPendingMax: 2,
    nowMs: 0,
  };
  const producers = new ProducerTable({ producersMax: 10, nowMs: 0 });
  for (const each of known) producers.apply(each);
  const made = new Partition(options, log, producers);
  made.step({ kind: 'assign', assignment: assignment(fields) });
  return made;
}

/** Broker 1, leading epoch 5: its epoch start, at 10, is written. */
function leader(
  log: LogState = LOG,
  fields: Partial<Assignment> = {},
  known: readonly BatchHeader[] = [],
): Partition {
  const led = replica(1, log, fields, known);
  led.step({ kind: 'written', writeId: 1 });
  return led;
}

function position(fields: Partial<Position> = {}): PartitionInput {
  const position = {
    from: 2,
    brokerEpoch: 12,
    leaderEpoch: 5,
    lastEpoch: 3,
    endOffset: 10,
    syncedOffset: 0,
    start: { offset: 0, epoch: 0, retiredTo: 0 },
    ...fields,
  };
  return { kind: 'position', position };
}

/** A first batch, committed at 0, whose answer was lost. */
const RETRY = { producerId: 7, baseSequence: 0, baseOffset: 0 };

/** What becomes of a batch; none: it waits, or was appended. */
function appended(led: Partition, fields: Parameters<typeof header>[0]): string {
  const end = led.status().logEnd;
  const input = { requestId: 1, ack: 'all', header: header(fields), wallMs: 0 } as const;
  const { replies } = led.step({ kind: 'append', ...input });
  const result = replies[0]?.result;
  if (result !== undefined && !result.ok) return result.error.code;
  return led.status().logEnd > end ? 'ok' : 'none';
}

function learn(led: Partition, leaderEpoch = 5): void {
  led.step({ kind: 'producers-given', leaderEpoch, given: { idMax: 20, epochs: new Map() } });
}

const FROM_LEADER = { from: 1, leaderEpoch: 5 };

describe('a leader whose retention overtakes a follower', () => {
  it('tells it to start anew where it has been sent nothing beyond, and goes on from there', () => {
    const led = leader(LOG, { syncSet: [1, 3] });
    led.step(position({ lastEpoch: 2, endOffset: 2 }));
    led.pushed(2, 4, 10);

    const output = led.step({ kind: 'retire', offset: 6 });

    expect(output.messages).toEqual([
      { kind: 'reset-to', to: 2, leaderEpoch: 5, startOffset: 6, startEpoch: 2 },
    ]);
    expect(led.pushWindow(2)).toBeNull();
    led.step(
      position({ lastEpoch: 0, endOffset: 6, start: { offset: 6, epoch: 2, retiredTo: 6 } }),
    );
    expect(led.pushWindow(2)).toMatchObject({ from: 6, upTo: 11, logStartOffset: 6 });
  });

  it('leaves alone whom it has sent what comes next', () => {
    const led = leader(LOG, { syncSet: [1, 3] });
    led.step(position({ lastEpoch: 2, endOffset: 2 }));
    led.pushed(2, 6, 10);

    expect(led.step({ kind: 'retire', offset: 6 }).messages).toEqual([]);
    expect(led.pushWindow(2)).toMatchObject({ from: 6 });
  });

  it('takes what lags behind the log start and was sent in full', () => {
    const led = leader(LOG, { syncSet: [1, 3] });
    led.step(position({ lastEpoch: 2, endOffset: 2 }));
    led.pushed(2, 6, 10);
    led.step({ kind: 'retire', offset: 6 });

    expect(led.step(position({ lastEpoch: 2, endOffset: 4 })).messages).toEqual([]);
    expect(led.pushWindow(2)).toMatchObject({ from: 6 });
  });

  it('sends again what a log without batches may have dropped', () => {
    const led = leader(LOG, { syncSet: [1, 3] });
    const empty = { lastEpoch: 0, endOffset: 6, start: { offset: 6, epoch: 2, retiredTo: 6 } };
    led.step(position(empty));
    led.pushed(2, 11, 10);

    led.step(position(empty));

    expect(led.pushWindow(2)).toMatchObject({ from: 6 });
  });
});

describe('a leader that does not know what stood below its log start', () => {
  const retired: LogState = { ...LOG, startOffset: 6, startEpoch: 2, epochs: LOG.epochs.slice(1) };

  it('asks who may have written there until it is told, and takes no batch of theirs again', () => {
    const follower = replica(1, LOG, { leader: 2, leaderEpoch: 4 }, [header(RETRY)]);
    const reset = { kind: 'reset-to', from: 2, leaderEpoch: 4, startOffset: 20 } as const;
    follower.step({ ...reset, startEpoch: 3 });
    follower.step({ kind: 'written', writeId: 1 });

    const asked = follower.step({ kind: 'assign', assignment: assignment() }).asksProducers;
    follower.step({ kind: 'written', writeId: 2 });
    const askedAgain = follower.step({ kind: 'tick', nowMs: 1 }).asksProducers;
    const early = appended(follower, RETRY);
    learn(follower, 4);
    const outdated = appended(follower, RETRY);
    learn(follower);

    expect([asked, askedAgain, early, outdated]).toEqual([
      true,
      true,
      'BROKER_NOT_READY',
      'BROKER_NOT_READY',
    ]);
    expect(appended(follower, RETRY)).toBe('UNKNOWN_PRODUCER');
    expect(appended(follower, { ...RETRY, producerId: 21 })).toBe('ok');
    expect(follower.step({ kind: 'tick', nowMs: 2 }).asksProducers).toBe(false);
  });

  it('knows it still when retention took it meanwhile', () => {
    const led = leader(retired, {}, [header(RETRY)]);

    expect(led.step({ kind: 'tick', nowMs: 1 }).asksProducers).toBe(false);
    expect(appended(led, RETRY)).toBe('none');
  });
});

describe('a follower that holds what an unclean election may have lost', () => {
  const uncleanly = { uncleanEpoch: 5 };
  const frames = { kind: 'frames', ...FROM_LEADER, highWaterMark: 10, headers: [] } as const;

  it('keeps aside what the chosen log lacks at its start, and not what is retired later', () => {
    const follower = replica(2, LOG, uncleanly);

    const met = follower.step({ ...frames, logStartOffset: 4 });
    const later = follower.step({ ...frames, logStartOffset: 6 });

    expect([met, later].flatMap(({ writes }) => writes)).toMatchObject([
      { kind: 'retire', startOffset: 4, keepAside: true },
      { kind: 'retire', startOffset: 6, keepAside: false },
    ]);
  });

  it.each([
    { name: 'it was elected by evidence', uncleanEpoch: 0 },
    { name: 'the election came before what is committed here', uncleanEpoch: 3 },
  ])('keeps nothing aside for its leader when $name', ({ uncleanEpoch }) => {
    const follower = replica(2, LOG, { uncleanEpoch });

    expect(follower.step({ ...frames, logStartOffset: 4 }).writes).toMatchObject([
      { kind: 'retire', startOffset: 4, keepAside: false },
    ]);
  });

  it.each([
    {
      name: 'starts anew above its end',
      log: LOG,
      input: { kind: 'reset-to', ...FROM_LEADER, startOffset: 20, startEpoch: 4 } as const,
    },
    {
      name: 'is cut below its start',
      log: { ...LOG, startOffset: 6, startEpoch: 2, epochs: LOG.epochs.slice(1) },
      input: { kind: 'diverged', ...FROM_LEADER, epoch: 1, endOffset: 2 } as const,
    },
  ])('keeps everything aside when it $name', ({ log, input }) => {
    const follower = replica(2, log, uncleanly);

    expect(follower.step(input).writes).toMatchObject([{ kind: 'reset', keepAside: true }]);
  });
});

describe('the epoch before the log start', () => {
  const cases: {
    name: string;
    log: LogState;
    inputs: PartitionInput[];
    expected: { lastEpoch: number; endOffset: number };
  }[] = [
    {
      name: 'when retention took all',
      log: { ...LOG, startOffset: 10, startEpoch: 3, epochs: [] },
      inputs: [],
      expected: { lastEpoch: 3, endOffset: 10 },
    },
    {
      name: 'when a leader took all while it was followed',
      log: LOG,
      inputs: [
        { kind: 'frames', ...FROM_LEADER, highWaterMark: 10, logStartOffset: 10, headers: [] },
      ],
      expected: { lastEpoch: 3, endOffset: 10 },
    },
    {
      name: 'when the log was cut to its start',
      log: {
        ...LOG,
        startOffset: 6,
        startEpoch: 2,
        highWaterMark: 6,
        epochs: [{ epoch: 3, startOffset: 6 }],
      },
      inputs: [{ kind: 'diverged', ...FROM_LEADER, epoch: 2, endOffset: 6 }],
      expected: { lastEpoch: 2, endOffset: 6 },
    },
    {
      name: 'when the log was reset',
      log: LOG,
      inputs: [{ kind: 'reset-to', ...FROM_LEADER, startOffset: 20, startEpoch: 4 }],
      expected: { lastEpoch: 4, endOffset: 20 },
    },
  ];
  for (const { name, log, inputs, expected } of cases) {
    it(`testifies in an election ${name}`, () => {
      const follower = replica(2, log);
      for (const input of inputs) {
        const { writes } = follower.step(input);
        for (const { writeId } of writes) follower.step({ kind: 'written', writeId });
      }

      follower.step({ kind: 'assign', assignment: assignment({ leader: -1, leaderEpoch: 6 }) });

      expect(follower.inspect(6)).toMatchObject(expected);
    });
  }

  it.each([
    { name: 'matches where both know the same', epoch: 2, isMatched: true },
    { name: 'refuses another: what is gone was of another history', epoch: 1, isMatched: false },
    { name: 'matches an empty log that does not know it', epoch: 0, isMatched: true },
  ])('at the start of the leader $name', ({ epoch, isMatched }) => {
    const led = leader({ ...LOG, startOffset: 6, startEpoch: 2, epochs: LOG.epochs.slice(1) });

    const output = led.step(
      position({ lastEpoch: 0, endOffset: 6, start: { offset: 6, epoch, retiredTo: 6 } }),
    );

    expect(led.pushWindow(2) !== null).toBe(isMatched);
    expect(output.messages).toHaveLength(isMatched ? 0 : 1);
  });

  it('is taken over by a follower that is empty there already', () => {
    const follower = replica(2, { ...LOG, startOffset: 10, startEpoch: 1, epochs: [] });

    const again = { kind: 'reset-to', ...FROM_LEADER, startOffset: 10 } as const;
    const output = follower.step({ ...again, startEpoch: 3 });
    for (const { writeId } of output.writes) follower.step({ kind: 'written', writeId });

    expect(output.writes).toMatchObject([{ kind: 'reset', start: { offset: 10, epoch: 3 } }]);
    expect(follower.step({ ...again, startEpoch: 3 }).writes).toEqual([]);
    expect(follower.step(again).writes).toEqual([]);
  });
});

describe('a log that has lost its beginning', () => {
  const stated = position({ start: { offset: 4, epoch: 0, retiredTo: 1 } });

  it('is distrusted by its leader as a member of S, and gets no certificate', () => {
    const led = leader();

    const output = led.step(stated);

    expect(output.proposal?.change).toEqual({ op: 'distrust', member: 2 });
    expect(output.messages).toEqual([]);
    expect(led.pushWindow(2)).toBeNull();
    expect(led.status().followers[0]).toMatchObject({ endOffset: null, hasLost: true });
  });

  it.each([
    { name: 'a suspect', fields: { suspects: [2] } },
    { name: 'out of S', fields: { syncSet: [1, 3] } },
  ])('is copied anew once it is $name', ({ fields }) => {
    const led = leader(LOG, fields);

    const output = led.step(stated);

    expect(output.messages).toMatchObject([{ kind: 'reset-to', to: 2, startOffset: 0 }]);
  });

  it('is not taken for whole when what it stated before its reset comes late', () => {
    const led = leader(LOG, { syncSet: [1, 3] });
    led.step(stated);
    led.step({ kind: 'retire', offset: 6 });

    expect(led.step(stated).messages).toMatchObject([{ kind: 'reset-to', startOffset: 6 }]);
    expect(led.pushWindow(2)).toBeNull();
  });

  it('is whole again once the retention of its leader has passed its start', () => {
    const led = leader({ ...LOG, startOffset: 4, startEpoch: 2, epochs: WITHOUT_BEGINNING.epochs });

    expect(led.step(stated).messages).toEqual([]);
    expect(led.pushWindow(2)).toMatchObject({ from: 10 });
  });

  it('starts anew below its end when its leader says so', () => {
    const follower = replica(2, WITHOUT_BEGINNING);

    const output = follower.step({ kind: 'reset-to', ...FROM_LEADER, startOffset: 0 });

    expect(output.writes).toMatchObject([
      { kind: 'reset', start: { offset: 0, epoch: 0, retiredTo: 0 } },
    ]);
    expect(follower.status()).toMatchObject({ logStart: 0, logEnd: 0, highWaterMark: 0 });
  });

  it('does not lead, and asks again and again that another does', () => {
    const named = replica(1, LOG, { leader: 2, leaderEpoch: 4 });
    const unfit = replica(1, WITHOUT_BEGINNING, { leader: 2, leaderEpoch: 4 });

    const outputs = [named, unfit].map((each) =>
      each.step({ kind: 'assign', assignment: assignment() }),
    );
    const later = [ABDICATE_AGAIN_MS - 1, ABDICATE_AGAIN_MS].map((nowMs) =>
      unfit.step({ kind: 'tick', nowMs }),
    );

    expect(outputs.map(({ stopped }) => stopped)).toEqual([
      null,
      'topic/0: cannot lead epoch 5, the log starts at 4, and retention reached 1 only: it has lost its beginning',
    ]);
    const change = { op: 'distrust', member: 1 };
    expect(outputs[1]).toMatchObject({ writes: [], proposal: { leaderEpoch: 5, change } });
    expect(later.map(({ proposal }) => proposal?.change)).toEqual([undefined, change]);
    unfit.step({ kind: 'assign', assignment: assignment({ leader: 2, leaderEpoch: 6 }) });
    expect(unfit.status().role).toBe('follower');
  });

  it('leads after an unclean election, which has reported what is missing', () => {
    const chosen = replica(1, WITHOUT_BEGINNING, {
      syncSet: [1],
      quorum: 1,
      minInSyncReplicas: 1,
      uncleanEpoch: 5,
    });

    expect(chosen.status().role).toBe('leader');
    expect(chosen.inspect(5)?.start).toEqual({ offset: 4, epoch: 0, retiredTo: 4 });
  });

  it('acknowledges nothing as the duplicate of what it lost, once it leads', () => {
    const retry = { ...RETRY, baseOffset: 2 };
    const chosen = replica(
      1,
      WITHOUT_BEGINNING,
      { syncSet: [1], quorum: 1, minInSyncReplicas: 1, uncleanEpoch: 5 },
      [header(retry)],
    );
    chosen.step({ kind: 'written', writeId: 2 });

    expect(appended(chosen, retry)).toBe('BROKER_NOT_READY');
    learn(chosen);
    expect(appended(chosen, retry)).toBe('UNKNOWN_PRODUCER');
  });

  it('is told apart from what retention took while it was followed', () => {
    const follower = replica(2);

    follower.step({
      kind: 'frames',
      ...FROM_LEADER,
      highWaterMark: 10,
      logStartOffset: 2,
      headers: [header({ baseOffset: 10, leaderEpoch: 5 })],
    });

    expect(follower.status()).toMatchObject({ logStart: 2, logEnd: 11 });
    expect(follower.inspect(5)?.start).toEqual({ offset: 2, epoch: 2, retiredTo: 2 });
  });
});
