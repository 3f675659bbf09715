/**
 * Nothing that another process says makes a replica throw, or takes it further than what it knows.
 */
import { describe, expect, test } from 'vitest';
import { Random } from '../../../../base/random.ts';
import { INDEX_JUMP_MAX, TERM_JUMP_MAX } from '../../../../broker/raft/faults.ts';
import { bootstrap, EMPTY_DURABLE, Raft } from '../../../../broker/raft/raft.ts';
import { Disk } from '../../../sim/raft/disk.ts';
import type {
  Envelope,
  MessageBody,
  Peer,
  RaftInput,
  RaftOutput,
} from '../../../../broker/raft/types.ts';
import { Hostile, MESSAGE_KINDS } from './hostile.ts';

const HISTORIES = 150;
const HONEST_STEPS_MAX = 400;
const HOSTILE_STEPS = 60;
const PEERS: readonly Peer[] = [1, 2, 3, 4].map((brokerId) => ({ brokerId, directoryId: 'a' }));

class Replica {
  readonly peer: Peer;
  readonly raft: Raft;
  readonly disk = new Disk();
  writeId = 0;
  held: RaftOutput['sendAfter'][number][] = [];

  constructor(peer: Peer, seed: number, voters: readonly Peer[]) {
    this.peer = peer;
    // The last one is no voter: it learns.
    this.disk.durable = voters.includes(peer) ? bootstrap(voters) : EMPTY_DURABLE;
    this.raft = new Raft(
      { self: peer, incarnation: 1, seed, appendBytesMax: 120, tailEntriesMax: 2 },
      this.disk.durable,
    );
    this.raft.step({ kind: 'seeds', peers: PEERS });
  }
}

/** A group without faults, stepped at random; then its replicas hear a liar. */
class Group {
  readonly random: Random;
  readonly replicas: readonly Replica[];
  readonly #network: { readonly from: Peer; readonly envelope: Envelope }[] = [];
  #nextId = 1;

  constructor(seed: number) {
    this.random = new Random(seed);
    const voters = PEERS.slice(0, this.random.pick([1, 3]));
    this.replicas = PEERS.map((peer) => new Replica(peer, seed, voters));
  }

  step(replica: Replica, input: RaftInput): RaftOutput {
    const output = replica.raft.step(input);
    for (const write of output.writes) replica.disk.apply(write);
    replica.writeId = output.writes.at(-1)?.id ?? replica.writeId;
    replica.held.push(...output.sendAfter);
    for (const envelope of output.send) this.#network.push({ from: replica.peer, envelope });
    return output;
  }

  /** One thing that may happen to an honest group. */
  advance(): void {
    const replica = this.random.pick(this.replicas);
    const chance = this.random.below(10);
    if (chance < 3) this.step(replica, { kind: 'tick' });
    else if (chance < 5) this.#persist(replica);
    else if (chance < 6) this.#ask(replica);
    else this.#deliver();
  }

  #ask(replica: Replica): void {
    const id = this.#nextId;
    this.#nextId += 1;
    const { commitIndex } = replica.raft.status();
    const input = this.random.pick<RaftInput>([
      { kind: 'propose', id, data: 'x'.repeat(this.random.below(20)) },
      { kind: 'read', id },
      { kind: 'compact', index: commitIndex, data: 'image' },
      { kind: 'transfer', to: 2 },
    ]);
    this.step(replica, input);
  }

  #persist(replica: Replica): void {
    this.step(replica, { kind: 'persisted', writeId: replica.writeId });
    for (const { envelope } of replica.held) this.#network.push({ from: replica.peer, envelope });
    replica.held = [];
  }

  #deliver(): void {
    const [next] = this.#network.splice(this.random.below(this.#network.length), 1);
    const target = this.replicas.find(({ peer }) => peer.brokerId === next?.envelope.to.brokerId);
    if (next === undefined || target === undefined) return;
    const { from, envelope } = next;
    this.step(target, { kind: 'message', from, to: envelope.to, message: envelope.message });
  }

  /** What a liar says next to this replica. */
  lie(replica: Replica, kind?: MessageBody['kind']): RaftInput {
    const { term, commitIndex, lastIndex } = replica.raft.status();
    const target = { term, commitIndex, lastIndex, incarnation: 1, peers: PEERS };
    const hostile = new Hostile(this.random, target);
    return {
      kind: 'message',
      from: hostile.peer(),
      to: replica.peer,
      message: hostile.message(kind),
    };
  }
}

/** The numbers of a message, wherever they stand. */
function numbersOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbersOf) : [];
}

function groupAfter(seed: number): Group {
  const group = new Group(seed);
  for (let left = group.random.below(HONEST_STEPS_MAX); left > 0; left -= 1) group.advance();
  return group;
}

describe('Raft.step() with what a liar says', () => {
  test.each(MESSAGE_KINDS)('throws for no %s', (kind) => {
    for (let seed = 1; seed <= HISTORIES; seed += 1) {
      const group = groupAfter(seed);
      for (const replica of group.replicas) {
        const input = group.lie(replica, kind);
        expect(() => group.step(replica, input), `${seed}: ${JSON.stringify(input)}`).not.toThrow();
        replica.raft.checkLog();
      }
    }
  });

  test('throws for no series of them, and stays within what can be', () => {
    for (let seed = 1; seed <= HISTORIES; seed += 1) {
      const group = groupAfter(seed);
      const replica = group.random.pick(group.replicas);
      for (let left = HOSTILE_STEPS; left > 0; left -= 1) {
        const before = replica.raft.status();
        const input = group.lie(replica);
        const output = group.step(replica, input);
        const after = output.status;
        const told = `${seed}: ${JSON.stringify({ before, input, after })}`;
        expect(after.term - before.term, told).toBeLessThanOrEqual(TERM_JUMP_MAX);
        expect(after.commitIndex - before.commitIndex, told).toBeLessThanOrEqual(INDEX_JUMP_MAX);
        expect(numbersOf(output).every(Number.isSafeInteger), told).toBe(true);
        replica.raft.checkLog();
        group.advance();
      }
      // What stood on the disk then starts again.
      new Raft({ self: replica.peer, incarnation: 2, seed }, replica.disk.durable).checkLog();
    }
  });
});

describe('Raft.step() refuses', () => {
  const ONE = PEERS[0]!;
  const TWO = PEERS[1]!;
  const follower = (): Raft =>
    new Raft(
      { self: ONE, incarnation: 1, seed: 1, entryFault: (data) => (data === 'bad' ? 'bad' : null) },
      {
        ...bootstrap(PEERS.slice(0, 3)),
        entries: [{ index: 2, term: 1, kind: 'data', data: 'a' }],
      },
    );
  const say = (raft: Raft, body: object, header: object = {}, from = TWO): RaftOutput => {
    const top = { term: 2, incarnation: 1, toIncarnation: 1 };
    const message = { ...top, ...body, ...header } as never;
    return raft.step({ kind: 'message', from, to: ONE, message });
  };
  const append = {
    kind: 'append',
    prevIndex: 2,
    prevTerm: 1,
    entries: [],
    commitIndex: 2,
    round: 1,
  };
  const snapshot = {
    kind: 'snapshot',
    snapshotIndex: 5,
    snapshotTerm: 2,
    voters: PEERS.slice(0, 3),
    offset: 0,
    total: 5,
    chunk: 'image',
  };
  const entry = { index: 3, term: 2, kind: 'data', data: 'b' };

  test.each([
    ['a term beyond reach', append, { term: 2 ** 50 }, 'term is 1125899906842624, can be 0 to'],
    ['an incarnation beyond reach', append, { incarnation: 2 ** 50 }, 'incarnation is'],
    ['no incarnation', append, { incarnation: 0 }, 'incarnation is 0'],
    ['an incarnation of ours beyond reach', append, { toIncarnation: 2 ** 50 }, 'toIncarnation is'],
    ['an index beyond reach', { ...append, prevIndex: 2 ** 50 }, {}, 'prevIndex is'],
    ['a commit index beyond reach', { ...append, commitIndex: 2 ** 50 }, {}, 'commitIndex is'],
    ['a leader of term 0', append, { term: 0 }, 'term is 0'],
    ['a gap', { ...append, entries: [{ ...entry, index: 4 }] }, {}, 'entry 4 stands in the place'],
    ['an entry of a later term', { ...append, entries: [{ ...entry, term: 3 }] }, {}, 'term of'],
    ['a falling term', { ...append, prevTerm: 2, entries: [{ ...entry, term: 1 }] }, {}, 'term of'],
    [
      'voters that are none',
      { ...append, entries: [{ ...entry, kind: 'voters', data: '[]' }] },
      {},
      'entry 3 holds no voters',
    ],
    ['what is against a committed entry', { ...append, prevIndex: 1, prevTerm: 2 }, {}, 'entry 1'],
    ['a snapshot of a later term', { ...snapshot, snapshotTerm: 3 }, {}, 'snapshotTerm is 3'],
    ['a snapshot without voters', { ...snapshot, voters: [] }, {}, 'there are 0 voters'],
    [
      'a broker that votes twice',
      { ...snapshot, voters: [TWO, { ...TWO, directoryId: 'b' }] },
      {},
      'a broker has two voters',
    ],
    [
      'more of a snapshot than there is',
      { ...snapshot, total: 4 },
      {},
      'offset is 0, can be 0 to -1',
    ],
    ['a snapshot that no text can hold', { ...snapshot, total: 2 ** 30 }, {}, 'total is'],
    [
      'a vote for an index beyond reach',
      { kind: 'vote', lastIndex: 2 ** 50, lastTerm: 1, isTransfer: false },
      {},
      'lastIndex is',
    ],
    [
      'a vote for a log of a later term',
      { kind: 'vote', lastIndex: 9, lastTerm: 9, isTransfer: false },
      {},
      'lastTerm is 9',
    ],
  ])('%s', (_, body, header, reason) => {
    const raft = follower();
    const before = raft.status();
    const output = say(raft, body, header);
    expect(output.refused).toContain(reason);
    expect({ ...output, refused: null }).toMatchObject({ send: [], sendAfter: [], writes: [] });
    expect(output.status).toEqual(before);
  });

  test('what comes in its own name', () => {
    expect(say(follower(), append, {}, ONE).refused).toBe(
      'append of 1/a: it comes in the name of its receiver',
    );
  });

  test.each([
    [
      'more of its log than there is',
      { kind: 'append-accepted', matchIndex: 4, round: 0 },
      'matchIndex is 4, can be 0 to 3',
    ],
    [
      'a round that it never began',
      { kind: 'append-accepted', matchIndex: 3, round: 9 },
      'round is 9',
    ],
    [
      'a round in a rejection',
      {
        kind: 'append-rejected',
        rejectedIndex: 3,
        hintIndex: 2,
        hintTerm: 1,
        lastIndex: 2,
        round: 9,
      },
      'round is 9',
    ],
    ['another leader of its term', append, 'which its receiver leads'],
  ])('at a leader: %s', (_, body, reason) => {
    const raft = follower();
    const persist = (output: RaftOutput): RaftOutput =>
      raft.step({ kind: 'persisted', writeId: output.writes.at(-1)?.id ?? 0 });
    say(raft, append);
    persist(say(raft, { kind: 'timeout-now' }));
    const elected = say(raft, { kind: 'vote-reply', isGranted: true }, { term: 3 });
    persist(elected);
    const before = raft.status();
    const output = say(raft, body, { term: 3 });
    expect(before.role).toBe('leader');
    expect(output.refused).toContain(reason);
    expect({ ...output, refused: null }).toMatchObject({ send: [], committed: [], writes: [] });
    expect(output.status).toEqual(before);
  });

  test('an order to campaign of anyone but the leader', () => {
    const raft = follower();
    say(raft, append);
    const output = say(raft, { kind: 'timeout-now' }, {}, PEERS[2]);
    expect(output).toMatchObject({ refused: expect.stringContaining('led by 2/a') as string });
    expect(output.status).toMatchObject({ role: 'follower', term: 2 });
    expect(say(raft, { kind: 'timeout-now' }).status).toMatchObject({ role: 'candidate', term: 3 });
  });

  test('to write what it cannot read, and acknowledges what comes before', () => {
    const raft = follower();
    const entries = ['b', 'bad', 'c'].map((data, at) => ({ ...entry, index: at + 3, data }));
    const output = say(raft, { ...append, entries });
    expect(output.refused).toBe('append of 2/a: entry 4 cannot be read: bad');
    expect(output.writes).toMatchObject([{ kind: 'hard-state' }, { entries: [{ data: 'b' }] }]);
    expect(output.sendAfter).toMatchObject([{ envelope: { message: { matchIndex: 3 } } }]);
    expect(output.status.leader).toEqual(TWO);
  });

  test('an image that it cannot read, once, and keeps what it has', () => {
    const imageFault = (): string => 'of a later build';
    const raft = new Raft({ self: ONE, incarnation: 1, seed: 1, imageFault }, bootstrap(PEERS));
    const first = say(raft, snapshot);
    expect(first.refused).toBe('snapshot of 2/a: the image at 5 cannot be read: of a later build');
    expect(first).toMatchObject({ restore: null, status: { commitIndex: 1 } });
    expect(say(raft, snapshot)).toMatchObject({ refused: null, send: [], restore: null });
  });
});

describe('Raft with an application that cannot act on what is committed', () => {
  const [ONE, TWO, THREE] = PEERS as [Peer, Peer, Peer, Peer];
  const alone = (): { readonly raft: Raft; readonly tick: () => RaftOutput } => {
    const raft = new Raft({ self: ONE, incarnation: 1, seed: 1 }, bootstrap(ONE));
    const tick = (): RaftOutput => {
      const output = raft.step({ kind: 'tick' });
      raft.step({ kind: 'persisted', writeId: output.writes.at(-1)?.id ?? 0 });
      return output;
    };
    return { raft, tick };
  };

  test('gives up leadership, stands for none, and takes it again when it can', () => {
    const { raft, tick } = alone();
    tick();
    const led = raft.status().role;
    raft.step({ kind: 'eligible', isEligible: false });
    for (let count = 0; count < 500; count += 1) tick();
    const { role, term } = raft.status();
    raft.step({ kind: 'eligible', isEligible: true });
    for (let count = 0; count < 500; count += 1) tick();
    expect([led, role, term, raft.status().role]).toEqual(['leader', 'pre-candidate', 2, 'leader']);
  });

  test('votes, and does not campaign when it is told to', () => {
    const raft = new Raft({ self: ONE, incarnation: 1, seed: 1 }, bootstrap([ONE, TWO, THREE]));
    raft.step({ kind: 'eligible', isEligible: false });
    const say = (body: MessageBody): RaftOutput =>
      raft.step({
        kind: 'message',
        from: TWO,
        to: ONE,
        message: { term: 2, incarnation: 1, toIncarnation: 1, ...body },
      });
    const vote = say({ kind: 'vote', lastIndex: 1, lastTerm: 1, isTransfer: false });
    expect(vote.sendAfter).toMatchObject([{ envelope: { message: { isGranted: true } } }]);
    expect(say({ kind: 'timeout-now' }).status).toMatchObject({ role: 'follower', term: 2 });
  });
});
