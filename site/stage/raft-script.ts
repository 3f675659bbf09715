/**
 * Carries out a script over a group of raft cores. Nothing happens by itself: ticks, disk
 * completions and deliveries are commands.
 *
 *   group 1 2 3           voters, on fresh disks
 *   learner 4             a broker with an empty disk that knows everyone
 *   tick 1 60             n ticks of one or all (`*`)
 *   campaign 1            ticks until it campaigns
 *   elect 1               campaigns and settles, told in brief
 *   persist 1|*           its writes become durable
 *   deliver|drop [1 2]    what is in flight (from 1 to 2)
 *   settle                persist and deliver until quiet
 *   cut 3 / heal          messages from and to 3 are lost
 *   unreachable 2 1       2 lost its connection to 1
 *   crash 1 / restart 1   writes under way are lost
 *   propose 1 a
 *   read 1
 *   transfer 1 2
 *   voters 1 1 2 4        1 proposes these voters
 *   compact 1             the application's image as far as it is committed
 *   status / log 1
 */
import { bootstrap, EMPTY_DURABLE, Raft } from '../../broker/raft/raft.ts';
import type {
  Entry,
  Envelope,
  Peer,
  RaftInput,
  RaftMessage,
  RaftOutput,
  RequestReply,
} from '../../broker/raft/types.ts';
import { Disk } from '../../test/sim/raft/disk.ts';
import type { BrokerSeen, Cell, Flight as FlightSeen, Line, LineKind, Panel } from './picture.ts';
import type { Script } from './script.ts';

interface Flight {
  readonly key: number;
  readonly from: number;
  readonly envelope: Envelope;
}

/** A script without time is shown at this pace. */
const STEP_MS = 20;

class Member {
  readonly peer: Peer;
  readonly disk = new Disk();
  raft: Raft | null = null;
  writes: RaftOutput['writes'][number][] = [];
  held: RaftOutput['sendAfter'][number][] = [];

  constructor(brokerId: number) {
    this.peer = { brokerId, directoryId: 'a' };
    this.disk.durable = EMPTY_DURABLE;
  }

  start(): void {
    this.disk.incarnation += 1;
    this.raft = new Raft(
      { self: this.peer, incarnation: this.disk.incarnation, seed: 1, tailEntriesMax: 1 },
      this.disk.durable,
    );
  }
}

const SETTLE_ROUNDS_MAX = 40;
const CAMPAIGN_TICKS_MAX = 300;

export class RaftScript implements Script {
  onEvent: () => void = () => undefined;
  readonly #members = new Map<number, Member>();
  readonly #cut = new Set<number>();
  #flights: Flight[] = [];
  #nextId = 1;
  #lines: string[] = [];
  #steps = 0;
  #sent = 0;
  /** Only who leads is told. */
  #isBrief = false;

  get nowMs(): number {
    return this.#steps * STEP_MS;
  }

  takeLines(): Line[] {
    const lines = this.#lines.map(
      (text): Line => ({ kind: kindOf(text), atMs: null, text, rule: '' }),
    );
    this.#lines = [];
    return lines;
  }

  seen(): Panel[] {
    const flights = this.#flights.map(({ key, from, envelope: { to, message } }): FlightSeen => {
      const entry = message.kind === 'append' ? message.entries[0] : undefined;
      return {
        key,
        kind:
          entry !== undefined ? 'frames' : message.kind === 'append-accepted' ? 'position' : 'ask',
        from,
        to: to.brokerId,
        text: `${from}->${to.brokerId} ${describeMessage(message)}`,
        cell: entry === undefined ? null : cellOf(entry, true),
      };
    });
    const brokers = [...this.#members.keys()].map((id) => this.#seen(id));
    return [{ title: '', row: null, sent: null, brokers, flights, facts: [] }];
  }

  /** One command line. */
  run(command: string): void {
    const [verb = '', ...words] = command.split(/\s+/);
    const numbers = words.map(Number);
    this.#execute(verb, words, numbers);
    this.#look();
  }

  #look(): void {
    this.#steps += 1;
    this.onEvent();
  }

  #tell(text: string): void {
    if (!this.#isBrief || text.includes(' is leader')) this.#lines.push(text);
  }

  #launch(from: number, envelope: Envelope): void {
    this.#sent += 1;
    this.#flights.push({ key: this.#sent, from, envelope });
  }

  #seen(id: number): BrokerSeen {
    const { raft, disk, writes } = this.#member(id);
    const status = raft?.status();
    const { entries, snapshot, hardState } = disk.durable;
    const start = (snapshot?.index ?? 0) + 1;
    const coming = writes.flatMap((write) => (write.kind === 'append' ? write.entries : []));
    const from = coming[0]?.index ?? Infinity;
    const cells = [
      ...entries.filter(({ index }) => index < from).map((entry) => cellOf(entry, true)),
      ...coming.map((entry) => cellOf(entry, false)),
    ];
    return {
      id,
      state: raft === null ? 'down' : 'up',
      role: status?.role ?? 'down',
      epoch: status?.term ?? hardState.term,
      standing: null,
      isFenced: false,
      isCut: this.#cut.has(id),
      slowMs: 0,
      note: snapshot === null ? '' : `snapshot at ${snapshot.index}`,
      logs: [{ title: '', start, cells, mark: (status?.commitIndex ?? 0) + 1, synced: null }],
    };
  }

  #execute(verb: string, words: readonly string[], numbers: readonly number[]): void {
    if (this.#carry(verb, words, numbers)) return;
    const [first = 0, second = 0] = numbers;
    switch (verb) {
      case 'group':
        this.#form(numbers);
        return;
      case 'learner':
        this.#add(first).start();
        this.#step(first, {
          kind: 'seeds',
          peers: [...this.#members.values()].map((member) => member.peer),
        });
        return;
      case 'tick':
        for (const id of this.#ids(words[0]))
          for (let count = 0; count < (words[1] === undefined ? 1 : second); count += 1)
            this.#step(id, { kind: 'tick' });
        return;
      case 'campaign':
        this.#campaign(first);
        return;
      case 'elect':
        this.#elect(first);
        return;
      case 'persist':
        for (const id of this.#ids(words[0])) this.#persist(id);
        return;
      case 'propose':
        this.#step(first, { kind: 'propose', id: this.#id(), data: words.slice(1).join(' ') });
        return;
      case 'read':
        this.#step(first, { kind: 'read', id: this.#id() });
        return;
      case 'transfer':
        this.#step(first, { kind: 'transfer', to: second });
        return;
      case 'unreachable':
        this.#step(first, { kind: 'peer-unreachable', peer: this.#member(second).peer });
        return;
      case 'voters':
        this.#step(first, {
          kind: 'change-voters',
          id: this.#id(),
          voters: numbers.slice(1).map((id) => this.#member(id).peer),
        });
        return;
      case 'compact':
        this.#step(first, {
          kind: 'compact',
          index: this.#raft(first).status().commitIndex,
          data: `image at ${this.#raft(first).status().commitIndex}`,
        });
        return;
      case 'crash':
        this.#crash(first);
        return;
      case 'restart':
        this.#member(first).start();
        return;
      case 'status':
        for (const id of this.#members.keys()) this.#tell(this.#describe(id));
        return;
      case 'log':
        this.#log(first);
        return;
      default:
        throw new Error(`unknown command ${verb}`);
    }
  }

  /** @returns false: the command is not of the network */
  #carry(verb: string, words: readonly string[], numbers: readonly number[]): boolean {
    const [first = 0, second = 0] = numbers;
    switch (verb) {
      case 'deliver':
        this.#deliver(words.length === 0 ? null : { from: first, to: second });
        return true;
      case 'drop':
        this.#take(words.length === 0 ? null : { from: first, to: second });
        return true;
      case 'settle':
        this.#settle();
        return true;
      case 'cut':
        this.#cut.add(first);
        return true;
      case 'heal':
        this.#cut.clear();
        return true;
      default:
        return false;
    }
  }

  // Members ---------------------------------------------------------------------------------------

  #form(ids: readonly number[]): void {
    const members = ids.map((id) => this.#add(id));
    for (const member of members) {
      member.disk.durable = bootstrap(members.map((other) => other.peer));
      member.start();
    }
  }

  #add(id: number): Member {
    const member = new Member(id);
    this.#members.set(id, member);
    return member;
  }

  #member(id: number): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`no broker ${id}`);
    return member;
  }

  #raft(id: number): Raft {
    const { raft } = this.#member(id);
    if (raft === null) throw new Error(`broker ${id} is down`);
    return raft;
  }

  #ids(word: string | undefined): number[] {
    return word === '*' ? [...this.#members.keys()] : [Number(word)];
  }

  #id(): number {
    this.#nextId += 1;
    return this.#nextId - 1;
  }

  #campaign(id: number): void {
    for (
      let count = 0;
      count < CAMPAIGN_TICKS_MAX && this.#raft(id).status().role === 'follower';
      count += 1
    )
      this.#step(id, { kind: 'tick' });
  }

  #elect(id: number): void {
    this.#isBrief = true;
    this.#campaign(id);
    this.#settle();
    this.#isBrief = false;
  }

  #crash(id: number): void {
    const member = this.#member(id);
    if (member.writes.length > 0)
      this.#tell(`${id} loses ${member.writes.map((write) => write.kind).join(', ')}`);
    member.raft = null;
    member.writes = [];
    member.held = [];
    this.#flights = this.#flights.filter(
      ({ from, envelope }) => from !== id && envelope.to.brokerId !== id,
    );
  }

  // Steps -----------------------------------------------------------------------------------------

  #step(id: number, input: RaftInput): void {
    const member = this.#member(id);
    const before = this.#summary(id);
    const output = this.#raft(id).step(input);
    member.writes.push(...output.writes);
    member.held.push(...output.sendAfter);
    for (const envelope of output.send) this.#launch(id, envelope);
    for (const write of output.writes) this.#tell(`${id} writes ${describeWrite(write)}`);
    for (const { to, message } of output.send)
      this.#tell(`${id} sends ${to.brokerId} ${describeMessage(message)}`);
    for (const { envelope } of output.sendAfter)
      this.#tell(`${id} holds ${envelope.to.brokerId} ${describeMessage(envelope.message)}`);
    if (output.restore !== null) this.#tell(`${id} restores "${output.restore.data}"`);
    if (output.committed.length > 0)
      this.#tell(`${id} commits ${output.committed.map(describeEntry).join(' ')}`);
    for (const reply of output.proposals) this.#tell(`${id} answers ${describeReply(reply)}`);
    for (const reply of output.reads) this.#tell(`${id} answers read ${describeReply(reply)}`);
    const after = this.#summary(id);
    if (after !== before) this.#tell(`${id} is ${after}`);
    if (input.kind !== 'tick' || output.writes.length + output.send.length > 0) this.#look();
  }

  #persist(id: number): void {
    const member = this.#member(id);
    const last = member.writes.at(-1);
    if (last === undefined || member.raft === null) return;
    for (const write of member.writes) member.disk.apply(write);
    member.writes = [];
    for (const { envelope } of member.held) {
      this.#launch(id, envelope);
      this.#tell(`${id} sends ${envelope.to.brokerId} ${describeMessage(envelope.message)}`);
    }
    member.held = [];
    this.#step(id, { kind: 'persisted', writeId: last.id });
  }

  #take(link: { readonly from: number; readonly to: number } | null): Flight[] {
    const isTaken = ({ from, envelope }: Flight): boolean =>
      link === null || (from === link.from && envelope.to.brokerId === link.to);
    const taken = this.#flights.filter(isTaken);
    this.#flights = this.#flights.filter((flight) => !isTaken(flight));
    return taken;
  }

  #deliver(link: { readonly from: number; readonly to: number } | null): void {
    for (const { from, envelope } of this.#take(link)) {
      const to = envelope.to.brokerId;
      const isLost =
        this.#cut.has(from) || this.#cut.has(to) || this.#members.get(to)?.raft == null;
      if (!isLost)
        this.#step(to, {
          kind: 'message',
          from: this.#member(from).peer,
          to: envelope.to,
          message: envelope.message,
        });
    }
  }

  #settle(): void {
    for (let round = 0; round < SETTLE_ROUNDS_MAX; round += 1) {
      const isQuiet =
        this.#flights.length === 0 &&
        [...this.#members.values()].every((member) => member.writes.length === 0);
      if (isQuiet) return;
      for (const id of this.#members.keys()) this.#persist(id);
      this.#deliver(null);
    }
    throw new Error('the group does not settle');
  }

  // Words -----------------------------------------------------------------------------------------

  #summary(id: number): string {
    const status = this.#member(id).raft?.status();
    if (status === undefined) return 'down';
    return `${status.role}@${status.term}${status.leader === null ? '' : ` of ${status.leader.brokerId}`}`;
  }

  #describe(id: number): string {
    const status = this.#member(id).raft?.status();
    if (status === undefined) return `${id} down`;
    const { snapshotIndex, commitIndex, lastIndex, voters } = status;
    const progress = status.progress
      .map((item) => `${item.peer.brokerId}:${item.state}:${item.matchIndex}`)
      .join(' ');
    return `${id} ${this.#summary(id)} snapshot ${snapshotIndex} commit ${commitIndex} last ${lastIndex} voters ${voters.map((peer) => peer.brokerId).join(' ')}${progress === '' ? '' : ` progress ${progress}`}`;
  }

  #log(id: number): void {
    const raft = this.#raft(id);
    const { lastIndex } = raft.status();
    for (let index = 1; index <= lastIndex; index += 1) {
      const entry = raft.entryAt(index);
      if (entry !== null) this.#tell(describeEntry(entry));
    }
  }
}

function cellOf(entry: Entry, isWritten: boolean): Cell {
  const { index, term, kind, data } = entry;
  const isControl = kind !== 'data';
  const text = isControl ? kind : data;
  return { at: index, end: index + 1, epoch: term, isControl, text, isWritten };
}

function kindOf(text: string): LineKind {
  if (/^\d+ answers/.test(text)) return 'answer';
  return /^\d+ (commits|is leader|restores)/.test(text) ? 'decision' : 'step';
}

function describeEntry(entry: Entry): string {
  if (entry.kind === 'voters')
    return `${entry.index}@${entry.term}:voters(${(JSON.parse(entry.data) as Peer[]).map((peer) => peer.brokerId).join(' ')})`;
  return `${entry.index}@${entry.term}:${entry.kind === 'barrier' ? 'barrier' : entry.data}`;
}

function describeWrite(write: RaftOutput['writes'][number]): string {
  if (write.kind === 'hard-state')
    return `term ${write.hardState.term} vote ${write.hardState.vote?.brokerId ?? '-'}`;
  if (write.kind === 'append')
    return `from ${write.firstIndex}: ${write.entries.map(describeEntry).join(' ')}`;
  return `snapshot ${write.snapshot.index}@${write.snapshot.term} "${write.snapshot.data}", ${write.keepSuffix ? 'keeps' : 'drops'} the rest`;
}

/** Every field but the header's term, which follows the kind, and the incarnations. */
function describeMessage(message: RaftMessage): string {
  const { kind, term } = message;
  const head = `${kind}@${term}`;
  switch (message.kind) {
    case 'append':
      return `${head} after ${message.prevIndex}@${message.prevTerm} [${message.entries.map(describeEntry).join(' ')}] commit ${message.commitIndex} round ${message.round}`;
    case 'append-accepted':
      return `${head} match ${message.matchIndex} round ${message.round}`;
    case 'append-rejected':
      return `${head} at ${message.rejectedIndex} hint ${message.hintIndex}@${message.hintTerm} last ${message.lastIndex}`;
    case 'pre-vote':
      return `${head} for ${message.campaignTerm} last ${message.lastIndex}@${message.lastTerm}`;
    case 'pre-vote-reply':
      return `${head} for ${message.campaignTerm} ${message.isGranted ? 'yes' : 'no'}${message.leader === null ? '' : ` leader ${message.leader.brokerId}`}`;
    case 'vote':
      return `${head} last ${message.lastIndex}@${message.lastTerm}${message.isTransfer ? ' transfer' : ''}`;
    case 'vote-reply':
      return `${head} ${message.isGranted ? 'yes' : 'no'}`;
    case 'snapshot':
      return `${head} ${message.snapshotIndex}@${message.snapshotTerm} "${message.chunk}" from ${message.offset} of ${message.total}`;
    case 'snapshot-reply':
      return `${head} ${message.snapshotIndex} received ${message.received}`;
    case 'follow':
      return `${head} last ${message.lastIndex}@${message.lastTerm}`;
    case 'follow-reply':
      return `${head} leader ${message.leader?.brokerId ?? '-'}`;
    case 'timeout-now':
      return head;
  }
}

function describeReply({ id, result }: RequestReply): string {
  return result.ok ? `${id}: index ${result.index}` : `${id}: ${result.code}, ${result.message}`;
}
