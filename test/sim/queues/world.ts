/**
 * A seeded random walk over the core of queues: members that die, sleep and acknowledge late, twice
 * or wrongly; owners that are replaced at any step; messages that are lost, doubled or late; a log
 * that is cut, trimmed and compacted; dead letters of unknown fate. `checks.ts` judges; a violation
 * throws. At the end the world is calm, and every record must have been settled.
 */
import { BrokerError } from '../../../base/errors.ts';
import { Random } from '../../../base/random.ts';
import { Mail } from '../kit/mail.ts';
import type {
  Acknowledgement,
  Delivery,
  LetterTask,
  QueueConfig,
  QueueOutput,
  QueueReply,
  Verdict,
} from '../../../broker/queues/types.ts';
import { Checks } from './checks.ts';
import { LetterLog } from './letter-log.ts';
import { type Owner, Owners } from './owners.ts';
import { idOf, SourceLog } from './source-log.ts';

const MEMBERS_MAX = 4;
const MAIL_MAX = 12;
const MAIL = { lossChance: 0.04, lateChance: 0.05, lateMax: 8 };
/** A member asks anew when it has heard nothing for so long. */
const PATIENCE_MS = 2_000;
/** So far the log goes ahead of the queue. */
const AHEAD_MAX = 14;
/** Time to read once, and to find that the log was cut. */
const CALM_STEPS_MIN = 20;
const CALM_STEPS_MAX = 4_000;

const PLAIN: QueueConfig = {
  leaseMs: 2_000,
  deliveriesMax: 0,
  hasDeadLetters: false,
  isKeyOrdered: false,
  parksKeys: false,
  delayMsMin: 0,
  delayMsMax: 60_000,
};
/** Of so many seeds one changes its config on the way. */
const CHANGING_EACH = 5;
/** What a walk keeps to. */
export const CONFIGS: readonly QueueConfig[] = [
  PLAIN,
  { ...PLAIN, hasDeadLetters: true, delayMsMin: 400 },
  { ...PLAIN, hasDeadLetters: true, deliveriesMax: 3 },
  { ...PLAIN, isKeyOrdered: true, leaseMs: 3_000 },
  { ...PLAIN, isKeyOrdered: true, hasDeadLetters: true, deliveriesMax: 2 },
  { ...PLAIN, isKeyOrdered: true, hasDeadLetters: true, deliveriesMax: 3, parksKeys: true },
];

interface Member {
  readonly id: string;
  isPaused: boolean;
  leases: Delivery[];
  /** Settled ones, to be acknowledged once more. */
  old: Acknowledgement[];
  askId: number;
  askedMs: number;
}

export interface WorldStats {
  batches: number;
  delivered: number;
  accepted: number;
  refused: number;
  buried: number;
  retired: number;
  superseded: number;
  /** Delivered, and gone before they could be read. */
  missing: number;
  unsent: number;
  diverged: number;
  failovers: number;
}

export class World {
  readonly #random: Random;
  readonly #print: (line: string) => void;
  #config: QueueConfig;
  /** It changes in the walk. */
  readonly #isChanging: boolean;
  readonly #source: SourceLog;
  readonly #letters: LetterLog;
  readonly #checks: Checks;
  readonly #owners: Owners;
  #members: Member[] = [];
  readonly #mail: Mail;
  readonly #callbacks = new Map<number, (reply: QueueReply | BrokerError, from: Owner) => void>();
  #nextId = 1;
  #nowMs = 1_000;
  #wallMs = 1_700_000_000_000;
  #isCalm = false;
  readonly stats: WorldStats = {
    ...{ batches: 0, delivered: 0, accepted: 0, refused: 0, buried: 0 },
    ...{ retired: 0, superseded: 0, missing: 0, unsent: 0, diverged: 0, failovers: 0 },
  };

  constructor(seed: number, print: (line: string) => void = () => undefined) {
    this.#random = new Random(seed);
    this.#print = print;
    this.#mail = new Mail(this.#random, MAIL);
    this.#config = CONFIGS[seed % CONFIGS.length]!;
    this.#isChanging = seed % CHANGING_EACH === 0;
    this.#source = new SourceLog(this.#random);
    this.#letters = new LetterLog(this.#random, this.#source);
    this.#checks = new Checks(this.#source, this.#letters, this.#isChanging ? null : this.#config);
    this.#owners = new Owners({
      random: this.#random,
      config: () => this.#config,
      windowRecords: this.#random.pick([4, 12, 2_000]),
      onOutput: (output, from) => this.#carryOut(output, from),
      onCommitted: (before, after) => this.#checks.onCommitted(before, after),
    });
    const storesLeases = this.#config.isKeyOrdered || this.#config.deliveriesMax > 0;
    this.#owners.isExact = storesLeases && !this.#isChanging;
    this.#failOver();
  }

  run(steps: number): WorldStats {
    for (let step = 0; step < steps; step += 1) this.#act();
    this.#calmDown();
    this.stats.batches = this.#owners.batches;
    return this.stats;
  }

  #note(line: string): void {
    this.#print(`${String(this.#nowMs).padStart(8)} ${line}`);
  }

  #faulty(probability: number): boolean {
    return !this.#isCalm && this.#random.chance(probability);
  }

  // One step of the walk

  #act(): void {
    const random = this.#random;
    const roll = random.below(1000);
    if (roll < 250) this.#mail.deliver();
    else if (roll < 350) this.#tick(random.pick([50, 250, 250, 400, 900]));
    else if (roll < 460) this.#owners.commit();
    else if (roll < 560) this.#read(this.#anyOwner());
    else if (roll < 660) this.#ask();
    else if (roll < 790) this.#acknowledge();
    else if (roll < 840) this.#append();
    else if (roll < 880) this.#source.commit();
    else if (roll < 900) this.#strike();
    else if (roll < 920) this.#mail.deliverLate();
    else if (roll < 940) this.#stirLetters();
    else if (roll < 948) this.#changeLog();
    else if (roll < 950) this.#source.branch();
    else if (roll < 956) this.#owners.refuse();
    else if (roll < 964) this.#failOver();
    else if (roll < 980) this.#administer();
    else this.#stirOwners();
    while (this.#mail.length > MAIL_MAX) this.#mail.deliver();
  }

  #tick(ms: number): void {
    this.#nowMs += ms;
    this.#wallMs += ms;
    const wallMs = this.#faulty(0.1) ? null : this.#wallMs;
    for (const each of this.#both())
      this.#owners.step(each, { kind: 'tick', nowMs: this.#nowMs, wallMs });
  }

  #both(): Owner[] {
    const { present, former } = this.#owners;
    return former === null ? [present] : [present, former];
  }

  /** Whom a broker takes for the owner. */
  #anyOwner(): Owner {
    const { present, former } = this.#owners;
    return former !== null && this.#faulty(0.2) ? former : present;
  }

  // Messages

  #carryOut({ replies, task, facts }: QueueOutput, from: Owner): void {
    for (const fact of facts) {
      this.#note(`${String(from.epoch)} ${JSON.stringify(fact)}`);
      if (fact.kind === 'dead-lettered') this.stats.buried += 1;
      else if (fact.kind !== 'died' && fact.kind !== 'unreadable') this.stats[fact.kind] += 1;
    }
    for (const { requestId, reply } of replies) this.#callbacks.get(requestId)?.(reply, from);
    if (task !== null) this.#bury(from, task);
  }

  #bury(owner: Owner, task: LetterTask): void {
    this.#checks.onTask(task, owner, this.#owners.state);
    // A task is answered once, and may take long.
    this.#mail.push(() => {
      const result = this.#letters.carryOut(task, () => this.#faulty(0.3));
      this.#note(`${String(owner.epoch)} ${JSON.stringify(task)}: ${JSON.stringify(result)}`);
      this.#checks.afterLetters();
      this.#owners.step(owner, { kind: 'letter', taskId: task.taskId, result });
    });
  }

  #stirLetters(): void {
    this.#letters.stir();
    this.#checks.afterLetters();
  }

  // The log

  /** One read at a time, of what the owner wants. */
  #read(owner: Owner): void {
    const { wanted, position } = owner.core;
    if (owner.isReading || wanted === null || position === null) return;
    owner.isReading = true;
    this.#mail.push(() => {
      owner.isReading = false;
      const count = Math.min(wanted.records, 1 + this.#random.below(8));
      const { logStart } = this.#source;
      if (wanted.offset < logStart)
        this.#owners.step(owner, { kind: 'log-start', offset: logStart });
      const answer = this.#source.read(wanted.offset, position, count);
      this.#note(
        `${String(owner.epoch)} at ${JSON.stringify(position)}: ${JSON.stringify(answer)}`,
      );
      if (answer !== null) this.#owners.step(owner, answer);
    });
  }

  /** Near the end of the log elections cut what was handed out. */
  #append(): void {
    const isNear = this.#source.end - (this.#owners.state?.next ?? 0) < AHEAD_MAX;
    if (isNear) this.#source.append(1 + this.#random.below(4));
  }

  #changeLog(): void {
    const roll = this.#random.below(10);
    if (roll < 3) this.#source.elect(this.#random.chance(0.6));
    else if (roll === 3) this.#checks.onAgain(this.#source.electBranch());
    else if (roll < 6) {
      this.#source.retain();
      for (const owner of this.#both())
        this.#owners.step(owner, { kind: 'log-start', offset: this.#source.logStart });
    } else this.#source.compact();
  }

  // Members

  #pick(isWanted: (member: Member) => boolean): Member | undefined {
    const found = this.#members.filter(isWanted);
    return found.length === 0 ? undefined : this.#random.pick(found);
  }

  #newMember(): void {
    if (this.#members.length >= MEMBERS_MAX) return;
    const id = `m${String(this.#nextId++)}`;
    this.#members.push({ id, isPaused: false, leases: [], old: [], askId: 0, askedMs: 0 });
  }

  #ask(member = this.#pick(({ isPaused }) => !isPaused)): void {
    if (member === undefined) return this.#newMember();
    if (member.askId !== 0 && this.#nowMs - member.askedMs < PATIENCE_MS) return;
    const requestId = this.#nextId++;
    const former = member.askId;
    Object.assign(member, { askId: requestId, askedMs: this.#nowMs });
    const memberId = member.id;
    const records = 1 + this.#random.below(4);
    const bytes = this.#random.pick([1, 150, 100_000]);
    this.#callbacks.set(requestId, (reply, from) => {
      const given =
        reply instanceof BrokerError || reply.kind !== 'records' ? [] : reply.deliveries;
      for (const each of given) this.#onDelivery(from, memberId, each);
      const there = this.#readAgain(from, given);
      const kept = this.#faulty(0.1) ? this.#unsent(from, memberId, there) : there;
      this.#mail.post(() => {
        if (member.askId === requestId) member.askId = 0;
        member.leases.push(...kept);
      });
    });
    this.#mail.post(() => {
      const owner = this.#anyOwner();
      if (this.#random.chance(0.7)) this.#owners.step(owner, { kind: 'cancel', requestId: former });
      this.#owners.step(owner, { kind: 'ask', requestId, memberId, records, bytes });
    });
  }

  /** Records that can be read; of the others the owner is told. */
  #readAgain(from: Owner, given: readonly Delivery[]): Delivery[] {
    const there = given.filter((each) => this.#source.holds(each));
    const records = given.filter((each) => !this.#source.holds(each));
    if (records.length > 0) {
      this.stats.missing += records.length;
      this.#mail.push(() => {
        this.#owners.step(from, { kind: 'missing', records });
      });
    }
    return there;
  }

  /** Some are beyond what the member takes: its proxy says so, once, where they came from. */
  #unsent(from: Owner, memberId: string, given: readonly Delivery[]): readonly Delivery[] {
    const kept = given.slice(0, this.#random.below(given.length + 1));
    const acknowledgements = given.slice(kept.length).map((lease) => {
      this.#checks.onUnsent(idOf(lease), lease.delivery);
      return { ...lease, verdict: { kind: 'unsent' as const } };
    });
    if (acknowledgements.length === 0) return kept;
    this.stats.unsent += acknowledgements.length;
    const requestId = this.#nextId++;
    this.#mail.push(() => {
      this.#owners.step(from, { kind: 'acknowledge', requestId, memberId, acknowledgements });
    });
    return kept;
  }

  #onDelivery(from: Owner, memberId: string, delivery: Delivery): void {
    const { delivery: number } = delivery;
    this.#note(`${String(from.epoch)} gives ${idOf(delivery)} (${String(number)}) to ${memberId}`);
    this.stats.delivered += 1;
    const at = { nowMs: this.#nowMs, wallMs: this.#wallMs };
    this.#checks.onDelivery(from, memberId, delivery, this.#owners.state!, at);
  }

  #verdict(): Verdict {
    const roll = this.#random.below(20);
    if (roll < 11 || this.#isCalm) return { kind: 'accept' };
    if (roll < 15)
      return { kind: 'release', delayMs: this.#random.pick([0, 0, 700, 5_000, 60_000, 60_001]) };
    if (roll < 18) return { kind: 'reject', reason: 'it cannot be read' };
    return { kind: 'extend' };
  }

  #acknowledge(member = this.#pick(({ isPaused }) => !isPaused)): void {
    if (member === undefined) return;
    const some = member.leases.splice(0, 1 + this.#random.below(3));
    const acknowledgements = some.map((lease) => ({ ...lease, verdict: this.#verdict() }));
    // It may go on with some of them, and repeat others later.
    for (const each of acknowledgements) {
      if (each.verdict.kind === 'extend') member.leases.push(each);
      else member.old.push(each);
    }
    if (this.#faulty(0.2) && member.old.length > 0)
      acknowledgements.push(this.#random.pick(member.old));
    this.#send(member, acknowledgements);
  }

  #send({ id: memberId }: Member, acknowledgements: readonly Acknowledgement[]): void {
    if (acknowledgements.length === 0) return;
    for (const each of acknowledgements) {
      if (each.verdict.kind === 'accept') this.#checks.acceptTried.add(idOf(each));
      if (each.verdict.kind === 'reject') this.#checks.rejectTried.add(idOf(each));
    }
    const requestId = this.#nextId++;
    // From then on an extension counts: the answer may wait for a commit.
    const sentMs = this.#nowMs;
    this.#callbacks.set(requestId, (reply, from) => {
      if (reply instanceof BrokerError || reply.kind !== 'acknowledged') return;
      for (const [at, outcome] of reply.outcomes.entries()) {
        const { verdict, ...lease } = acknowledgements[at]!;
        this.#note(`${idOf(lease)} ${verdict.kind}: ${String(outcome)}`);
        if (outcome instanceof BrokerError) this.stats.refused += 1;
        // An earlier owner extends its own leases, which are none.
        if (from !== this.#owners.present) continue;
        if (outcome === 'settled' && verdict.kind === 'extend')
          throw new Error(`a lease of ${idOf(lease)} that is over is said to be extended`);
        if (outcome === 'settled' && verdict.kind === 'release' && verdict.delayMs > 0)
          this.#checks.onReleased(lease, this.#owners.state!);
        if (outcome !== 'done') continue;
        if (verdict.kind === 'accept') this.stats.accepted += 1;
        this.#checks.onDone(idOf(lease), verdict.kind, this.#owners.state!, sentMs);
      }
    });
    this.#mail.post(() => {
      const owner = this.#anyOwner();
      this.#owners.step(owner, { kind: 'acknowledge', requestId, memberId, acknowledgements });
    });
  }

  /** What befalls members. */
  #strike(): void {
    const member = this.#pick(() => true);
    const roll = this.#random.below(4);
    if (member === undefined) return;
    if (roll < 2) member.isPaused = !member.isPaused;
    else if (roll === 2) this.#members = this.#members.filter((each) => each !== member);
    else {
      this.#members = this.#members.filter((each) => each !== member);
      this.#checks.onGone(member.id);
      this.#owners.step(this.#owners.present, { kind: 'member-gone', memberId: member.id });
    }
  }

  // Owners

  #failOver(): void {
    this.stats.failovers += 1;
    this.#owners.failOver(this.#nowMs);
    const { present, state } = this.#owners;
    this.#note(`owner ${String(present.epoch)}`);
    this.#checks.onOwner(present, state);
    const inputs = [
      { kind: 'begin', offset: 0, epoch: 0 },
      { kind: 'log-start', offset: this.#source.logStart },
    ] as const;
    const isReversed = this.#random.chance(0.5);
    for (const input of isReversed ? inputs.toReversed() : inputs)
      this.#owners.step(present, input);
  }

  /** It learns that it leads no more; or the present one is cut off from the controller. */
  #stirOwners(): void {
    const { former, present } = this.#owners;
    const roll = this.#random.below(4);
    if (roll === 0) this.#owners.step(present, { kind: 'heard', isHeard: !present.isHeard });
    else if (roll === 1) this.#owners.loseFormer();
    else if (roll === 2 && former !== null) this.#owners.former = null;
    else this.#forge();
  }

  /** Batches of other leaderships, tasks that are over, and leases of others. */
  #forge(): void {
    const { present } = this.#owners;
    const ids = { epoch: present.epoch - 1, batchId: present.underWay?.batchId ?? 1 };
    const error = new BrokerError('NOT_ENOUGH_REPLICAS', 'forged');
    const roll = this.#random.below(4);
    if (roll === 0) this.#owners.step(present, { kind: 'committed', ...ids });
    else if (roll === 1) this.#owners.step(present, { kind: 'lost', ...ids, error });
    else {
      const member = this.#pick(({ leases }) => leases.length > 0);
      const lease = member?.leases[0];
      const other = this.#pick((each) => each !== member);
      if (lease === undefined || other === undefined) return;
      const verdict = this.#verdict();
      this.#send(other, [{ ...lease, delivery: lease.delivery + this.#random.below(3), verdict }]);
    }
  }

  #administer(): void {
    const { present, state } = this.#owners;
    if (this.#isChanging && this.#random.chance(0.2)) {
      this.#config = this.#random.pick(CONFIGS);
      for (const owner of this.#both())
        if (owner === present || this.#random.chance(0.5))
          this.#owners.step(owner, { kind: 'config', config: this.#config });
    }
    const parked = (state?.entries ?? []).filter(({ kind }) => kind === 'parked');
    if (parked.length === 0 || this.#random.chance(0.5))
      this.#owners.step(present, { kind: 'snapshot' });
    else {
      const requestId = this.#nextId++;
      const { offset } = this.#random.pick(parked);
      this.#owners.step(present, { kind: 'free-key', requestId, offset });
    }
  }

  // The calm world

  /** At the end of it every record is settled. */
  #calmDown(): void {
    this.#isCalm = true;
    this.#mail.calm();
    this.#source.commit();
    this.#failOver();
    this.#owners.former = null;
    this.#members = [];
    for (let count = 0; count < 2; count += 1) this.#newMember();
    for (let step = 0; step < CALM_STEPS_MAX; step += 1) {
      this.#calmStep();
      const { state } = this.#owners;
      const isDone = state !== null && state.entries.length === 0;
      if (step >= CALM_STEPS_MIN && isDone && this.#isReadToEnd()) break;
    }
    this.#checks.atEnd(this.#owners.state!);
  }

  #isReadToEnd(): boolean {
    const last = this.#source.records().at(-1)?.offset ?? -1;
    // A cut that it met is committed a little later.
    const { position } = this.#owners.present.core;
    return Math.min(position?.offset ?? 0, this.#owners.state?.next ?? 0) > last;
  }

  #calmStep(): void {
    this.#tick(250);
    this.#read(this.#owners.present);
    for (const member of this.#members) {
      this.#ask(member);
      this.#acknowledge(member);
    }
    const parked = (this.#owners.state?.entries ?? []).find(({ kind }) => kind === 'parked');
    if (parked !== undefined)
      this.#owners.step(this.#owners.present, {
        ...{ kind: 'free-key', requestId: this.#nextId++, offset: parked.offset },
      });
    for (let turn = 0; turn < 4; turn += 1) {
      while (this.#mail.length > 0) this.#mail.deliver();
      this.#owners.commit();
    }
  }
}
