import { describe, expect, test } from 'vitest';
import { bootstrap, EMPTY_DURABLE, Raft } from '../../../../broker/raft/raft.ts';
import type {
  Durable,
  MessageBody,
  Peer,
  RaftInput,
  RaftMessage,
  RaftOptions,
  RaftOutput,
} from '../../../../broker/raft/types.ts';

const [ONE, TWO, THREE] = [1, 2, 3].map((brokerId) => ({ brokerId, directoryId: 'a' })) as [
  Peer,
  Peer,
  Peer,
];
const GROUP = [ONE, TWO, THREE];

function start(durable: Durable = bootstrap(GROUP), options: Partial<RaftOptions> = {}): Raft {
  return new Raft({ self: ONE, incarnation: 1, seed: 7, ...options }, durable);
}

function message(from: Peer, body: MessageBody, header: Partial<RaftMessage> = {}): RaftInput {
  return {
    kind: 'message',
    from,
    to: ONE,
    message: { term: 1, incarnation: 1, toIncarnation: 0, ...body, ...header } as RaftMessage,
  };
}

function persist(raft: Raft, output: RaftOutput): RaftOutput {
  return raft.step({ kind: 'persisted', writeId: output.writes.at(-1)?.id ?? 0 });
}

function tickUntil(
  raft: Raft,
  isDone: (output: RaftOutput) => boolean,
  ticksMax = 500,
): RaftOutput {
  for (let count = 0; count < ticksMax; count += 1) {
    const output = raft.step({ kind: 'tick' });
    if (isDone(output)) return output;
  }
  throw new Error(`nothing after ${ticksMax} ticks: ${JSON.stringify(raft.status())}`);
}

/** Leader of term 2 with its barrier at index 2, durable here and at TWO. */
function lead(raft: Raft): Raft {
  tickUntil(raft, (output) => output.status.role === 'pre-candidate');
  const candidacy = raft.step(
    message(TWO, { kind: 'pre-vote-reply', campaignTerm: 2, isGranted: true, leader: null }),
  );
  persist(raft, candidacy);
  persist(raft, raft.step(message(TWO, { kind: 'vote-reply', isGranted: true }, { term: 2 })));
  raft.step(message(TWO, { kind: 'append-accepted', matchIndex: 2, round: 0 }, { term: 2 }));
  expect(raft.status()).toMatchObject({ role: 'leader', isLeaderReady: true, commitIndex: 2 });
  return raft;
}

const kinds = (output: RaftOutput): string[] =>
  output.send.map((envelope) => envelope.message.kind);

describe('Raft at start', () => {
  test('a sole voter elects itself and commits once its disk has it', () => {
    const raft = start(bootstrap(ONE));
    const candidacy = raft.step({ kind: 'tick' });
    expect(candidacy).toMatchObject({
      writes: [{ kind: 'hard-state', hardState: { term: 2, vote: ONE } }],
      status: { role: 'candidate' },
    });
    const elected = persist(raft, candidacy);
    expect(elected.status).toMatchObject({ role: 'leader', isLeaderReady: false, commitIndex: 1 });
    expect(persist(raft, elected)).toMatchObject({
      committed: [{ index: 2, kind: 'barrier' }],
      status: { isLeaderReady: true },
    });
  });

  test('bootstrapVoters forms a group on an empty disk and writes it', () => {
    const output = start(EMPTY_DURABLE, { bootstrapVoters: [ONE] }).step({ kind: 'tick' });
    expect(output.writes).toMatchObject([
      { kind: 'hard-state' },
      { kind: 'snapshot', snapshot: { index: 1, term: 1, voters: [ONE] } },
    ]);
  });

  test('bootstrapVoters changes nothing on a disk that holds a group', () => {
    expect(start(bootstrap(GROUP), { bootstrapVoters: [ONE] }).status().voters).toEqual(GROUP);
  });

  test('a node without voters asks its seeds in turn and never campaigns', () => {
    const raft = start(EMPTY_DURABLE);
    raft.step({ kind: 'seeds', peers: [ONE, TWO, THREE] });
    const asked = Array.from({ length: 400 }, () => raft.step({ kind: 'tick' })).flatMap(
      (output) => output.send,
    );
    expect(new Set(asked.map(({ message: { kind } }) => kind))).toEqual(new Set(['follow']));
    expect(asked.slice(0, 3).map(({ to }) => to.brokerId)).toEqual([2, 3, 2]);
    expect(asked.length).toBe(40);
    expect(raft.status().role).toBe('learner');
  });

  test('a sole voter that was started again asks its seeds before it leads', () => {
    const raft = start(bootstrap(ONE), { incarnation: 2 });
    raft.step({ kind: 'seeds', peers: [TWO] });
    expect(raft.step({ kind: 'tick' }).send).toMatchObject([
      { to: TWO, message: { kind: 'follow' } },
    ]);
    expect(raft.status().role).toBe('pre-candidate');
    tickUntil(raft, (output) => output.status.role === 'candidate', 70);
  });

  test('one seed and the same inputs give the same outputs', () => {
    const run = (seed: number): string =>
      JSON.stringify(
        Array.from({ length: 300 }, (_, raft) => raft).reduce<{ raft: Raft; out: RaftOutput[] }>(
          ({ raft, out }) => ({ raft, out: [...out, raft.step({ kind: 'tick' })] }),
          { raft: start(bootstrap(GROUP), { seed }), out: [] },
        ).out,
      );
    expect(run(3)).toBe(run(3));
    expect(run(3)).not.toBe(run(4));
  });
});

describe('Raft votes', () => {
  const vote = (from: Peer, header: Partial<RaftMessage> = {}): RaftInput =>
    message(
      from,
      { kind: 'vote', lastIndex: 1, lastTerm: 1, isTransfer: false },
      { term: 2, ...header },
    );

  test('a grant waits for its write', () => {
    const output = start().step(vote(TWO));
    expect(output.send).toEqual([]);
    expect(output.writes).toMatchObject([
      { id: 1, kind: 'hard-state', hardState: { term: 2, vote: TWO } },
    ]);
    expect(output.sendAfter).toMatchObject([
      {
        writeId: 1,
        envelope: { to: TWO, message: { kind: 'vote-reply', isGranted: true, term: 2 } },
      },
    ]);
  });

  test('a term has one vote, also after a restart', () => {
    const raft = start({ ...bootstrap(GROUP), hardState: { term: 2, vote: TWO } });
    expect(raft.step(vote(THREE)).send).toMatchObject([
      { message: { kind: 'vote-reply', isGranted: false } },
    ]);
    expect(raft.step(vote(TWO)).send).toMatchObject([
      { message: { kind: 'vote-reply', isGranted: true } },
    ]);
  });

  test('a candidate behind gets none', () => {
    const raft = start({
      ...bootstrap(GROUP),
      entries: [{ index: 2, term: 1, kind: 'data', data: '' }],
    });
    expect(raft.step(vote(TWO)).send).toMatchObject([{ message: { isGranted: false } }]);
  });

  test('a vote is refused, without a trace, while the leader is heard; a transfer is not', () => {
    const raft = start();
    raft.step(
      message(
        TWO,
        { kind: 'append', prevIndex: 1, prevTerm: 1, entries: [], commitIndex: 1, round: 1 },
        { term: 2 },
      ),
    );
    expect(raft.step(vote(THREE, { term: 3 }))).toMatchObject({
      send: [],
      writes: [],
      status: { term: 2 },
    });
    const handed = raft.step(
      message(THREE, { kind: 'vote', lastIndex: 1, lastTerm: 1, isTransfer: true }, { term: 3 }),
    );
    expect(handed.sendAfter).toMatchObject([{ envelope: { message: { isGranted: true } } }]);
  });

  test('a pre-vote is refused while the leader is heard, granted once its connection was reset', () => {
    const raft = start();
    raft.step(
      message(
        TWO,
        { kind: 'append', prevIndex: 1, prevTerm: 1, entries: [], commitIndex: 1, round: 1 },
        { term: 2 },
      ),
    );
    const ask = message(
      THREE,
      { kind: 'pre-vote', campaignTerm: 3, lastIndex: 1, lastTerm: 1 },
      { term: 2 },
    );
    expect(raft.step(ask).send).toMatchObject([{ message: { isGranted: false, leader: TWO } }]);
    raft.step({ kind: 'peer-unreachable', peer: TWO });
    expect(raft.step(ask)).toMatchObject({ send: [{ message: { isGranted: true } }], writes: [] });
  });

  test("after a reset of the leader's connection a voter asks within 12 ticks, in the order of the keys", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const raft = start(bootstrap(GROUP), { seed });
      raft.step(
        message(
          THREE,
          { kind: 'append', prevIndex: 1, prevTerm: 1, entries: [], commitIndex: 1, round: 1 },
          { term: 2 },
        ),
      );
      raft.step({ kind: 'peer-unreachable', peer: THREE });
      tickUntil(raft, (output) => kinds(output).includes('pre-vote'), 4);
    }
  });
});

describe('Raft identity', () => {
  test('a message for another directory is ignored', () => {
    const ask = message(TWO, { kind: 'pre-vote', campaignTerm: 2, lastIndex: 1, lastTerm: 1 });
    expect(
      start().step({ ...ask, to: { brokerId: 1, directoryId: 'b' } } as RaftInput).send,
    ).toEqual([]);
  });

  test('a message that knows a later incarnation silences the core for good', () => {
    const raft = start();
    const output = raft.step(
      message(
        TWO,
        { kind: 'vote', lastIndex: 1, lastTerm: 1, isTransfer: false },
        { term: 2, toIncarnation: 2 },
      ),
    );
    expect(output.deposed).toBe(
      "directory a of broker 1 was put back to an earlier state, or a process that runs on a copy of it has taken this one's place: incarnation 2 is known, this one is 1",
    );
    expect(output).toMatchObject({ send: [], sendAfter: [], writes: [] });
    for (let count = 0; count < 200; count += 1)
      expect(raft.step({ kind: 'tick' })).toMatchObject({ send: [], deposed: output.deposed });
  });

  test('a candidate of an older incarnation than metadata knows is refused and told', () => {
    const raft = start();
    raft.step({ kind: 'incarnations', known: new Map([['2/a', 5]]) });
    const output = raft.step(
      message(
        TWO,
        { kind: 'vote', lastIndex: 9, lastTerm: 9, isTransfer: false },
        { term: 9, incarnation: 4 },
      ),
    );
    expect(output).toMatchObject({
      writes: [],
      sendAfter: [],
      send: [{ message: { kind: 'vote-reply', isGranted: false, toIncarnation: 5 } }],
    });
  });

  test('a later start that lost acknowledged entries counts no more and is told to withdraw', () => {
    const raft = lead(start());
    raft.step(
      message(
        TWO,
        {
          kind: 'append-rejected',
          rejectedIndex: 2,
          hintIndex: 1,
          hintTerm: 1,
          lastIndex: 1,
          round: 0,
        },
        { term: 2, incarnation: 2 },
      ),
    );
    const beat = tickUntil(raft, (output) => kinds(output).includes('append'));
    expect(beat.send.find(({ to }) => to.brokerId === 2)?.message.toIncarnation).toBe(3);
  });
});

describe('Raft leader', () => {
  test('propose is answered at commitment, and refused when it cannot be taken', () => {
    const raft = lead(start(bootstrap(GROUP), { appendBytesMax: 10, proposalsPendingMax: 1 }));
    expect(raft.step({ kind: 'propose', id: 1, data: 'x'.repeat(11) }).proposals).toMatchObject([
      { id: 1, result: { code: 'REFUSED', message: 'data has 11 bytes, at most 10 are allowed' } },
    ]);
    const taken = raft.step({ kind: 'propose', id: 2, data: 'x' });
    expect(taken.proposals).toEqual([]);
    expect(raft.step({ kind: 'propose', id: 3, data: 'x' }).proposals).toMatchObject([
      { id: 3, result: { code: 'BUSY' } },
    ]);
    persist(raft, taken);
    const done = raft.step(
      message(THREE, { kind: 'append-accepted', matchIndex: 3, round: 0 }, { term: 2 }),
    );
    expect(done).toMatchObject({
      committed: [{ index: 3, data: 'x' }],
      proposals: [{ id: 2, result: { ok: true, index: 3 } }],
    });
  });

  test('propose on a follower names the leader', () => {
    const raft = start();
    raft.step(
      message(
        TWO,
        { kind: 'append', prevIndex: 1, prevTerm: 1, entries: [], commitIndex: 1, round: 1 },
        { term: 2 },
      ),
    );
    expect(raft.step({ kind: 'propose', id: 1, data: '' }).proposals).toMatchObject([
      { result: { ok: false, code: 'NOT_LEADER', leader: TWO } },
    ]);
  });

  test('read waits for a round that began after it', () => {
    const raft = lead(start());
    const asked = raft.step({ kind: 'read', id: 1 });
    const round =
      asked.send.map(({ message: sent }) => (sent.kind === 'append' ? sent.round : 0))[0] ?? 0;
    expect(
      raft.step(
        message(TWO, { kind: 'append-accepted', matchIndex: 2, round: round - 1 }, { term: 2 }),
      ).reads,
    ).toEqual([]);
    expect(
      raft.step(message(TWO, { kind: 'append-accepted', matchIndex: 2, round }, { term: 2 })).reads,
    ).toEqual([{ id: 1, result: { ok: true, index: 2 } }]);
  });

  test('commits an entry of an earlier term only through one of its own (thesis figure 3.7)', () => {
    const raft = start({
      ...bootstrap(GROUP),
      hardState: { term: 3, vote: null },
      entries: [{ index: 2, term: 2, kind: 'data', data: 'a' }],
    });
    tickUntil(raft, (output) => output.status.role === 'pre-candidate');
    persist(
      raft,
      raft.step(
        message(
          TWO,
          { kind: 'pre-vote-reply', campaignTerm: 4, isGranted: true, leader: null },
          { term: 3 },
        ),
      ),
    );
    persist(raft, raft.step(message(TWO, { kind: 'vote-reply', isGranted: true }, { term: 4 })));
    expect(
      raft.step(message(TWO, { kind: 'append-accepted', matchIndex: 2, round: 0 }, { term: 4 }))
        .committed,
    ).toEqual([]);
    expect(raft.step({ kind: 'change-voters', id: 1, voters: [ONE, TWO] }).proposals).toMatchObject(
      [{ id: 1, result: { code: 'BUSY' } }],
    );
    expect(
      raft.step(message(TWO, { kind: 'append-accepted', matchIndex: 3, round: 0 }, { term: 4 }))
        .committed,
    ).toMatchObject([
      { index: 2, data: 'a' },
      { index: 3, kind: 'barrier' },
    ]);
  });

  test('counts no answer to an earlier term', () => {
    const raft = lead(start());
    persist(raft, raft.step({ kind: 'propose', id: 1, data: '' }));
    expect(
      raft.step(message(THREE, { kind: 'append-accepted', matchIndex: 3, round: 9 }, { term: 1 }))
        .committed,
    ).toEqual([]);
  });

  test('steps down when no majority answers', () => {
    const raft = lead(start());
    raft.step({ kind: 'propose', id: 1, data: '' });
    const output = tickUntil(raft, ({ status }) => status.role === 'follower', 130);
    expect(output.proposals).toMatchObject([{ id: 1, result: { code: 'OUTCOME_UNKNOWN' } }]);
  });

  test.each([
    ['two at once', [ONE], 'voters change one at a time: this adds 0 and removes 2'],
    ['nobody', GROUP, 'voters change one at a time: this adds 0 and removes 0'],
    [
      'a second directory of a broker',
      [...GROUP, { brokerId: 2, directoryId: 'b' }],
      'a broker can have one voter only: remove its old directory first',
    ],
    [
      'a stranger',
      [...GROUP, { brokerId: 4, directoryId: 'a' }],
      '4/a does not follow the log at present',
    ],
  ])('change-voters refuses %s', (_, voters, reason) => {
    expect(lead(start()).step({ kind: 'change-voters', id: 1, voters }).proposals).toMatchObject([
      { result: { code: 'REFUSED', message: reason } },
    ]);
  });

  test('change-voters takes one change at a time', () => {
    const raft = lead(start());
    expect(raft.step({ kind: 'change-voters', id: 1, voters: [ONE, TWO] }).status).toMatchObject({
      voters: [ONE, TWO],
      areVotersCommitted: false,
    });
    expect(raft.step({ kind: 'change-voters', id: 2, voters: [ONE] }).proposals).toMatchObject([
      { id: 2, result: { code: 'BUSY' } },
    ]);
  });

  test('follow makes a learner of a stranger, up to the limit, and never counts it', () => {
    const raft = lead(start(bootstrap(GROUP), { learnersMax: 1 }));
    const follow = (brokerId: number): RaftInput =>
      message(
        { brokerId, directoryId: 'a' },
        { kind: 'follow', lastIndex: 0, lastTerm: 0 },
        { term: 0 },
      );
    expect(raft.step(follow(4)).status.progress).toHaveLength(3);
    expect(raft.step(follow(5)).status.progress).toHaveLength(3);
    const taken = raft.step({ kind: 'propose', id: 1, data: '' });
    persist(raft, taken);
    expect(
      raft.step(
        message(
          { brokerId: 4, directoryId: 'a' },
          { kind: 'append-accepted', matchIndex: 3, round: 0 },
          { term: 2 },
        ),
      ).committed,
    ).toEqual([]);
  });
});

describe('Raft snapshots', () => {
  test('compact is ignored above the commit index and below the snapshot', () => {
    const raft = lead(start());
    expect(raft.step({ kind: 'compact', index: 3, data: '' }).writes).toEqual([]);
    expect(raft.step({ kind: 'compact', index: 1, data: '' }).writes).toEqual([]);
    expect(raft.step({ kind: 'compact', index: 2, data: 'image' }).writes).toMatchObject([
      { kind: 'snapshot', keepSuffix: true, snapshot: { index: 2, voters: GROUP } },
    ]);
  });

  test('a snapshot arrives in chunks that split no character', () => {
    const data = '\u{1f30a}'.repeat(25);
    const leader = lead(start(bootstrap(GROUP), { appendBytesMax: 15, tailEntriesMax: 0 }));
    leader.step({ kind: 'compact', index: 2, data });
    const four = { brokerId: 4, directoryId: 'a' };
    const learner = new Raft({ self: four, incarnation: 1, seed: 1 }, EMPTY_DURABLE);
    let output = leader.step(
      message(four, { kind: 'follow', lastIndex: 0, lastTerm: 0 }, { term: 0 }),
    );
    let restored: string | null = null;
    for (let count = 0; count < 60 && restored === null; count += 1) {
      const chunk = output.send.find(({ message: sent }) => sent.kind === 'snapshot');
      if (chunk?.message.kind !== 'snapshot') throw new Error('no chunk');
      expect(new TextEncoder().encode(chunk.message.chunk).length).toBeLessThanOrEqual(15);
      expect(chunk.message.chunk.isWellFormed()).toBe(true);
      const answer = learner.step({ kind: 'message', from: ONE, to: four, message: chunk.message });
      restored = answer.restore?.data ?? null;
      if (restored !== null)
        expect(answer.sendAfter).toMatchObject([
          { envelope: { message: { kind: 'append-accepted', matchIndex: 2 } } },
        ]);
      else
        output = leader.step({
          kind: 'message',
          from: four,
          to: ONE,
          message: (answer.send[0] as RaftOutput['send'][number]).message,
        });
    }
    expect(restored).toBe(data);
  });
});
