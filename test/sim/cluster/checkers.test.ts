/** Each checker finds the history that it is there for: one that cannot fail proves nothing. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { PartitionState } from '../../../broker/metadata/types.ts';
import type { Broker } from '../../../broker/runtime/broker.ts';
import { encodeBatch } from '../../../wire/records/batch.ts';
import {
  checkAcknowledged,
  checkCertainty,
  checkEnded,
  checkFenced,
  checkLogStarts,
  checkLosses,
  checkTold,
  checkTrims,
  checkOnce,
  checkRaced,
  checkReaders,
  checkReadOnce,
  checkReplicas,
} from './checkers.ts';
import type { FinalLog } from './final-log.ts';
import { type Fate, History } from './history.ts';
import { Knowledge, type Known } from './knowledge.ts';
import { checkCommits } from './member-checker.ts';
import { BELOW_MS_MAX, BelowMin } from './roll.ts';
import { REMADE } from './topics.ts';

/** Nothing of it is retired or given up. */
const TOPIC = { ...REMADE, name: 't', isRemade: false };

function log(values: Record<number, string>, logStart = 0): FinalLog {
  const found = new Map(Object.entries(values).map(([offset, value]) => [Number(offset), value]));
  return {
    topic: 't',
    partition: 0,
    logStart,
    end: 10,
    values: found,
    sinceMs: 0,
    losses: [],
  };
}

function sent(value: string, fate: Fate): History {
  const history = new History();
  history.send(value, 't', 'append', 0).fate = fate;
  return history;
}

function acknowledged(offset: number): Fate {
  return { kind: 'acknowledged', partition: 0, offset, atMs: 1 };
}

function seen(...values: readonly string[]): History {
  const history = new History();
  for (const [index, value] of values.entries())
    history.seen.push({ reader: `r${index}`, topic: 't', partition: 0, offset: 3, value });
  return history;
}

describe('checkAcknowledged', () => {
  const cases: readonly [string, number, FinalLog, number][] = [
    ['takes a record that stands where it was said', 3, log({ 3: 'a' }), 0],
    ['finds one that is in no log', 3, log({}), 1],
    ['finds one that stands elsewhere', 3, log({ 4: 'a' }), 1],
    ['finds another one in its place', 3, log({ 3: 'b' }), 1],
    ['lets retention have what lies below the log start', 3, log({}, 4), 0],
    ['finds one of a forgotten offset that is in no log', -1, log({ 3: 'b' }), 1],
    ['takes one of a forgotten offset that is somewhere', -1, log({ 3: 'a' }), 0],
  ];
  it.each(cases)('%s', (_, offset, found, faults) => {
    expect(checkAcknowledged(sent('a', acknowledged(offset)), [found])).toHaveLength(faults);
  });
});

describe('what may be gone', () => {
  /** `a` was handed in at 0, and acknowledged and read at offset 3. */
  const history = sent('a', acknowledged(3));
  history.seen.push({ reader: 'r', topic: 't', partition: 0, offset: 3, value: 'a' });
  const loss = (fromOffset: number, knownMs: number): FinalLog => ({
    ...log({}),
    losses: [{ fromOffset, knownMs }],
  });
  const cases: readonly [string, FinalLog, boolean][] = [
    ['is what lies in a reported range', loss(3, 10), true],
    ['is nothing below a reported range', loss(4, 10), false],
    ['is nothing that was sent once everybody knew of the report', loss(3, 0), false],
    ['is what went to a former topic of the name', { ...log({}), sinceMs: 10 }, true],
    ['is nothing that was sent to the topic as it is', { ...log({}), sinceMs: 0 }, false],
  ];
  it.each(cases)('%s', (_, found, mayBeGone) => {
    const count = mayBeGone ? 0 : 1;
    expect(checkAcknowledged(history, [found])).toHaveLength(count);
    expect(checkReaders(history, history.seen, [found])).toHaveLength(count);
  });
});

describe('checkReadOnce', () => {
  it('finds a record that was read in two places', () => {
    const { seen: once } = seen('a');
    const twice = [...once, ...once.map((each) => ({ ...each, offset: 4 }))];
    expect(checkReadOnce(sent('a', acknowledged(3)), once, [log({})])).toEqual([]);
    expect(checkReadOnce(sent('a', acknowledged(3)), twice, [log({})])).toHaveLength(1);
  });
});

describe('checkFenced', () => {
  /** `a` is of epoch 1, was handed in at 0, and stands at offset 3. */
  function taken(epoch: number, atMs: number, end: number | null): History {
    const history = sent('a', acknowledged(3));
    history.epochs.set('a', 1);
    const ends = end === null ? null : new Map([[0, end]]);
    history.takeovers.push({ epoch, atMs, ends });
    return history;
  }
  const cases: readonly [string, History, number][] = [
    ['takes what stood there when the name was taken', taken(2, 10, 4), 0],
    ['finds what got its offset since', taken(2, 10, 3), 1],
    ['finds what was handed in since', taken(2, -1, null), 1],
    ['takes what the newer epoch wrote', taken(1, -1, 3), 0],
  ];
  it.each(cases)('%s', (_, history, faults) => {
    expect(checkFenced(history, [log({ 3: 'a' })])).toHaveLength(faults);
  });
});

describe('checkRaced', () => {
  function raced(fates: Readonly<Record<string, Fate>>, end = 3): History {
    const history = new History();
    for (const [value, fate] of Object.entries(fates)) {
      history.send(value, 't', 'raced', 0).fate = fate;
      history.expected.set(value, { racer: 'r', partition: 0, end });
    }
    return history;
  }
  const lost: Fate = { kind: 'refused', code: 'OFFSET_TAKEN', effect: 'none' };
  const unknown: Fate = { kind: 'refused', code: 'OUTCOME_UNKNOWN', effect: 'unknown' };
  const cases: readonly [string, History, Record<number, string>, number][] = [
    ['takes one winner', raced({ a: acknowledged(3), b: lost }), { 3: 'a' }, 0],
    ['takes a winner behind a control batch', raced({ a: acknowledged(4) }), { 4: 'a' }, 0],
    ['finds two winners', raced({ a: acknowledged(3), b: acknowledged(4) }), { 3: 'a', 4: 'b' }, 1],
    ['finds one that nobody knows of', raced({ b: unknown }), { 3: 'a', 4: 'b' }, 1],
    ['finds a loser to nobody', raced({ b: lost }), { 2: 'a' }, 1],
    ['finds one who loses twice at one end', raced({ b: lost, c: lost }), { 3: 'a' }, 1],
  ];
  it.each(cases)('%s', (_, history, values, faults) => {
    expect(checkRaced(history, [log(values)])).toHaveLength(faults);
  });
});

describe('BelowMin', () => {
  const state = {
    partition: 0,
    leader: 1,
    syncSet: [1, 2],
    suspects: [],
  } as unknown as PartitionState;
  const partition = { topic: 't', state, minInSyncReplicas: 2 };
  const look = (isUp: (id: number) => boolean, times: readonly number[]): number => {
    const below = new BelowMin();
    for (const ms of times) below.look([partition], isUp, ms);
    return below.faults.size;
  };

  it('finds a partition that takes no appends for too long', () => {
    const leaderless = { ...partition, state: { ...partition.state, leader: -1 } };
    const below = new BelowMin();
    for (const ms of [0, BELOW_MS_MAX + 1]) below.look([leaderless], (id) => id > 0, ms);
    expect(below.faults.size).toBe(1);
    expect(look((id) => id !== 2, [0, BELOW_MS_MAX + 1])).toBe(1);
    expect(look((id) => id !== 2, [0, BELOW_MS_MAX])).toBe(0);
    expect(look(() => true, [0, BELOW_MS_MAX + 1])).toBe(0);
  });
});

describe('checkLosses', () => {
  it('finds a report about a topic that consents to none', () => {
    const loss = { topic: 't', partition: 0, fromOffset: 3 };
    expect(checkLosses([loss], [TOPIC])).toHaveLength(1);
    expect(checkLosses([loss], [{ ...TOPIC, mayLose: true }])).toEqual([]);
  });
});

describe('checkTold', () => {
  const loss = { topic: 't', partition: 0, leaderEpoch: 3 };
  const way = { reader: 'r', topic: 't', partition: 0 };
  it.each([
    ['takes one that was told', { fromEpoch: 1, toEpoch: 3, told: [3] }, 0],
    ['finds one that was not', { fromEpoch: 1, toEpoch: 4, told: [] }, 1],
    ['finds one that was told twice', { fromEpoch: 1, toEpoch: 4, told: [3, 3] }, 1],
    ['finds one that nobody reported', { fromEpoch: 3, toEpoch: 4, told: [4] }, 1],
    ['finds one that was told again', { fromEpoch: 3, toEpoch: 3, told: [3] }, 1],
    ['takes a beginning that may lie behind it', { fromEpoch: 0, toEpoch: 4, told: [] }, 0],
  ])('%s', (_, passage, count) => {
    expect(checkTold([{ ...way, ...passage }], [loss], [TOPIC])).toHaveLength(count);
  });
});

describe('what everybody knows', () => {
  const report = { topicId: 'id', topic: 't', partition: 0, leaderEpoch: 4, fromOffset: 3 };
  const image = (ids: readonly string[], losses: readonly unknown[] = []): Known =>
    ({ topics: new Map(ids.map((id) => [id, {}])), losses }) as unknown as Known;

  it('is what the last of the brokers that run has heard of', () => {
    const knowledge = new Knowledge();
    knowledge.look([image(['id']), image([])], 1);
    expect(knowledge.knownSinceMs('id')).toBe(Number.POSITIVE_INFINITY);
    knowledge.look([image(['id']), null], 2);
    expect(knowledge.knownSinceMs('id')).toBe(Number.POSITIVE_INFINITY);
    knowledge.look([image(['id']), image(['id'])], 3);
    knowledge.look([image(['id']), image(['id'])], 4);
    expect(knowledge.knownSinceMs('id')).toBe(3);
  });

  it('dates a report likewise', () => {
    const knowledge = new Knowledge();
    expect(knowledge.look([image([], [report]), image([])], 1)).toHaveLength(1);
    expect(knowledge.losses[0]?.knownMs).toBe(Number.POSITIVE_INFINITY);
    expect(knowledge.look([image([], [report]), image([], [report])], 2)).toEqual([]);
    expect(knowledge.losses[0]?.knownMs).toBe(2);
  });
});

describe('checkOnce', () => {
  it('finds a record that stands twice', () => {
    expect(checkOnce([log({ 1: 'a', 2: 'b' })])).toEqual([]);
    expect(checkOnce([log({ 1: 'a', 2: 'a' })])).toHaveLength(1);
    expect(checkOnce([log({ 1: 'a' }), { ...log({ 1: 'a' }), partition: 1 }])).toHaveLength(1);
  });
});

describe('checkCertainty', () => {
  it('finds a record that was refused for certain and stands in a log', () => {
    const refused = (effect: string): History =>
      sent('a', { kind: 'refused', code: 'OVERLOADED', effect });
    expect(checkCertainty(refused('none'), [log({ 1: 'a' })])).toHaveLength(1);
    expect(checkCertainty(refused('unknown'), [log({ 1: 'a' })])).toEqual([]);
    expect(checkCertainty(refused('none'), [log({})])).toEqual([]);
  });
});

describe('checkReaders', () => {
  const cases: readonly [string, History, FinalLog, number][] = [
    ['takes what is still there', seen('a', 'a'), log({ 3: 'a' }), 0],
    ['finds a record that was read and is gone', seen('a'), log({}), 1],
    ['finds another one in its place', seen('a'), log({ 3: 'b' }), 1],
    ['finds two readers that were given different records', seen('a', 'b'), log({ 3: 'b' }), 2],
    ['lets retention have what was read', seen('a'), log({}, 4), 0],
  ];
  it.each(cases)('%s', (_, history, found, faults) => {
    expect(checkReaders(history, history.seen, [found])).toHaveLength(faults);
  });

  it('passes on what readers met and should not have', () => {
    const history = new History();
    history.readFaults.push('r1: DATA_CORRUPT');
    expect(checkReaders(history, history.seen, [log({})])).toEqual(['r1: DATA_CORRUPT']);
  });
});

describe('checkTrims', () => {
  function trimmed(logStart: number | null): History {
    const history = new History();
    history.trims.push({ topic: 't', partition: 0, offset: 6, logStart });
    return history;
  }

  it.each([
    { answered: 5, start: 5 },
    { answered: 5, start: 6 },
    { answered: null, start: 0 },
    { answered: null, start: 6 },
  ])('takes a log at $start after an answer of $answered', ({ answered, start }) => {
    expect(checkTrims(trimmed(answered), [log({}, start)])).toEqual([]);
  });

  it.each([
    { answered: 5, start: 4, allowed: '5 to 6' },
    { answered: null, start: 7, allowed: '0 to 6' },
  ])('finds a log at $start after an answer of $answered', ({ answered, start, allowed }) => {
    expect(checkTrims(trimmed(answered), [log({}, start)])).toEqual([
      `t/0 starts at ${start}, trims allow ${allowed}`,
    ]);
  });
});

describe('checkLogStarts', () => {
  it('finds a log start that no retention reached', () => {
    expect(checkLogStarts([log({}, 4)], [TOPIC])).toHaveLength(1);
    expect(checkLogStarts([log({}, 0)], [TOPIC])).toEqual([]);
    expect(checkLogStarts([log({}, 4)], [{ ...TOPIC, isRetired: true }])).toEqual([]);
  });
});

describe('checkEnded', () => {
  it('finds a call that has not ended', () => {
    const history = new History();
    void history.follow('append a', 5, new Promise(() => undefined));
    expect(checkEnded(history, 105)).toEqual(['"append a" has not ended in 100 ms']);
  });
});

describe('checkReplicas', () => {
  const frameOf = (text: string): Uint8Array =>
    encodeBatch(
      [{ value: new TextEncoder().encode(text), timestampMs: 1 }],
      { codec: 0, producer: { producerId: 0, producerEpoch: 0, baseSequence: 0xffff_ffff } },
      crc32,
    );

  function replica(brokerId: number, text: string): Broker {
    const partitions = [{ partition: 0, replicas: [1, 2] }];
    const topic = { topicId: 'id', name: 't', config: { cleanup: 'delete' }, partitions };
    return {
      brokerId,
      image: () => ({ index: 1, topics: new Map([['id', topic]]) }),
      marks: () => ({ logStart: 0, highWaterMark: 1 }),
      read: () => Promise.resolve({ chunks: [frameOf(text)], nextOffset: 1 }),
    } as unknown as Broker;
  }

  it('finds replicas that differ below the least of their marks', async () => {
    expect(await checkReplicas([replica(1, 'a'), replica(2, 'a')])).toEqual([]);
    expect(await checkReplicas([replica(1, 'a'), replica(2, 'b')])).toEqual([
      't/0: replicas on 1 and 2 differ within 0 to 1',
    ]);
  });
});

describe('the checker of holders', () => {
  const by = (member: string, epoch: number, askedMs: number, answeredMs: number) => ({
    ...{ member, epoch, askedMs, answeredMs },
  });

  it('takes what went from one to the next', () => {
    const told = [by('a', 1, 0, 5), by('a', 1, 6, 20), by('b', 3, 15, 18), by('a', 4, 30, 40)];
    expect(checkCommits('g 0', told)).toEqual([]);
  });

  it('finds a commit of who had it before', () => {
    const faults = checkCommits('g 0', [by('a', 1, 0, 5), by('b', 3, 6, 10), by('a', 1, 11, 12)]);
    expect(faults).toEqual([expect.stringContaining('a committed by epoch 1')]);
  });

  it('finds two holders in one epoch', () => {
    const faults = checkCommits('g 0', [by('a', 2, 0, 5), by('b', 2, 0, 5)]);
    expect(faults).toEqual([expect.stringContaining('a and b committed by epoch 2')]);
  });
});
