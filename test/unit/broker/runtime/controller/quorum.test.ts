import { describe, expect, it } from 'vitest';
import type { Peers } from '../../../../../broker/runtime/ports.ts';
import { Quorum } from '../../../../../broker/runtime/controller/quorum.ts';
import { encodeVoters } from '../../../../../broker/raft/peer.ts';
import type { Entry, RaftMessage, Snapshot } from '../../../../../broker/raft/types.ts';
import { emptyImage } from '../../../../../broker/metadata/apply.ts';
import { encodeImage, encodeRecords } from '../../../../../broker/metadata/codec.ts';
import type { MetadataRecord } from '../../../../../broker/metadata/types.ts';
import { partitionState, topicState } from '../../metadata/fixtures.ts';
import { FakeClock } from '../fake-clock.ts';

const SELF = { brokerId: 1, directoryId: 'directory-1' };
const LEVEL_2 = '[{"kind":"feature-level","featureLevel":2}]';
/** More than any election timeout. */
const TICKS = 1_000;

interface Scene {
  readonly snapshot?: Snapshot;
  readonly write?: () => Promise<void>;
}

/** A voter that is alone, with the log that it finds on its disk. */
function alone(data: readonly string[], { snapshot, write }: Scene = {}) {
  const told: string[] = [];
  const first = (snapshot?.index ?? 0) + 1;
  const voters: Entry = { index: first, term: 1, kind: 'voters', data: encodeVoters([SELF]) };
  const entries = data.map(
    (text, at): Entry => ({ index: at + first + 1, term: 1, kind: 'data', data: text }),
  );
  const clock = new FakeClock();
  const quorum = new Quorum({
    self: SELF,
    incarnation: 1,
    seed: 1,
    durable: {
      hardState: { term: 1, vote: null },
      snapshot: snapshot ?? null,
      entries: [voters, ...entries],
    },
    clock,
    log: {
      load: () => Promise.reject(new Error('is loaded already')),
      write: write ?? (() => Promise.resolve()),
      beginIncarnation: () => Promise.resolve(1),
      noteBrokerEpoch: () => Promise.resolve(1),
    },
    peers: { sendRaft: () => undefined } as unknown as Peers,
    onImage: () => undefined,
    onStatus: ({ role, isLeaderReady }) => {
      if (role === 'leader' && isLeaderReady) told.push('leads');
    },
    onUnreadable: (unreadable) => told.push(unreadable?.reason ?? 'reads again'),
    onRefused: (reason, count) => told.push(`${count}: ${reason}`),
    onFatal: (reason) => told.push(reason),
  });
  quorum.start();
  return { quorum, told, clock };
}

/** Lets it elect itself and commit what it has. */
async function run(quorum: Quorum): Promise<void> {
  for (let tick = 0; tick < TICKS; tick += 1) {
    quorum.step({ kind: 'tick' });
    // A finished write is an input of its own.
    await Promise.resolve();
  }
}

describe('Quorum', () => {
  it('folds what is committed into the image', async () => {
    const { quorum, told } = alone([LEVEL_2]);
    await run(quorum);
    expect({ level: quorum.image.featureLevel, told }).toEqual({ level: 2, told: ['leads'] });
  });

  it('remembers what entries decided about partitions, with the time of those it saw come', async () => {
    const first = partitionState({ replicas: [1, 2] });
    const row = { ...first, partitionEpoch: 2, leader: 2, leaderEpoch: 2 };
    const made: MetadataRecord = { kind: 'topic-created', topic: topicState([first]) };
    const changed: MetadataRecord = { kind: 'partition-changed', topicId: 't', state: row };
    const { quorum, clock } = alone([LEVEL_2, encodeRecords([made])]);
    await run(quorum);
    clock.advance(5_000);
    const proposed = quorum.propose([changed]);
    await run(quorum);
    const index = await proposed;
    expect(quorum.decisions.of('t', 0)).toMatchObject([
      { index: 3, atMs: null, before: null },
      { index, atMs: clock.wallMs(), before: { leader: 1 }, after: { leader: 2 } },
    ]);
    expect(quorum.decisions.rememberedFrom).toBe(0);
    const gone = quorum.propose([{ kind: 'topic-deleted', topicId: 't' }]);
    await run(quorum);
    await gone;
    expect(quorum.decisions.of('t', 0)).toEqual([]);
  });

  it('lets entries wait that are not committed, however large they are', async () => {
    const disk = { isStuck: false };
    const never = new Promise<void>(() => undefined);
    const write = (): Promise<void> => (disk.isStuck ? never : Promise.resolve());
    const { quorum } = alone([], { write });
    await run(quorum);
    disk.isStuck = true;
    const name = 'x'.repeat(1_000_000);
    for (let count = 0; count < 6; count += 1)
      void quorum.propose([
        { kind: 'producer-named', name, producerId: 1, producerEpoch: 1, owner: '', hour: 0 },
      ]);
    expect(quorum.status.logBytes).toBeGreaterThan(5_000_000);
  });
});

describe('Quorum with metadata that it cannot read', () => {
  const NEWER = '[{"kind":"feature-level","featureLevel":9},{"kind":"x"}]';
  const REASON =
    'Cannot read data: records[1].kind is "x", must be one that this build knows: it was written by a newer build';

  it('applies what comes before, says so once, and does not lead', async () => {
    const { quorum, told } = alone([LEVEL_2, NEWER, LEVEL_2]);
    await run(quorum);
    await run(quorum);
    expect(told).toEqual([REASON]);
    expect(quorum.unreadable).toEqual({ index: 3, reason: REASON });
    expect({ index: quorum.image.index, level: quorum.image.featureLevel }).toEqual({
      index: 2,
      level: 2,
    });
    expect(quorum.status).toMatchObject({ role: 'pre-candidate' });
  });

  it('starts on an image that it cannot read, and says so', async () => {
    const snapshot = { index: 5, term: 1, voters: [SELF], data: '{"version":2}' };
    const { quorum, told } = alone([LEVEL_2], { snapshot });
    await run(quorum);
    expect(told).toEqual([expect.stringContaining('snapshot.version is 2')]);
    expect(quorum.image.index).toBe(0);
  });

  it('goes on with a later image that it can read', async () => {
    const { quorum, told } = alone([NEWER]);
    await run(quorum);
    receive(quorum, snapshotOf(9, encodeImage({ ...emptyImage(), index: 9, featureLevel: 3 })));
    expect(told).toEqual([REASON, 'reads again']);
    expect(quorum.image).toMatchObject({ index: 9, featureLevel: 3 });
    await run(quorum);
    expect(quorum.unreadable).toBe(null);
  });

  it.each([
    { name: 'of another index', data: encodeImage({ ...emptyImage(), index: 8 }) },
    { name: 'that is empty', data: '' },
    { name: 'of a newer build', data: '{"version":2}' },
  ])('takes no image from a leader $name', async ({ data }) => {
    const { quorum, told } = alone([LEVEL_2]);
    await run(quorum);
    told.length = 0;
    receive(quorum, snapshotOf(9, data));
    expect(told).toEqual([expect.stringContaining('the image at 9 cannot be read')]);
    expect(quorum.image.featureLevel).toBe(2);
  });

  it('does not propose what it could not read', async () => {
    const { quorum } = alone([]);
    await run(quorum);
    const record = { kind: 'x' } as unknown as MetadataRecord;
    await expect(quorum.propose([record])).rejects.toMatchObject({ code: 'REFUSED' });
  });
});

describe('Quorum that hears a liar', () => {
  it('says so at most once a second, with their number', () => {
    const { quorum, told, clock } = alone([]);
    const lie = { ...snapshotOf(9, ''), term: 2 ** 50 };
    for (let count = 0; count < 5; count += 1) receive(quorum, lie);
    clock.advance(1_000);
    receive(quorum, lie);
    expect(told.map((line) => line.slice(0, 24))).toEqual([
      '1: snapshot of 2/directo',
      '6: snapshot of 2/directo',
    ]);
  });
});

function snapshotOf(snapshotIndex: number, data: string): RaftMessage {
  return {
    kind: 'snapshot',
    term: 9,
    incarnation: 1,
    toIncarnation: 1,
    snapshotIndex,
    snapshotTerm: 9,
    voters: [SELF],
    offset: 0,
    total: data.length,
    chunk: data,
  };
}

function receive(quorum: Quorum, message: RaftMessage): void {
  quorum.receive({ brokerId: 2, directoryId: 'directory-2' }, SELF, message);
}
