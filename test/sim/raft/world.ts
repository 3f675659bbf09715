/**
 * A whole Raft group in one process: clock, network, disks, clients and a controller of voters, all
 * drawn from one seed. First faults, then healing: the group must then have a leader, answer
 * everything and agree on one log.
 */
import { Random } from '../../../base/random.ts';
import { isSamePeer, peerKey } from '../../../broker/raft/peer.ts';
import { bootstrap } from '../../../broker/raft/raft.ts';
import type {
  Envelope,
  Peer,
  PeerKey,
  RaftInput,
  RaftOutput,
  RaftStatus,
} from '../../../broker/raft/types.ts';
import { allCheckers, Violation } from './checkers.ts';
import type { Checker, Request } from './checkers.ts';
import { absurd } from './absurd.ts';
import { EventHeap } from './event-heap.ts';
import { chain, History } from './history.ts';
import { SimNode } from './node.ts';
import { drawProfile } from './profile.ts';
import type { Profile } from './profile.ts';

const TICK_MS = 10;
const HEALING_MS_MAX = 20_000;
/** Clients go on for a while after healing, then wait for what is open. */
const QUIET_AFTER_MS = 1000;

export interface Result {
  readonly committed: number;
  readonly acknowledged: number;
  readonly terms: number;
  readonly counts: Readonly<Record<string, number>>;
}

export class World {
  readonly seed: number;
  readonly random: Random;
  readonly profile: Profile;
  readonly nodes: SimNode[] = [];
  readonly history = new History();
  readonly #checkers: readonly Checker[];
  readonly #events = new EventHeap();
  readonly #trace: ((line: string) => void) | null;
  readonly #cuts = new Set<string>();
  readonly #requests = new Map<
    number,
    Request & {
      readonly kind: 'propose' | 'read';
      readonly brokerId: number;
      readonly life: number;
    }
  >();
  readonly #counts: Record<string, number> = {};
  /** Incarnations that "committed metadata" knows; every replica is told. */
  #known = new Map<PeerKey, number>();
  #nextId = 1;
  /** How the leader of a term is to end. */
  readonly #ends = new Map<number, 'none' | 'unheard' | 'at the first answer'>();
  #isHealing = false;
  #acknowledged = 0;
  #termMax = 1;
  now = 0;

  /** @param narrowed what is not left to the seed */
  constructor(
    seed: number,
    trace: ((line: string) => void) | null = null,
    narrowed: Partial<Profile> = {},
  ) {
    this.seed = seed;
    this.random = new Random(seed);
    this.profile = { ...drawProfile(this.random.fork('profile')), ...narrowed };
    this.#trace = trace;
    this.#checkers = allCheckers(this.history);
    for (let id = 1; id <= this.profile.nodeCount; id += 1) this.nodes.push(new SimNode(id));
  }

  /** Runs to the end; throws a {@link Violation} or whatever a replica threw. */
  run(): Result {
    const first = this.nodes[0] as SimNode;
    first.disk.durable = bootstrap(first.peer);
    for (const node of this.nodes) this.#start(node);
    this.#scheduleAll();
    this.#runUntil(() => this.now >= this.profile.faultMs);
    this.#heal();
    const deadline = this.now + HEALING_MS_MAX;
    let lastProposals = 0;
    const checkAt = { next: this.now + QUIET_AFTER_MS };
    this.#runUntil(() => {
      if (this.now < checkAt.next) return false;
      checkAt.next = this.now + 100;
      if (this.now > deadline)
        throw new Violation(
          `liveness: no agreement ${HEALING_MS_MAX} ms after healing: ${this.describe()}`,
        );
      if (!this.#isSettled()) return false;
      lastProposals += 1;
      if (lastProposals <= 3) this.#propose(this.#leaders()[0]);
      return lastProposals > 3;
    });
    for (const checker of this.#checkers) checker.atEnd?.(this.nodes);
    return {
      committed: this.history.lastIndex,
      acknowledged: this.#acknowledged,
      terms: this.#termMax,
      counts: this.#counts,
    };
  }

  /** State of every replica in one line each. */
  describe(): string {
    return this.nodes
      .map((node) => {
        const status = node.raft?.status();
        if (status === undefined) return `\n  ${node.key} down`;
        return `\n  ${node.key} ${status.role} term ${status.term} leader ${status.leader?.brokerId ?? '-'} commit ${status.commitIndex}/${status.lastIndex} voters ${status.voters.map(peerKey).join(' ')}`;
      })
      .join('');
  }

  // The loop --------------------------------------------------------------------------------------

  #runUntil(isDone: () => boolean): void {
    while (!isDone()) {
      const event = this.#events.pop();
      if (event === null) throw new Error('no event is left');
      this.now = event.at;
      event.run();
    }
  }

  #after(delayMs: number, run: () => void): void {
    this.#events.push(this.now + delayMs, run);
  }

  #every(periodMs: number, run: () => void): void {
    const again = (): void => {
      run();
      this.#after(
        Math.max(1, Math.round(periodMs * (0.5 + this.random.below(1000) / 1000))),
        again,
      );
    };
    this.#after(this.random.below(periodMs), again);
  }

  #scheduleAll(): void {
    const { profile } = this;
    this.#every(
      profile.proposePeriodMs,
      () => this.now > profile.faultMs + QUIET_AFTER_MS || this.#propose(this.#pickProposer()),
    );
    this.#every(
      profile.readPeriodMs,
      () => this.now > profile.faultMs + QUIET_AFTER_MS || this.#read(),
    );
    this.#every(100, () => this.#control());
    this.#every(400, () => this.#announceIncarnations());
    this.#every(200, () => this.#compact());
    if (profile.transferPeriodMs > 0)
      this.#every(profile.transferPeriodMs, () => this.#isHealing || this.#transfer());
    if (profile.crashPeriodMs > 0)
      this.#every(profile.crashPeriodMs, () => this.#isHealing || this.#crashOne());
    if (profile.partitionPeriodMs > 0)
      this.#every(profile.partitionPeriodMs, () => this.#isHealing || this.#cutSome());
    if (profile.diskLossPeriodMs > 0)
      this.#every(profile.diskLossPeriodMs, () => this.#isHealing || this.#loseDisk());
  }

  #count(what: string, line: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
    this.#trace?.(`${String(this.now).padStart(6)} ${what} ${line}`);
  }

  // Replicas --------------------------------------------------------------------------------------

  #start(node: SimNode): void {
    if (node.raft !== null) return;
    node.start(this.random.next(), this.profile.appendBytesMax);
    this.#count('start', `${node.key} incarnation ${node.disk.incarnation}`);
    for (const checker of this.#checkers) checker.onStart?.(node);
    const { life } = node;
    for (const other of this.nodes)
      this.#step(other, { kind: 'seeds', peers: this.nodes.map((item) => item.peer) });
    this.#step(node, { kind: 'incarnations', known: this.#knownToOthersOf(node) });
    const tick = (): void => {
      if (node.life !== life) return;
      this.#after(TICK_MS, tick);
      this.#step(node, { kind: 'tick' });
    };
    this.#after(this.random.below(TICK_MS), tick);
  }

  /** A process cannot learn from its own old disk that it is old: others tell it. */
  #knownToOthersOf(node: SimNode): Map<PeerKey, number> {
    const known = new Map(this.#known);
    known.delete(node.key);
    return known;
  }

  #step(node: SimNode, input: RaftInput, isHonest = true): void {
    if (node.raft === null) return;
    const restTicks = input.kind === 'tick' ? node.raft.ticksAtRest() : 0;
    const before = node.raft.status();
    const output = node.raft.step(input);
    if (restTicks > 0) checkRest(node, restTicks, before, output);
    if (isHonest && output.refused !== null)
      throw new Violation(`honest messages are heard: ${node.key} refused ${output.refused}`);
    this.#traceStep(node, input, output);
    this.#termMax = Math.max(this.#termMax, output.status.term);
    for (const checker of this.#checkers) checker.onStep?.(node, output, input);
    if (output.restore !== null) node.image = node.imageOf(output.restore);
    for (const entry of output.committed)
      node.image = { index: entry.index, hash: chain(node.image.hash, entry) };
    node.pendingWrites.push(...output.writes);
    node.held.push(...output.sendAfter);
    for (const envelope of output.send) this.#transmit(node, envelope);
    for (const reply of output.proposals) this.#answer('propose', reply);
    for (const reply of output.reads) this.#answer('read', reply);
    if (output.deposed !== null) this.#retire(node);
    else this.#sync(node);
    this.#mayFellLeader(node, input, output);
  }

  /**
   * What the runtime does with a deposed core: it exits and comes back as a learner with a new
   * directory.
   */
  #retire(node: SimNode): void {
    this.#count('deposed', node.key);
    node.crash(0);
    node.emptyDisk();
    this.#after(50, () => this.#start(node));
  }

  #sync(node: SimNode): void {
    if (node.isSyncing || node.pendingWrites.length === 0) return;
    node.isSyncing = true;
    const { life } = node;
    const count = node.pendingWrites.length;
    this.#after(this.#delay(this.profile.syncMsMax), () => {
      if (node.life !== life) return;
      node.isSyncing = false;
      const done = node.pendingWrites.splice(0, count);
      for (const write of done) node.disk.apply(write);
      const writeId = done.at(-1)?.id ?? 0;
      const released = node.held.filter((item) => item.writeId <= writeId);
      node.held = node.held.filter((item) => item.writeId > writeId);
      for (const item of released) this.#transmit(node, item.envelope);
      this.#step(node, { kind: 'persisted', writeId });
      this.#sync(node);
    });
  }

  // Network ---------------------------------------------------------------------------------------

  /** Mostly short, sometimes up to the maximum. */
  #delay(msMax: number): number {
    return 1 + this.random.below(this.random.chance(0.1) ? msMax : Math.max(1, msMax / 8));
  }

  #transmit(node: SimNode, envelope: Envelope): void {
    for (const checker of this.#checkers) checker.onSend?.(node, envelope);
    const { lossRate, duplicateRate, delayMsMax } = this.profile;
    const { to, message } = envelope;
    const { peer: from, life } = node;
    const copies = !this.#isHealing && this.random.chance(duplicateRate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (!this.#isHealing && this.random.chance(lossRate)) continue;
      this.#after(this.#delay(this.#isHealing ? 4 : delayMsMax), () => {
        if (this.#cuts.has(`${from.brokerId}>${to.brokerId}`) || node.lostLives.has(life)) return;
        const target = this.nodes.find((other) => other.brokerId === to.brokerId);
        if (target === undefined) return;
        // The connections of earlier starts are gone, and what was in them.
        if (target.isRolledBack && message.toIncarnation < (this.#known.get(target.key) ?? 0))
          return;
        this.#step(target, { kind: 'message', from, to, message });
      });
    }
    if (!this.#isHealing && this.random.chance(this.profile.absurdRate))
      this.#spoil(from, envelope);
  }

  /** What a broken process says in the name of another. */
  #spoil(from: Peer, { to, message }: Envelope): void {
    const wrong = absurd(message, this.random);
    if (wrong === null) return;
    this.#count('absurd', `${peerKey(from)} to ${peerKey(to)}: ${wrong.kind}`);
    this.#after(this.#delay(this.profile.delayMsMax), () => {
      const target = this.nodes.find(({ peer }) => isSamePeer(peer, to));
      if (target !== undefined)
        this.#step(target, { kind: 'message', from, to, message: wrong }, false);
    });
  }

  // Clients ---------------------------------------------------------------------------------------

  #leaders(): SimNode[] {
    return this.nodes.filter((node) => node.raft?.status().role === 'leader');
  }

  #pickProposer(): SimNode | undefined {
    const leaders = this.#leaders();
    return leaders.length > 0 && !this.random.chance(0.05)
      ? this.random.pick(leaders)
      : this.random.pick(this.nodes);
  }

  #request(node: SimNode, kind: 'propose' | 'read', data: string): number {
    const id = this.#nextId;
    this.#nextId += 1;
    this.#requests.set(id, {
      kind,
      data,
      isUnique: data.startsWith('p'),
      committedBefore: this.history.lastIndex,
      brokerId: node.brokerId,
      life: node.life,
    });
    return id;
  }

  #propose(node: SimNode | undefined): void {
    if (node?.raft == null) return;
    const data = `p${this.#nextId}${'.'.repeat(this.random.below(30))}`;
    this.#step(node, { kind: 'propose', id: this.#request(node, 'propose', data), data });
  }

  #read(): void {
    const node = this.#pickProposer();
    if (node?.raft == null) return;
    this.#step(node, { kind: 'read', id: this.#request(node, 'read', '') });
  }

  #answer(kind: 'propose' | 'read', reply: RaftOutput['proposals'][number]): void {
    const request = this.#requests.get(reply.id);
    if (request === undefined) return;
    if (request.kind !== kind)
      throw new Violation(`answers: request ${reply.id} is a ${request.kind}, answered as ${kind}`);
    this.#requests.delete(reply.id);
    if (kind === 'propose' && reply.result.ok) this.#acknowledged += 1;
    for (const checker of this.#checkers) checker.onAnswer?.(kind, request, reply);
  }

  // The controller of voters ----------------------------------------------------------------------

  /**
   * One change towards the size of the moment: the dead leave first, then a follower joins or one
   * leaves.
   */
  #control(): void {
    for (const node of this.#leaders()) {
      const status = node.raft?.status();
      if (
        status !== undefined &&
        !this.#isHealing &&
        this.random.chance(this.profile.recklessRate)
      ) {
        const { peer } = this.random.pick(this.nodes);
        const others = status.voters.filter((voter) => !isSamePeer(voter, peer));
        this.#changeVoters(node, others.length < status.voters.length ? others : [...others, peer]);
        continue;
      }
      if (status === undefined || !status.isLeaderReady || !status.areVotersCommitted) continue;
      const target =
        this.profile.voterCounts[
          Math.min(
            this.profile.voterCounts.length - 1,
            Math.floor(this.now / this.profile.resizeMs),
          )
        ] ?? 3;
      const dead = status.voters.find(
        (peer) => !this.nodes.some((other) => isSamePeer(other.peer, peer) && !other.isRolledBack),
      );
      const joiner = status.progress.find(
        (item) =>
          !item.isVoter && item.silenceTicks < 30 && item.matchIndex > status.commitIndex - 50,
      );
      if (dead !== undefined)
        this.#changeVoters(
          node,
          status.voters.filter((peer) => peer !== dead),
        );
      else if (status.voters.length < target && joiner !== undefined)
        this.#changeVoters(node, [...status.voters, joiner.peer]);
      else if (status.voters.length > target) {
        const leaver = this.random.pick(status.voters);
        this.#changeVoters(
          node,
          status.voters.filter((peer) => peer !== leaver),
        );
      }
    }
  }

  #changeVoters(node: SimNode, voters: readonly Peer[]): void {
    this.#count('voters', `${node.key} asks for ${voters.map(peerKey).join(' ')}`);
    this.#step(node, {
      kind: 'change-voters',
      id: this.#request(node, 'propose', JSON.stringify(voters)),
      voters,
    });
  }

  #transfer(): void {
    const [leader] = this.#leaders();
    if (leader === undefined) return;
    this.#count('transfer', leader.key);
    this.#step(leader, { kind: 'transfer', to: this.random.pick(this.nodes).brokerId });
  }

  #announceIncarnations(): void {
    for (const node of this.nodes) {
      if (node.raft !== null && !node.isRolledBack)
        this.#known.set(node.key, node.disk.incarnation);
    }
    for (const node of this.nodes)
      this.#step(node, { kind: 'incarnations', known: this.#knownToOthersOf(node) });
  }

  #compact(): void {
    for (const node of this.nodes) {
      const status = node.raft?.status();
      if (status === undefined || status.logBytes < this.profile.compactBytes) continue;
      const { index, hash } = node.image;
      this.#count('compact', `${node.key} at ${index}`);
      this.#step(node, {
        kind: 'compact',
        index,
        data: JSON.stringify({ index, hash, ballast: '~'.repeat(this.random.below(600)) }),
      });
    }
  }

  // Faults ----------------------------------------------------------------------------------------

  #crashOne(): void {
    const node = this.random.pick(this.nodes);
    // A copy that is started again and again reaches any incarnation: the core can tell it by that
    // number only while it is lower.
    if (node.raft === null || node.isRolledBack) return;
    this.#crash(node);
    this.#after(this.random.below(this.profile.downMsMax), () => this.#start(node));
  }

  /**
   * Fells leaders before they have committed anything of their term (thesis figure 3.7): with an
   * entry that nobody else was given, or when the first of the others holds what they inherited.
   */
  #mayFellLeader(node: SimNode, input: RaftInput, { status }: RaftOutput): void {
    if (status.role !== 'leader' || status.isLeaderReady || this.#isHealing) return;
    const end = this.#ends.get(status.term) ?? this.#drawEnd(node);
    this.#ends.set(status.term, end);
    if (end !== 'at the first answer' || input.kind !== 'message') return;
    if (input.message.kind === 'append-accepted') this.#fell(node, 0, 300);
  }

  #drawEnd(node: SimNode): 'none' | 'unheard' | 'at the first answer' {
    if (!this.random.chance(this.profile.leaderCrashRate)) return 'none';
    if (this.random.chance(0.4)) return 'at the first answer';
    const links = this.nodes.map(({ brokerId }) => `${node.brokerId}>${brokerId}`);
    for (const link of links) this.#cuts.add(link);
    this.#fell(node, this.random.below(60 + this.profile.syncMsMax), 0, links);
    return 'unheard';
  }

  #fell(node: SimNode, delayMs: number, downMsMin: number, links: readonly string[] = []): void {
    const { life } = node;
    this.#after(delayMs, () => {
      for (const link of links) this.#cuts.delete(link);
      if (node.life !== life || node.isRolledBack) return;
      node.lostLives.add(life);
      this.#crash(node);
      const downMs = downMsMin + this.random.below(this.profile.downMsMax);
      this.#after(downMs, () => this.#start(node));
    });
  }

  #crash(node: SimNode): void {
    const survivors = this.random.below(node.pendingWrites.length + 1);
    this.#count(
      'crash',
      `${node.key}, ${survivors} of ${node.pendingWrites.length} writes survive`,
    );
    const { peer } = node;
    // What a process has not handed to the wire dies with it.
    if (this.random.chance(0.5)) node.lostLives.add(node.life);
    node.crash(survivors);
    for (const [id, request] of this.#requests) {
      if (request.brokerId === node.brokerId) this.#requests.delete(id);
    }
    this.#lose(peer);
  }

  /** Most of the others see their connections to it break. */
  #lose(peer: Peer): void {
    for (const other of this.nodes) {
      if (!isSamePeer(other.peer, peer) && this.random.chance(0.7))
        this.#after(this.#delay(40), () => this.#step(other, { kind: 'peer-unreachable', peer }));
    }
  }

  #cutSome(): void {
    const victim = this.random.pick(this.nodes).brokerId;
    const isOneWay = this.random.chance(0.5);
    const added: string[] = [];
    for (const { brokerId } of this.nodes) {
      if (brokerId === victim || this.random.chance(0.3)) continue;
      added.push(`${victim}>${brokerId}`);
      if (!isOneWay) added.push(`${brokerId}>${victim}`);
    }
    for (const link of added) this.#cuts.add(link);
    this.#count('cut', added.join(' '));
    // Some cuts reset connections: the others take a live leader for dead.
    const { peer } = this.nodes.find(({ brokerId }) => brokerId === victim) as SimNode;
    if (this.random.chance(0.3)) this.#lose(peer);
    this.#after(100 + this.random.below(this.profile.partitionMsMax), () => {
      for (const link of added) this.#cuts.delete(link);
    });
  }

  /**
   * Empties a voter's disk, or puts an older copy in its place. The promise needs a majority that
   * keeps its disks, so the next one must wait until every replica sees three or more voters that
   * are all there.
   */
  #loseDisk(): void {
    const node = this.random.pick(this.nodes);
    if (!this.#canLoseDisk()) return;
    const known = this.#known.get(node.key) ?? 0;
    const copy = this.random.chance(0.5)
      ? node.copies.find((disk) => disk.incarnation + 1 < known)
      : undefined;
    if (node.raft !== null) this.#crash(node);
    if (copy === undefined) node.emptyDisk();
    else {
      node.disk = copy.copy();
      node.isRolledBack = true;
    }
    this.#count(
      copy === undefined ? 'emptied' : 'rolled-back',
      `${node.key} at ${node.disk.lastIndex}`,
    );
    this.#start(node);
  }

  #canLoseDisk(): boolean {
    const current = new Set(
      this.nodes.filter((node) => !node.isRolledBack).map((node) => node.key),
    );
    const views = this.nodes
      .filter((node) => node.raft !== null)
      .map((node) => node.raft?.status().voters ?? []);
    const areAllUp = this.nodes.every((node) => node.raft !== null && !node.isRolledBack);
    return (
      areAllUp &&
      views.every(
        (voters) =>
          voters.length === 0 ||
          (voters.length >= 3 && voters.every((peer) => current.has(peerKey(peer)))),
      )
    );
  }

  // Healing ---------------------------------------------------------------------------------------

  #heal(): void {
    this.#count('heal', this.describe());
    this.#isHealing = true;
    this.#cuts.clear();
    for (const node of this.nodes) this.#start(node);
  }

  /**
   * One ready leader, the wanted number of live voters, one log everywhere, and no question left
   * open.
   */
  #isSettled(): boolean {
    const leaders = this.#leaders();
    const leader = leaders[0]?.raft?.status();
    if (
      leaders.length !== 1 ||
      leader === undefined ||
      !leader.isLeaderReady ||
      !leader.areVotersCommitted
    )
      return false;
    const target = this.profile.voterCounts.at(-1) ?? 3;
    const isWhole =
      leader.voters.length === target &&
      leader.voters.every((peer) => this.nodes.some((node) => isSamePeer(node.peer, peer)));
    const isEqual = this.nodes.every((node) => {
      const status = node.raft?.status();
      return (
        status !== undefined &&
        status.term === leader.term &&
        status.commitIndex === leader.lastIndex &&
        status.lastIndex === leader.lastIndex
      );
    });
    return (
      isWhole &&
      isEqual &&
      this.#requests.size === 0 &&
      !this.nodes.some((node) => node.isRolledBack)
    );
  }

  #traceStep(node: SimNode, input: RaftInput, output: RaftOutput): void {
    if (this.#trace === null) return;
    const { role, term, commitIndex, lastIndex } = output.status;
    const isQuiet =
      output.writes.length +
        output.send.length +
        output.sendAfter.length +
        output.committed.length +
        output.proposals.length ===
      0;
    if (
      isQuiet &&
      (input.kind === 'tick' || input.kind === 'persisted' || input.kind === 'incarnations')
    )
      return;
    const cause =
      input.kind === 'message'
        ? `${input.message.kind}@${input.message.term} from ${peerKey(input.from)}`
        : input.kind;
    const sent = [...output.send, ...output.sendAfter.map((item) => item.envelope)]
      .map(({ to, message }) => `${to.brokerId}:${message.kind}`)
      .join(' ');
    this.#trace(
      `${String(this.now).padStart(6)} ${node.key} ${cause} -> ${role}@${term} ${commitIndex}/${lastIndex}${sent === '' ? '' : ` | ${sent}`}`,
    );
  }
}

/** A tick of which the core said that it does nothing. The runtime leaves such ticks for later. */
function checkRest(node: SimNode, ticks: number, before: RaftStatus, output: RaftOutput): void {
  const { send, sendAfter, writes, committed, proposals, reads, status } = output;
  const made = [send, sendAfter, writes, committed, proposals, reads].flat();
  const hasMoved =
    status.role !== before.role ||
    status.term !== before.term ||
    status.isLeaderReady !== before.isLeaderReady ||
    !isSamePeer(status.leader, before.leader);
  if (made.length > 0 || hasMoved || (node.raft?.ticksAtRest() ?? 0) < ticks - 1)
    throw new Violation(`a tick at rest does nothing: ${node.key} with ${ticks} of them ahead`);
}
