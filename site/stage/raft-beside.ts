/**
 * Real raft cores whose application is a log of its own: what a broker is that agrees on each
 * record by a raft group and then stores it where readers find it. Each record is written twice,
 * and the two logs end at different places. It stands beside {@link Cluster}, whose log is its own
 * state.
 */
import { Random } from '../../base/random.ts';
import { bootstrap, Raft } from '../../broker/raft/raft.ts';
import type { Entry, Peer, RaftMessage, RaftOutput, RaftWrite } from '../../broker/raft/types.ts';
import { Disk } from '../../test/sim/raft/disk.ts';
import { Network } from './network.ts';
import type { BrokerSeen, Cell, FlightKind, Panel, Say } from './picture.ts';
import { Producer } from './producer.ts';
import type { Timeline } from './timeline.ts';

const TICK_MS = 10;
/** A quorum log is synced before anything is answered. */
const SYNC_MS = 12;
const STORE_MS = 5;
const READY_MS_MAX = 5_000;

class Member {
  readonly peer: Peer;
  readonly disk = new Disk();
  readonly raft: Raft;
  /** What was committed and is in the store, or on its way there. */
  readonly store: { readonly entry: Entry; isWritten: boolean }[] = [];
  writing: RaftWrite[] = [];
  commitIndex = 0;

  constructor(id: number, voters: readonly Peer[], seed: number) {
    this.peer = { brokerId: id, directoryId: 'a' };
    this.disk.durable = bootstrap(voters);
    this.disk.incarnation = 1;
    this.raft = new Raft({ self: this.peer, incarnation: 1, seed: seed + id }, this.disk.durable);
  }
}

export class RaftBeside {
  readonly title: string;
  readonly #timeline: Timeline;
  readonly #network: Network;
  readonly #producer: Producer;
  readonly #say: Say;
  readonly #members: readonly Member[];
  #writes = 0;

  constructor(title: string, timeline: Timeline, seed: number, say: Say) {
    this.title = title;
    this.#timeline = timeline;
    this.#say = say;
    this.#network = new Network(timeline, new Random(seed).fork('raft'));
    this.#producer = new Producer(say);
    const peers = [1, 2, 3].map((brokerId): Peer => ({ brokerId, directoryId: 'a' }));
    this.#members = peers.map(({ brokerId }) => new Member(brokerId, peers, seed));
    for (const member of this.#members)
      timeline.every(TICK_MS, () => this.#step(member, { kind: 'tick' }));
  }

  get isQuiet(): boolean {
    const isWriting = this.#members.some(({ writing }) => writing.length > 0);
    const isStoring = this.#members.some(({ store }) => store.some(({ isWritten }) => !isWritten));
    return this.#network.isQuiet && !isWriting && !isStoring && this.#isAgreed();
  }

  ready(): void {
    const endMs = this.#timeline.nowMs + READY_MS_MAX;
    while (this.#leader === undefined || !this.isQuiet) {
      if (this.#timeline.nowMs > endMs) throw new Error('the raft group has no leader');
      this.#timeline.pass(1);
    }
    this.#writes = 0;
  }

  append(name: string): void {
    const leader = this.#leader;
    const request = this.#producer.send(name, 'all', leader?.peer.brokerId ?? -1);
    if (leader === undefined) return this.#producer.refused(request, 'nobody leads');
    this.#network.send({
      kind: 'append',
      from: 'producer',
      to: leader.peer.brokerId,
      text: `append ${name}`,
      cell: { at: 0, end: 1, epoch: 0, isControl: false, text: name, isWritten: true },
      deliver: () => this.#step(leader, { kind: 'propose', id: request, data: name }),
    });
  }

  seen(): Panel {
    return {
      title: this.title,
      row: null,
      sent: this.#producer.sent,
      brokers: this.#members.map(seenOf),
      flights: this.#network.flights,
      facts: [`${this.#writes} writes`],
    };
  }

  get #leader(): Member | undefined {
    return this.#members.find(({ raft }) => raft.status().isLeaderReady);
  }

  /** Everybody knows how far it is committed. */
  #isAgreed(): boolean {
    const indexes = this.#members.map(({ raft }) => raft.status().commitIndex);
    return new Set(indexes).size === 1;
  }

  #step(member: Member, input: Parameters<Raft['step']>[0]): void {
    const output = member.raft.step(input);
    const id = member.peer.brokerId;
    for (const { to, message } of output.send) this.#send(member, to, message);
    if (output.writes.length > 0) this.#write(member, output);
    for (const entry of output.committed) this.#commit(member, entry);
    for (const { id: request, result } of output.proposals)
      if (result.ok)
        this.#network.send({
          kind: 'answer',
          from: id,
          to: 'producer',
          text: `committed at ${result.index}`,
          deliver: () => this.#answered(request, result.index, output.status.term),
        });
  }

  #answered(request: number, index: number, term: number): void {
    const fields = { baseOffset: index, lastOffset: index, leaderEpoch: term };
    this.#producer.answered(request, { ok: true, ...fields, isDuplicate: false });
  }

  #write(member: Member, { writes, sendAfter }: RaftOutput): void {
    const last = writes.at(-1);
    if (last === undefined) return;
    member.writing.push(...writes);
    this.#timeline.after(SYNC_MS, () => {
      for (const write of writes) {
        member.disk.apply(write);
        if (write.kind === 'append') this.#writes += write.entries.length;
      }
      member.writing = member.writing.filter((write) => !writes.includes(write));
      for (const { envelope } of sendAfter) this.#send(member, envelope.to, envelope.message);
      this.#step(member, { kind: 'persisted', writeId: last.id });
    });
  }

  #commit(member: Member, entry: Entry): void {
    member.commitIndex = entry.index;
    if (entry.kind !== 'data') return;
    const stored = { entry, isWritten: false };
    member.store.push(stored);
    this.#timeline.after(STORE_MS, () => {
      stored.isWritten = true;
      this.#writes += 1;
      const isLast = this.#members.every(({ store }) =>
        store.some((each) => each.entry.index === entry.index && each.isWritten),
      );
      const text = `${entry.data} is agreed on, and stored by all`;
      if (isLast) this.#say({ kind: 'change', text, rule: '' });
    });
  }

  #send(member: Member, to: Peer, message: RaftMessage): void {
    const { kind, cell } = shownOf(message);
    const receiver = this.#members.find(({ peer }) => peer.brokerId === to.brokerId);
    if (receiver === undefined) return;
    this.#network.send({
      kind,
      from: member.peer.brokerId,
      to: to.brokerId,
      text: message.kind,
      cell,
      deliver: () =>
        this.#step(receiver, { kind: 'message', from: member.peer, to: receiver.peer, message }),
    });
  }
}

/** Heartbeats and their answers are too common to be shown. */
function shownOf(message: RaftMessage): {
  readonly kind: FlightKind | null;
  readonly cell: Cell | null;
} {
  if (message.kind === 'append') {
    const [entry] = message.entries;
    return entry === undefined
      ? { kind: null, cell: null }
      : { kind: 'frames', cell: entryCell(entry, true) };
  }
  if (message.kind === 'append-accepted')
    return { kind: message.round > 0 ? null : 'position', cell: null };
  return { kind: 'ask', cell: null };
}

function entryCell(entry: Entry, isWritten: boolean): Cell {
  const isControl = entry.kind !== 'data';
  const { index, term, kind, data } = entry;
  return {
    at: index,
    end: index + 1,
    epoch: term,
    isControl,
    text: isControl ? kind : data,
    isWritten,
  };
}

function seenOf(member: Member): BrokerSeen {
  const { role, term, commitIndex } = member.raft.status();
  const durable = member.disk.durable.entries;
  const start = (member.disk.durable.snapshot?.index ?? 0) + 1;
  const coming = member.writing.flatMap((write) => (write.kind === 'append' ? write.entries : []));
  const agreed = [
    ...durable.map((entry) => entryCell(entry, true)),
    ...coming.map((entry) => entryCell(entry, false)),
  ];
  const stored = member.store.map(({ entry, isWritten }, at): Cell => {
    return { ...entryCell(entry, isWritten), at, end: at + 1 };
  });
  const written = stored.filter((cell) => cell.isWritten).length;
  return {
    id: member.peer.brokerId,
    state: 'up',
    role,
    epoch: term,
    standing: null,
    isFenced: false,
    isCut: false,
    slowMs: 0,
    note: '',
    logs: [
      { title: 'raft log', start, cells: agreed, mark: commitIndex + 1, synced: null },
      { title: 'store', start: 0, cells: stored, mark: written, synced: null },
    ],
  };
}
