/**
 * Both sides of a group's members, real: the client's core and ledger in processes that die, sleep,
 * are cut off and leave; the coordinator's core behind brokers that die and stop. Messages take
 * time, streams break, heartbeats and requests are lost. Checked at each step: one process at most
 * hands out a partition, no cursor passes a record that nobody has handled, an older process
 * takes no place of a newer. At the end the world is
 * calm, and everything is handled and committed.
 */
import { BrokerError } from '../../../base/errors.ts';
import { Random } from '../../../base/random.ts';
import { partitionKey } from '../../../base/units.ts';
import type {
  GroupReply,
  GroupRequest,
  GroupTopic,
  MemberMessage,
  MembershipOutput,
  MemberView,
} from '../../../broker/groups/membership/types.ts';
import { commitVerdict } from '../../../broker/groups/membership/verdict.ts';
import type { Acknowledgement, CommitOutcome } from '../../../client/group/member/ledger.ts';
import type { MemberInput, Place, View } from '../../../client/group/member/types.ts';
import { Checks } from '../groups/checks.ts';
import { Coordinators } from '../groups/coordinators.ts';
import {
  GRACE_MS,
  MemberProcess,
  type OpenAction,
  SESSION_MS,
  type Surroundings,
} from './member-process.ts';

const BROKER_SESSION_MS = 3_000;
const GROUPS = ['billing', 'audit'];
const SUBSCRIPTIONS = [['orders-*'], ['orders-*'], ['orders-eu', 'stock'], ['*']];
/** Names of places; most have none. */
const INSTANCES = ['', '', 'pod-0'];
const PROCESSES_MAX = 6;
const STEP_MS = 50;
const RELEASE_MS = 4_000;
const DELAY_MS_MAX = 250;
const RECORDS_MAX = 60;
/** Long enough for the longest handler, a session and what follows, several times. */
const CALM_MS = 120_000;

/** One stream, as the broker that has it sees it. */
interface Stream {
  readonly process: MemberProcess;
  readonly memberId: string;
  readonly attempt: number;
  readonly broker: number;
  attachment: number;
  epoch: number;
  /** When the last heartbeat was sent that was answered. */
  answeredMs: number;
  /** When what was sent last arrives: streams keep their order. */
  arrivesMs: number;
  /** Same for what the process sends. */
  reachesMs: number;
}

export interface Totals {
  handled: number;
  repeated: number;
  commits: number;
  refused: number;
  revoked: number;
  lost: number;
  left: number;
  reattached: number;
  replaced: number;
}

export class MembersWorld {
  readonly #random: Random;
  readonly #checks = new Checks();
  readonly #coordinators: Coordinators;
  readonly #print: (line: string) => void;
  readonly #callbacks = new Map<number, (reply: GroupReply | BrokerError) => void>();
  readonly #brokers = [0, 1, 2].map((id) => ({ id, isUp: true }));
  readonly #streams: Stream[] = [];
  readonly #processes: MemberProcess[] = [];
  /** When each heard first that it is a member. */
  readonly #joinedMs = new Map<MemberProcess, number>();
  readonly #ends = new Map<string, number>();
  readonly #cursors = new Map<string, Place>();
  readonly #handled = new Map<string, Set<number>>();
  readonly #topics = new Map<string, GroupTopic>();
  #events: { readonly atMs: number; readonly order: number; readonly act: () => void }[] = [];
  #order = 0;
  #nextId = 1;
  #nextRequestId = 1;
  #nowMs = 0;
  #isCalm = false;
  readonly totals: Totals = {
    ...{ handled: 0, repeated: 0, commits: 0, refused: 0 },
    ...{ revoked: 0, lost: 0, left: 0, reattached: 0, replaced: 0 },
  };

  constructor(seed: number, print: (line: string) => void = () => undefined) {
    this.#random = new Random(seed);
    this.#print = print;
    this.#coordinators = new Coordinators({
      random: this.#random,
      checks: this.#checks,
      brokerSessionMs: BROKER_SESSION_MS,
      onOutput: (output) => this.#carryOut(output),
    });
    for (const name of ['orders-eu', 'orders-us', 'stock']) this.#addTopic(name);
    this.#failOver();
  }

  run(steps: number): Totals {
    for (let step = 0; step < steps; step += 1) {
      this.#befall();
      this.#pass(STEP_MS);
    }
    this.#calmDown();
    return this.totals;
  }

  #note(line: string): void {
    this.#print(`${String(this.#nowMs).padStart(8)} ${line}`);
  }

  // Time

  #after(delayMs: number, act: () => void): void {
    this.#at(this.#nowMs + delayMs, act);
  }

  #at(atMs: number, act: () => void): void {
    this.#events.push({ atMs, order: this.#order++, act });
  }

  #delayMs(): number {
    return this.#random.below(DELAY_MS_MAX);
  }

  #pass(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = this.#events.filter(({ atMs }) => atMs <= untilMs);
      const next = due.toSorted((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
      if (next === undefined) break;
      this.#events.splice(this.#events.indexOf(next), 1);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.act();
      this.#oneReader();
    }
    this.#nowMs = untilMs;
    for (const process of this.#processes)
      process.on(() => {
        const wakeAtMs = process.member.wakeAtMs;
        if (wakeAtMs !== null && wakeAtMs <= this.#nowMs) process.step({ kind: 'tick' });
        else process.work();
      });
    const { present } = this.#coordinators;
    this.#coordinators.step(present, { kind: 'tick', nowMs: this.#nowMs });
    if (this.#isCalm || this.#random.chance(0.5)) this.#coordinators.commit();
    if (this.#nowMs % 1_000 < STEP_MS) this.#heartbeats();
    this.#oneReader();
  }

  // What happens

  #befall(): void {
    const roll = this.#random.below(1_000);
    if (roll < 20) this.#start();
    else if (roll < 80) this.#appendRecords();
    else if (roll < 88) this.#anyProcess((process) => this.#kill(process));
    else if (roll < 100) this.#anyProcess((process) => this.#sleep(process));
    else if (roll < 115)
      this.#anyStream((stream) => {
        this.#breakStream(stream);
      });
    else if (roll < 120) this.#failOver();
    else if (roll < 126) this.#stopBroker(this.#random.chance(0.5));
    else if (roll < 134)
      this.#anyProcess((process) =>
        process.on(() => {
          process.leave();
        }),
      );
    else if (roll < 138) this.#coordinators.refuse();
    else if (roll < 141) this.#addPartition();
    else if (roll < 145) this.#seek();
  }

  #start(): void {
    if (this.#processes.filter(({ isAlive }) => isAlive).length >= PROCESSES_MAX) return;
    const process = new MemberProcess(this.#surroundings(), {
      group: this.#random.pick(GROUPS),
      topics: this.#random.pick(SUBSCRIPTIONS),
      instanceId: this.#random.pick(INSTANCES),
    });
    this.#processes.push(process);
    process.step({ kind: 'start' });
  }

  /** Of two processes with one instance id the newer stays: the one that joined first later. */
  #newerStays(process: MemberProcess): void {
    const { group, instanceId } = process;
    const sinceMs = this.#joinedMs.get(process) ?? 0;
    const isNewer = (each: MemberProcess): boolean =>
      each !== process &&
      each.group === group &&
      each.instanceId === instanceId &&
      // Answers take their time.
      (this.#joinedMs.get(each) ?? Infinity) >= sinceMs - DELAY_MS_MAX;
    if (!this.#processes.some(isNewer))
      throw new Error(`an older process took ${instanceId} from ${process.member.memberId}`);
    this.totals.replaced += 1;
  }

  #surroundings(): Surroundings {
    return {
      random: this.#random,
      nowMs: () => this.#nowMs,
      after: (delayMs, act) => this.#after(delayMs, act),
      newId: () => `00000000-0000-4000-8000-${String(this.#nextId++).padStart(12, '0')}`,
      open: (...call) => this.#open(...call),
      close: (process, attempt) => {
        const stream = this.#streamOf(process, attempt);
        if (stream !== undefined) this.#drop(stream);
      },
      applied: (attempt, epoch, process) =>
        this.#reach(process, attempt, (stream) => {
          this.#note(`${stream.memberId} has applied ${String(epoch)}`);
          stream.epoch = Math.max(stream.epoch, epoch);
        }),
      leave: (process, attempt) => this.#leave(process, attempt),
      acknowledge: (...call) => this.#acknowledge(...call),
      cursorOf: (group, key) => this.#cursorOf(group, key),
      endOf: (key) => this.#ends.get(key) ?? 0,
      handled: (process, key, offset) => this.#onHandled(process, key, offset),
      lost: (count) => {
        this.totals.lost += count;
      },
      over: (process, reason) => {
        if (reason === 'replaced') this.#newerStays(process);
      },
    };
  }

  #anyProcess(act: (process: MemberProcess) => void): void {
    const living = this.#processes.filter(({ isAlive }) => isAlive);
    if (living.length > 0) act(this.#random.pick(living));
  }

  #anyStream(act: (stream: Stream) => void): void {
    if (this.#streams.length > 0) act(this.#random.pick(this.#streams));
  }

  #kill(process: MemberProcess): void {
    this.#note(`${process.member.memberId} dies`);
    process.isAlive = false;
    for (const stream of this.#streams.filter((each) => each.process === process))
      this.#drop(stream);
  }

  #sleep(process: MemberProcess): void {
    if (process.isPaused) return;
    process.pause();
    this.#after(this.#random.pick([500, 3_000, 12_000]), () => process.wake());
  }

  /** The stream is gone for its broker; the process hears of it later. */
  #breakStream(stream: Stream): void {
    this.#drop(stream);
    this.#hears(stream, () => stream.process.ended(stream.attempt, 'broken'));
  }

  /** The broker, which lives, says so to the coordinator. */
  #drop(stream: Stream): void {
    if (!this.#forget(stream)) return;
    this.#note(`${stream.memberId} loses stream ${String(stream.attempt)}`);
    if (!this.#brokers[stream.broker]!.isUp || stream.attachment === 0) return;
    const { memberId, attachment, broker: proxy } = stream;
    const { group } = stream.process;
    this.#toCoordinator(() => {
      const { present } = this.#coordinators;
      const detached = { kind: 'detached', proxy, group, memberId, attachment } as const;
      this.#coordinators.step(present, detached);
    });
  }

  #forget(stream: Stream): boolean {
    const at = this.#streams.indexOf(stream);
    if (at >= 0) this.#streams.splice(at, 1);
    return at >= 0;
  }

  #stopBroker(isOrderly: boolean): void {
    const broker = this.#random.pick(this.#brokers);
    if (!broker.isUp) return;
    this.#note(`broker ${String(broker.id)} ${isOrderly ? 'stops' : 'dies'}`);
    const own = this.#streams.filter((stream) => stream.broker === broker.id);
    const die = (): void => {
      broker.isUp = false;
      for (const stream of this.#streams.filter((each) => each.broker === broker.id))
        this.#breakStream(stream);
      this.#after(3_000, () => {
        broker.isUp = true;
      });
    };
    if (!isOrderly) {
      die();
      return;
    }
    for (const stream of own) {
      this.totals.reattached += 1;
      this.#tell(stream, { kind: 'reattach', attempt: stream.attempt });
    }
    this.#after(1_000, die);
  }

  #failOver(): void {
    this.#note('another coordinator');
    this.#coordinators.failOver(this.#nowMs, { metadataIndex: this.#index, topics: this.#topics });
    // The one before is cut off at once here; test/sim/groups has it linger.
    this.#coordinators.former = null;
  }

  #index = 1;

  #addTopic(name: string): void {
    const topicId = `t-${name}`;
    this.#topics.set(name, { topicId, partitions: 2, racks: [] });
  }

  #addPartition(): void {
    const [name, topic] = this.#random.pick([...this.#topics]);
    if (topic.partitions >= 4) return;
    this.#topics.set(name, { ...topic, partitions: topic.partitions + 1 });
    this.#index += 1;
    const { present } = this.#coordinators;
    const topics = new Map(this.#topics);
    this.#coordinators.step(present, { kind: 'topics', metadataIndex: this.#index, topics });
  }

  #appendRecords(): void {
    const [, { topicId, partitions }] = this.#random.pick([...this.#topics]);
    const key = partitionKey(topicId, this.#random.below(partitions));
    const end = this.#ends.get(key) ?? 0;
    this.#ends.set(key, Math.min(RECORDS_MAX, end + 1 + this.#random.below(4)));
  }

  /** Back to the beginning: whoever holds the partition begins there anew. */
  #seek(): void {
    const group = this.#random.pick(GROUPS);
    const [, { topicId }] = this.#random.pick([...this.#topics]);
    const partitions = [{ topicId, partition: 0 }];
    const riders = [{ key: JSON.stringify(['cursor', group]), value: '{}' }];
    this.#ask(0, { kind: 'seek', group, partitions, riders }, (reply) => {
      if (reply instanceof BrokerError) return;
      this.#note(`${group} seeks ${topicId}/0`);
    });
  }

  // Between brokers

  #toCoordinator(act: () => void): void {
    this.#after(this.#delayMs(), act);
  }

  #ask(
    proxy: number,
    request: GroupRequest,
    callback: (reply: GroupReply | BrokerError) => void,
  ): void {
    if (!this.#isCalm && this.#random.chance(0.05)) return;
    const requestId = this.#nextRequestId++;
    this.#callbacks.set(requestId, callback);
    this.#toCoordinator(() => {
      const { present } = this.#coordinators;
      this.#coordinators.step(present, { kind: 'request', requestId, proxy, request });
    });
  }

  #carryOut({ replies, messages }: MembershipOutput): void {
    for (const { requestId, reply } of replies) {
      const callback = this.#callbacks.get(requestId);
      this.#callbacks.delete(requestId);
      if (callback !== undefined) this.#after(this.#delayMs(), () => callback(reply));
    }
    for (const message of messages) this.#after(this.#delayMs(), () => this.#onMessage(message));
  }

  #onMessage(message: MemberMessage): void {
    const stream = this.#streams.find(
      ({ memberId, attachment, broker }) =>
        memberId === message.memberId &&
        attachment === message.attachment &&
        broker === message.proxy,
    );
    if (stream === undefined) return;
    if (message.kind === 'view') {
      this.#tellView(stream, message.view);
      return;
    }
    this.#note(`${message.memberId} is fenced: ${message.reason}`);
    const { attempt, process } = stream;
    this.#tell(stream, { kind: 'fenced', attempt, reason: message.reason });
    this.#hears(stream, () => process.ended(attempt, 'fenced'));
    this.#forget(stream);
  }

  #heartbeats(): void {
    for (const { id: proxy, isUp } of this.#brokers) {
      const own = this.#streams.filter((each) => each.broker === proxy && each.attachment > 0);
      if (!isUp || own.length === 0 || (!this.#isCalm && this.#random.chance(0.2))) continue;
      const members = own.map(({ process, memberId, attachment, epoch }) => ({
        ...{ group: process.group, memberId, attachment, epoch },
      }));
      const requestId = this.#nextRequestId++;
      const sentMs = this.#nowMs;
      this.#callbacks.set(requestId, (reply) => {
        if (reply instanceof BrokerError || reply.kind !== 'heartbeat') return;
        const refused = new Set(reply.refused.map(({ at }) => at));
        for (const [at, stream] of own.entries())
          if (!refused.has(at) && this.#streams.includes(stream)) {
            stream.answeredMs = Math.max(stream.answeredMs, sentMs);
            this.#tellLease(stream);
          }
      });
      this.#toCoordinator(() => {
        const { present } = this.#coordinators;
        this.#coordinators.step(present, { kind: 'heartbeat', requestId, proxy, members });
      });
    }
  }

  // Streams

  #streamOf(process: MemberProcess, attempt: number): Stream | undefined {
    return this.#streams.find((each) => each.process === process && each.attempt === attempt);
  }

  /** To the process, in order. */
  #hears(stream: Stream, act: () => void): void {
    const { process } = stream;
    stream.arrivesMs = Math.max(stream.arrivesMs, this.#nowMs + this.#delayMs());
    this.#at(stream.arrivesMs, () => process.on(act));
  }

  #tell(stream: Stream, input: MemberInput<never>): void {
    this.#hears(stream, () => stream.process.step(input));
  }

  /** To the broker, in order, if the stream is there still. */
  #reach(process: MemberProcess, attempt: number, act: (stream: Stream) => void): void {
    const stream = this.#streamOf(process, attempt);
    if (stream === undefined) return;
    stream.reachesMs = Math.max(stream.reachesMs, this.#nowMs + this.#delayMs());
    this.#at(stream.reachesMs, () => {
      if (this.#streams.includes(stream)) act(stream);
    });
  }

  #tellLease(stream: Stream): void {
    const leftMs = (2 / 3) * SESSION_MS - (this.#nowMs - stream.answeredMs);
    this.#note(`${stream.memberId} has ${String(leftMs)}`);
    const { attempt } = stream;
    this.#tell(stream, { kind: 'lease', attempt, leftMs: Math.max(0, leftMs) });
  }

  #tellView(stream: Stream, view: MemberView): void {
    const { process, attempt } = stream;
    this.#note(
      `${stream.memberId} by ${String(attempt)} is told view ${String(view.epoch)}: ${view.assigned.map(({ topicId, partition, epoch }) => `${topicId}/${String(partition)}@${String(epoch)}`).join(' ')}`,
    );
    const assigned = view.assigned.map(({ topicId, partition, epoch }) => {
      const key = partitionKey(topicId, partition);
      // Now and then the broker takes it for one that the member has.
      const isKnown = this.#random.chance(0.2);
      return {
        ...{ key, topic: topicId.slice(2), topicId, partition, epoch, error: undefined },
        cursor: isKnown ? undefined : this.#cursorOf(process.group, key),
      };
    });
    if (view.revoked.length > 0) this.totals.revoked += 1;
    const told: View<never> = { epoch: view.epoch, assigned, leftMs: RELEASE_MS };
    this.#tell(stream, { kind: 'view', attempt, view: told });
  }

  #open(process: MemberProcess, { attempt, memberId, epoch, formerId }: OpenAction): void {
    const up = this.#brokers.filter(({ isUp }) => isUp);
    const broker = this.#random.pick(up.length > 0 ? up : this.#brokers);
    const stream: Stream = {
      ...{ process, memberId, attempt, broker: broker.id, attachment: 0, epoch },
      ...{ answeredMs: this.#nowMs, arrivesMs: 0, reachesMs: 0 },
    };
    this.#streams.push(stream);
    if (!broker.isUp) {
      this.#breakStream(stream);
      return;
    }
    const { group, topics, instanceId } = process;
    const join: GroupRequest = {
      ...{ kind: 'join', group, memberId, attempt, instanceId, topics, epoch },
      ...{ rack: '', client: 'model', assignor: '', sessionMs: SESSION_MS, formerId },
      ...{ graceMs: GRACE_MS, returnMs: 0 },
    };
    const sentMs = this.#nowMs;
    this.#ask(broker.id, join, (reply) => {
      if (!this.#streams.includes(stream)) return;
      if (reply instanceof BrokerError) {
        this.#note(`${memberId} may not join: ${reply.message}`);
        this.#forget(stream);
        const end = reply.code === 'FENCED' ? 'fenced' : 'broken';
        this.#hears(stream, () => process.ended(attempt, end));
      } else if (reply.kind === 'replaced') {
        this.#tell(stream, { kind: 'fenced', attempt, reason: 'replaced' });
        this.#forget(stream);
      } else if (reply.kind === 'joined') {
        if (!this.#joinedMs.has(process)) this.#joinedMs.set(process, this.#nowMs);
        stream.attachment = reply.attachment;
        stream.answeredMs = sentMs;
        this.#tell(stream, { kind: 'joined', attempt, sessionMs: SESSION_MS });
        this.#tellView(stream, reply.view);
        this.#tellLease(stream);
      }
    });
  }

  #leave(process: MemberProcess, attempt: number): void {
    this.#reach(process, attempt, (stream) => {
      const { memberId, attachment, broker } = stream;
      const { group } = process;
      const leave = { kind: 'leave', group, memberId, attachment, isReturning: false } as const;
      this.#ask(broker, leave, (reply) => {
        this.#hears(stream, () => process.ended(attempt, 'broken'));
        // It did not leave: its stream is gone nevertheless.
        if (reply instanceof BrokerError) this.#drop(stream);
        else this.#forget(stream);
      });
    });
  }

  // Records and cursors

  #cursorOf(group: string, key: string): Place {
    return this.#cursors.get(`${group} ${key}`) ?? { offset: 0, leaderEpoch: 0 };
  }

  #onHandled({ group }: MemberProcess, key: string, offset: number): void {
    const place = `${group} ${key}`;
    const handled = this.#handled.get(place) ?? new Set<number>();
    this.#handled.set(place, handled);
    if (handled.has(offset)) this.totals.repeated += 1;
    else this.totals.handled += 1;
    handled.add(offset);
  }

  #acknowledge(process: MemberProcess, attempt: number, of: Acknowledgement): void {
    for (const { held } of of.commits)
      if (!process.member.mayCommit(held))
        throw new Error(`${process.member.memberId} commits ${held.key}, which it does not hold`);
    this.#reach(process, attempt, (stream) => {
      this.#toCoordinator(() => {
        const outcomes = of.commits.map((commit) => this.#judge(stream, commit));
        this.#hears(stream, () => {
          process.ledger.answered(of.acknowledgeId, outcomes);
          process.work();
        });
      });
    });
  }

  #judge(stream: Stream, { held, offset }: Acknowledgement['commits'][number]): CommitOutcome {
    const { core } = this.#coordinators.present;
    if (!core.isServing) return 'again';
    const { topicId, partition, epoch, key } = held;
    const { group } = stream.process;
    const { memberId, attachment } = stream;
    const claim = { group, topicId, partition, memberId, attachment, epoch };
    if (commitVerdict(core.image, claim) !== null) {
      this.totals.refused += 1;
      // By an attachment that it has left, perhaps: then it holds it still, and asks again.
      return stream.process.member.holds(held) ? 'again' : 'refused';
    }
    this.#checks.onAccepted(claim);
    const place = `${group} ${key}`;
    const before = this.#cursorOf(group, key).offset;
    if (offset < before) return 'refused';
    for (let at = before; at < offset; at += 1)
      if (this.#handled.get(place)?.has(at) !== true)
        throw new Error(`the cursor of ${place} passes ${String(at)}, which nobody has handled`);
    this.#cursors.set(place, { offset, leaderEpoch: 1 });
    this.totals.commits += 1;
    return 'committed';
  }

  /** Whose place another process took is told; until then it may still hand out. */
  #isReplaced({ group, instanceId, member }: MemberProcess): boolean {
    return instanceId !== '' && !this.#checks.membersOf(group).has(member.memberId);
  }

  /** One process at most hands out a partition. */
  #oneReader(): void {
    const readers = new Map<string, MemberProcess>();
    for (const process of this.#processes) {
      if (!process.isDelivering || this.#isReplaced(process)) continue;
      for (const key of process.member.held.keys()) {
        const place = `${process.group} ${key}`;
        const other = readers.get(place);
        if (other !== undefined)
          throw new Error(
            `${place} is handed out to ${other.member.memberId} (${String(other.member.attempt)}) and ${process.member.memberId}`,
          );
        readers.set(place, process);
      }
    }
  }

  // The end

  #calmDown(): void {
    this.#note('calm');
    this.#isCalm = true;
    for (const process of this.#processes) if (process.isPaused) process.wake();
    for (const group of GROUPS)
      for (const topics of [['*']]) {
        const process = new MemberProcess(this.#surroundings(), { group, topics, instanceId: '' });
        this.#processes.push(process);
        process.step({ kind: 'start' });
      }
    this.#failOver();
    for (let ms = 0; ms < CALM_MS; ms += STEP_MS) this.#pass(STEP_MS);
    this.totals.left = this.#processes.filter(({ end }) => end === 'left').length;
    for (const process of this.#processes)
      if (process.isLeaving && process.isAlive)
        throw new Error(`${process.member.memberId} wants to leave, and does not`);
    for (const group of GROUPS)
      for (const [key, end] of this.#ends) this.#allHandled(`${group} ${key}`, group, key, end);
  }

  #allHandled(place: string, group: string, key: string, end: number): void {
    for (let offset = 0; offset < end; offset += 1)
      if (this.#handled.get(place)?.has(offset) !== true)
        throw new Error(`${place} has record ${String(offset)}, which nobody has handled`);
    const cursor = this.#cursorOf(group, key).offset;
    if (cursor !== end)
      throw new Error(`the cursor of ${place} is ${String(cursor)}, the end is ${String(end)}`);
    const readers = this.#processes.filter(
      (each) => each.group === group && each.isDelivering && each.member.held.has(key),
    );
    if (readers.length !== 1) throw new Error(`${place} has ${String(readers.length)} readers`);
  }
}
