/**
 * A seeded random walk over the core of consumer groups: processes that die, sleep and return late;
 * proxies that die and stop; coordinators that are replaced at any step; messages that are lost,
 * doubled, late or forged; topics that grow, go and come again. `checks.ts` judges; a violation
 * throws. At the end the world is calm, and everything must be read.
 */
import { BrokerError } from '../../../base/errors.ts';
import { Random } from '../../../base/random.ts';
import { Mail } from '../kit/mail.ts';
import { partitionKey } from '../../../base/units.ts';
import { Topics } from '../../../broker/groups/membership/topics.ts';
import type {
  GroupReply,
  GroupRequest,
  GroupTopic,
  MemberMessage,
  MembershipOutput,
  MemberSign,
} from '../../../broker/groups/membership/types.ts';
import { commitVerdict, type CommitClaim } from '../../../broker/groups/membership/verdict.ts';
import { Checks } from './checks.ts';
import { type Coordinator, Coordinators, type TopicsAt } from './coordinators.ts';
import { Process, Proxy } from './processes.ts';

const BROKER_SESSION_MS = 3_000;
const SESSIONS_MS = [6_000, 7_500, 9_000];
const GROUPS = ['orders', 'audit'];
const TOPICS = ['orders-eu', 'orders-us', 'stock'];
const SUBSCRIPTIONS = [
  ['orders-*'],
  ['orders-*'],
  ['orders-eu', 'stock'],
  ['*'],
  ['later', 'stock'],
];
const RACKS = ['a', 'b', ''];
const INSTANCES = ['', '', 'pod-0', 'pod-1', 'pod-2'];
const PROCESSES_MAX = 7;
const MAIL_MAX = 14;
const MAIL = { lossChance: 0.05, lateChance: 0.05, lateMax: 10 };
/** So long the calm world runs: sessions, places kept, and a coordinator's begin, several times. */
const CALM_MS = 60_000;
/** And so long when only topics change: it takes no session. */
const CALM_TOPICS_MS = 4_000;
const CALM_STEP_MS = 500;
const JOIN_PATIENCE_MS = 2_000;

export interface WorldStats {
  batches: number;
  commits: number;
  refused: number;
  failovers: number;
  takeovers: number;
  expired: number;
}

export class World {
  readonly #random: Random;
  readonly #checks = new Checks();
  readonly #coordinators: Coordinators;
  readonly #print: (line: string) => void;
  readonly #proxies = [0, 1, 2].map((id) => new Proxy(id));
  #processes: Process[] = [];
  #history: TopicsAt[] = [];
  readonly #mail: Mail;
  readonly #callbacks = new Map<number, (reply: GroupReply | BrokerError) => void>();
  #nextRequestId = 1;
  #nextId = 1;
  #nowMs = 1_000;
  #isCalm = false;
  /** Until then the controller may hear an earlier leader. */
  #formerUntilMs = 0;
  readonly stats: WorldStats = {
    batches: 0,
    commits: 0,
    refused: 0,
    failovers: 0,
    takeovers: 0,
    expired: 0,
  };

  constructor(seed: number, print: (line: string) => void = () => undefined) {
    this.#random = new Random(seed);
    this.#print = print;
    this.#mail = new Mail(this.#random, MAIL);
    this.#coordinators = new Coordinators({
      random: this.#random,
      checks: this.#checks,
      brokerSessionMs: BROKER_SESSION_MS,
      onOutput: (output, from) => this.#carryOut(output, from),
    });
    const topics = new Map(TOPICS.map((name) => [name, this.#newTopic()]));
    this.#history.push({ metadataIndex: 1, topics });
    this.#failOver();
  }

  run(steps: number): WorldStats {
    for (let step = 0; step < steps; step += 1) {
      this.#act();
      this.#checks.afterStep(this.#processes, this.#nowMs);
    }
    this.#calmDown();
    this.#restartAll();
    this.stats.batches = this.#coordinators.batches;
    return this.stats;
  }

  get #topics(): TopicsAt {
    return this.#history.at(-1)!;
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
    if (roll < 300) this.#mail.deliver();
    else if (roll < 400) this.#tick(random.pick([50, 200, 200, 500, 900]));
    else if (roll < 500) this.#heartbeats();
    else if (roll < 600) this.#coordinators.commit();
    else if (roll < 690) this.#apply();
    else if (roll < 760) this.#attach();
    else if (roll < 820) this.#commitCursor();
    else if (roll < 850) this.#start();
    else if (roll < 890) this.#strike();
    else if (roll < 905) this.#leave();
    else if (roll < 930) this.#mail.deliverLate();
    else if (roll < 945) this.#changeTopics();
    else if (roll < 960) this.#forge();
    else if (roll < 972) this.#administer();
    else if (roll < 980) this.#coordinators.refuse();
    else if (roll < 988) this.#failOver();
    else this.#stirFormer();
    while (this.#mail.length > MAIL_MAX) this.#mail.deliver();
  }

  #tick(ms: number): void {
    this.#nowMs += ms;
    const { former } = this.#coordinators;
    // An earlier leader is not heard for longer than a session.
    if (former?.isHeard === true && this.#nowMs >= this.#formerUntilMs)
      this.#coordinators.step(former, { kind: 'heard', isHeard: false });
    for (const each of this.#both())
      this.#coordinators.step(each, { kind: 'tick', nowMs: this.#nowMs });
  }

  #both(): Coordinator[] {
    const { present, former } = this.#coordinators;
    return former === null ? [present] : [present, former];
  }

  /** Whom a broker takes for the coordinator. */
  #believed(): Coordinator {
    const { present, former } = this.#coordinators;
    return former !== null && this.#faulty(0.3) ? former : present;
  }

  // Messages

  #ask(
    proxy: number,
    request: GroupRequest,
    callback: (reply: GroupReply | BrokerError) => void,
  ): number {
    const requestId = this.#nextRequestId++;
    this.#callbacks.set(requestId, callback);
    this.#mail.post(() => {
      this.#coordinators.step(this.#believed(), { kind: 'request', requestId, proxy, request });
    });
    return requestId;
  }

  #carryOut({ replies, messages }: MembershipOutput, from: Coordinator): void {
    for (const { requestId, reply } of replies) {
      const callback = this.#callbacks.get(requestId);
      if (callback !== undefined) this.#mail.post(() => callback(reply));
    }
    for (const message of messages) {
      if (message.kind === 'fenced') {
        this.#note(`${String(from.epoch)} fences ${message.memberId}: ${message.reason}`);
        if (message.reason === 'expired') this.stats.expired += 1;
      }
      this.#mail.post(() => this.#hear(message));
    }
  }

  #hear(message: MemberMessage): void {
    const process = this.#processes.find(
      ({ memberId, attachment, proxy, isAttached }) =>
        isAttached &&
        memberId === message.memberId &&
        attachment === message.attachment &&
        proxy?.id === message.proxy,
    );
    if (process === undefined) return;
    if (message.kind === 'view') process.tell(message.view);
    else if (message.reason === 'attached-elsewhere') process.detach();
    else if (message.reason === 'replaced') {
      this.stats.takeovers += 1;
      this.#end(process);
    } else process.beginAs(this.#newId());
  }

  // Processes

  #start(): void {
    const random = this.#random;
    if (this.#processes.filter(({ isAlive }) => isAlive).length >= PROCESSES_MAX) return;
    const instanceId = random.pick(INSTANCES);
    const sessionMs = random.pick(SESSIONS_MS);
    this.#processes.push(
      new Process({
        group: random.pick(GROUPS),
        memberId: this.#newId(),
        instanceId,
        topics: random.pick(SUBSCRIPTIONS),
        rack: random.pick(RACKS),
        sessionMs,
        graceMs: random.pick([0, 3_000]),
        returnMs: instanceId === '' ? 0 : random.pick([0, 8_000]),
      }),
    );
  }

  #newId(): string {
    return `00000000-0000-4000-8000-${String(this.#nextId++).padStart(12, '0')}`;
  }

  #pick(isWanted: (process: Process) => boolean): Process | undefined {
    const found = this.#processes.filter((each) => each.isAlive && isWanted(each));
    return found.length === 0 ? undefined : this.#random.pick(found);
  }

  #attach(chosen?: Process): void {
    const isLate = ({ pendingRequest, pendingSinceMs }: Process): boolean =>
      pendingRequest === 0 || this.#nowMs - pendingSinceMs >= JOIN_PATIENCE_MS;
    const process =
      chosen ?? this.#pick((each) => !each.isAttached && !each.isPaused && isLate(each));
    const living = this.#proxies.filter(({ isAlive }) => isAlive);
    if (process === undefined || living.length === 0 || !isLate(process)) return;
    const proxy = this.#random.pick(living);
    process.attempt += 1;
    const { memberId, attempt, group, instanceId, rack, topics, epoch } = process;
    const { sessionMs, graceMs, returnMs } = process;
    const sentMs = this.#nowMs;
    const requestId = this.#ask(
      proxy.id,
      {
        kind: 'join',
        ...{ group, memberId, attempt, instanceId, rack, topics, epoch },
        ...{ sessionMs, graceMs, returnMs, formerId: '' },
        client: 'model',
        assignor: group === 'audit' ? 'rack-aware' : '',
      },
      (reply) => {
        if (process.pendingRequest !== requestId || process.memberId !== memberId) return;
        process.pendingRequest = 0;
        if (!process.isAlive || !proxy.isAlive) return;
        if (reply instanceof BrokerError) {
          if (reply.code === 'FENCED') process.beginAs(this.#newId());
        } else if (reply.kind === 'joined') {
          const { view } = reply;
          this.#checks.onView(group, memberId, view.epoch, [...view.assigned, ...view.revoked]);
          process.proxy = proxy;
          process.attachment = reply.attachment;
          process.answeredMs = sentMs;
          process.tell(view);
        }
      },
    );
    process.pendingRequest = requestId;
    process.pendingSinceMs = sentMs;
  }

  /** Every broker speaks for those of its members that show life. */
  #heartbeats(): void {
    for (const proxy of this.#proxies) {
      const own = this.#processes.filter(
        (each) => each.isAttached && each.proxy === proxy && !each.isPaused,
      );
      if (own.length === 0 || this.#faulty(0.2)) continue;
      const members = own.map(({ group, memberId, attachment, epoch }) => ({
        ...{ group, memberId, attachment, epoch },
      }));
      this.#heartbeat(proxy, members, own);
    }
  }

  #heartbeat(proxy: Proxy, members: readonly MemberSign[], own: readonly Process[]): void {
    const requestId = this.#nextRequestId++;
    const sentMs = this.#nowMs;
    this.#callbacks.set(requestId, (reply) => {
      if (reply instanceof BrokerError || reply.kind !== 'heartbeat') return;
      const refused = new Set(reply.refused.map(({ at }) => at));
      for (const [at, process] of own.entries())
        if (process.attachment === members[at]?.attachment && process.proxy === proxy)
          if (!refused.has(at)) process.answeredMs = Math.max(process.answeredMs, sentMs);
    });
    this.#mail.post(() => {
      const to = this.#believed();
      this.#coordinators.step(to, { kind: 'heartbeat', requestId, proxy: proxy.id, members });
    });
  }

  #apply(): void {
    this.#pick(
      ({ told, isPaused, isAttached }) => told !== null && !isPaused && isAttached,
    )?.apply();
  }

  #commitCursor(): void {
    const process = this.#pick(({ reading, attachment }) => reading.size > 0 && attachment > 0);
    if (process === undefined) {
      this.#claim({
        group: 'orders',
        ...this.#anyPartition(),
        memberId: '',
        attachment: 0,
        epoch: 0,
      });
      return;
    }
    const [key, given] = this.#random.pick([...process.reading]);
    const [topicId = '', partition = '0'] = key.split('/');
    const { attachment, formerAttachment } = process;
    this.#claim({
      group: process.group,
      topicId,
      partition: Number(partition),
      memberId: process.memberId,
      attachment: this.#random.chance(0.2) ? formerAttachment : attachment,
      // The last one is of before it was given the partition.
      epoch: this.#random.pick([given, given, process.epoch, process.epoch, given - 1]),
    });
  }

  #claim(claim: CommitClaim): void {
    this.#mail.post(() => {
      const { present } = this.#coordinators;
      // Another than the leader cannot append.
      if (this.#believed() !== present || !present.core.isServing) return;
      if (commitVerdict(present.core.image, claim) !== null) {
        this.stats.refused += 1;
        return;
      }
      this.stats.commits += 1;
      this.#checks.onAccepted(claim);
    });
  }

  #anyPartition(): { topicId: string; partition: number } {
    const topic = this.#random.pick([...this.#topics.topics.values()]);
    return { topicId: topic.topicId, partition: this.#random.below(topic.partitions) };
  }

  /** What befalls processes and proxies. */
  #strike(): void {
    const random = this.#random;
    const process = this.#pick(() => true);
    const proxy = random.pick(this.#proxies);
    const roll = random.below(10);
    if (roll < 2 && process !== undefined) this.#end(process);
    else if (roll < 4 && process !== undefined) process.isPaused = !process.isPaused;
    else if (roll < 6 && process !== undefined) this.#reset(process);
    else if (roll < 8) {
      proxy.isAlive = !proxy.isAlive;
      // Its memory is gone with it.
      for (const each of this.#processes) if (each.proxy === proxy) each.detach();
    } else
      for (const each of this.#processes)
        if (each.proxy === proxy && each.isAttached && !each.isPaused) this.#reattach(each);
  }

  #end(process: Process): void {
    this.#note(`${process.memberId} dies`);
    this.#reset(process);
    process.isAlive = false;
  }

  /** The stream breaks, and a living proxy says so. */
  #reset(process: Process): void {
    const { proxy, group, memberId, attachment } = process;
    if (proxy?.isAlive === true)
      this.#mail.post(() => {
        const to = this.#believed();
        this.#coordinators.step(to, {
          ...{ kind: 'detached', proxy: proxy.id, group, memberId, attachment },
        });
      });
    process.detach();
  }

  /** A proxy that stops in order says so first. */
  #reattach(process: Process): void {
    process.detach();
    this.#attach(process);
  }

  #leave(): void {
    const process = this.#pick(({ isAttached, isPaused }) => isAttached && !isPaused);
    if (process?.proxy == null) return;
    const { group, memberId, attachment, proxy } = process;
    const isReturning = this.#random.chance(0.5);
    this.#ask(
      proxy.id,
      { kind: 'leave', group, memberId, attachment, isReturning },
      () => undefined,
    );
    process.detach();
    process.isAlive = false;
  }

  // What else there is

  #newTopic(): GroupTopic {
    const partitions = 1 + this.#random.below(4);
    const racks = Array.from({ length: partitions }, () => [this.#random.pick(RACKS)]);
    return { topicId: `t${String(this.#nextId++)}`, partitions, racks };
  }

  #changeTopics(): void {
    const random = this.#random;
    const topics = new Map(this.#topics.topics);
    const name = random.pick([...TOPICS, 'later', '__groups']);
    const present = topics.get(name);
    if (present === undefined || random.chance(0.3)) topics.set(name, this.#newTopic());
    else if (random.chance(0.3) && topics.size > 1) topics.delete(name);
    else topics.set(name, { ...present, partitions: Math.min(8, present.partitions + 1) });
    this.#history.push({ metadataIndex: this.#topics.metadataIndex + 1, topics });
    for (const each of this.#both()) this.#tellTopics(each, this.#topics);
  }

  #tellTopics(to: Coordinator, topics: TopicsAt): void {
    this.#mail.push(() => this.#coordinators.step(to, { kind: 'topics', ...topics }));
  }

  /** The next one may know less of metadata than the one before, for a while. */
  #failOver(topics = this.#faulty(0.3) ? this.#random.pick(this.#history) : this.#topics): void {
    this.stats.failovers += 1;
    this.#coordinators.failOver(this.#nowMs, topics);
    this.#note(`coordinator ${String(this.#coordinators.present.epoch)}`);
    this.#tellTopics(this.#coordinators.present, this.#topics);
    const { former } = this.#coordinators;
    if (former !== null) this.#formerUntilMs = this.#nowMs + BROKER_SESSION_MS;
  }

  /** It learns that it leads no more, or that what it appended is lost; or it is cut off. */
  #stirFormer(): void {
    const { former, present } = this.#coordinators;
    const roll = this.#random.below(4);
    if (roll === 0) this.#coordinators.step(present, { kind: 'heard', isHeard: !present.isHeard });
    else if (roll === 1) this.#coordinators.loseFormer();
    else if (roll === 2 && former?.isHeard === true)
      this.#coordinators.step(former, { kind: 'heard', isHeard: false });
  }

  /** Messages that no honest broker or member sends, and batches of other leaderships. */
  #forge(): void {
    const random = this.#random;
    const { present } = this.#coordinators;
    const process = this.#pick(() => true);
    const group = process?.group ?? 'orders';
    const memberId = process?.memberId ?? 'nobody';
    const attachment = (process?.attachment ?? 0) + random.below(3) - 1;
    const epoch = (process?.epoch ?? 0) + random.below(4);
    const proxy = random.below(4);
    const requestId = 0;
    const roll = random.below(6);
    const error = new BrokerError('NOT_ENOUGH_REPLICAS', 'forged');
    const ids = { epoch: present.epoch - 1, batchId: present.underWay?.batchId ?? 1 };
    // A sign with the very numbers of the member, its proxy's, is no forgery.
    const isOwn = process?.attachment === attachment && process.proxy?.id === proxy;
    if (roll === 0) this.#coordinators.step(present, { kind: 'committed', ...ids });
    else if (roll === 1) this.#coordinators.step(present, { kind: 'lost', ...ids, error });
    else if (roll === 2 && process !== undefined) {
      const { topicId, partition } = this.#anyPartition();
      this.#claim({ group, topicId, partition, memberId, attachment, epoch });
    } else if (!isOwn && roll === 3) {
      const members = [{ group, memberId, attachment, epoch: random.pick([epoch, -1, NaN]) }];
      this.#coordinators.step(present, { kind: 'heartbeat', requestId, proxy, members });
    } else if (!isOwn && roll === 4)
      this.#coordinators.step(present, { kind: 'detached', proxy, group, memberId, attachment });
    else if (process?.proxy != null && process.epoch > 0) {
      // By its own proxy, of a view that it has not yet been given.
      const members = [{ group, memberId, attachment: process.attachment, epoch: 1_000_000 }];
      const own = process.proxy.id;
      this.#coordinators.step(present, { kind: 'heartbeat', requestId, proxy: own, members });
    }
  }

  #administer(): void {
    const group = this.#random.pick([...GROUPS, 'spare']);
    const roll = this.#random.below(4);
    const partitions = [this.#anyPartition()];
    const key = JSON.stringify(['cursor', group]);
    const request: GroupRequest =
      roll === 0
        ? { kind: 'delete', group, type: 'group' }
        : roll === 1
          ? { kind: 'touch', group, type: this.#random.pick(['group', 'group', 'queue']) }
          : { kind: 'seek', group, partitions, riders: [{ key, value: '{}' }] };
    // The name of a queue would keep everybody out.
    const isQueue = request.kind === 'touch' && request.type === 'queue';
    this.#ask(0, isQueue ? { ...request, group: 'queue' } : request, () => undefined);
  }

  // The calm world

  #calmDown(): void {
    this.#isCalm = true;
    this.#mail.calm();
    this.#failOver();
    this.#coordinators.former = null;
    for (const proxy of this.#proxies) proxy.isAlive = true;
    for (const process of this.#processes) process.isPaused = false;
    // Of two processes with one instance id the newer stays; the other is told, or has been.
    const places = new Map<string, Process>();
    for (const process of this.#processes)
      if (process.instanceId !== '' && process.isAlive) {
        const place = `${process.group} ${process.instanceId}`;
        const older = places.get(place);
        if (older !== undefined) this.#end(older);
        places.set(place, process);
      }
    this.#calm(CALM_MS);
    // Topics alone change now, and nobody comes or goes.
    for (let turn = 0; turn < 3; turn += 1) this.#changeTopics();
    this.#calm(CALM_TOPICS_MS);
  }

  /** At the end of it everything is read. */
  #calm(lastsMs: number): void {
    for (let ms = 0; ms < lastsMs; ms += CALM_STEP_MS) this.#calmStep();
    this.#checks.atEnd(this.#processes, (topics) => this.#partitionsOf(topics), this.#nowMs);
  }

  #calmStep(): void {
    this.#tick(CALM_STEP_MS);
    for (const process of this.#processes) {
      if (process.isAlive && !process.isAttached) this.#attach(process);
      if (process.isAttached) process.apply();
    }
    this.#heartbeats();
    for (let turn = 0; turn < 6; turn += 1) {
      while (this.#mail.length > 0) this.#mail.deliver();
      this.#coordinators.commit();
      for (const process of this.#processes) if (process.isAttached) process.apply();
    }
    this.#checks.afterStep(this.#processes, this.#nowMs);
  }

  /** Every broker restarts, and the coordinator with it: nobody is given or loses anything. */
  #restartAll(): void {
    const before = this.#assignment();
    for (const proxy of this.#proxies) {
      this.#failOver(this.#outdated());
      this.#coordinators.former = null;
      this.#coordinators.commit();
      for (const process of this.#processes) if (process.proxy === proxy) this.#reattach(process);
      for (let turn = 0; turn < 4; turn += 1) this.#calmStep();
    }
    const after = this.#assignment();
    if (before !== after)
      throw new Error(`a rolling restart moves partitions: ${before} became ${after}`);
  }

  /** Topics of before those that the targets are of; they must count for nothing. */
  #outdated(): TopicsAt {
    const groups = [...this.#coordinators.present.core.image.groups.values()];
    const indexes = groups
      .filter(({ members }) => members.size > 0)
      .map(({ value }) => value.metadataIndex);
    const least = Math.min(...indexes);
    return this.#history.findLast(({ metadataIndex }) => metadataIndex < least) ?? this.#topics;
  }

  #assignment(): string {
    const living = this.#processes.filter(({ isAlive }) => isAlive);
    return JSON.stringify(
      living.map(({ memberId, epoch, reading }) => [memberId, epoch, [...reading].toSorted()]),
    );
  }

  #partitionsOf(subscription: readonly string[]): string[] {
    const { metadataIndex, topics } = this.#topics;
    const { byId } = new Topics(metadataIndex, topics);
    const isWanted = (name: string): boolean =>
      subscription.some((topic) =>
        topic.endsWith('*') ? name.startsWith(topic.slice(0, -1)) : name === topic,
      );
    return [...topics]
      .filter(([name, { topicId }]) => byId.has(topicId) && isWanted(name))
      .flatMap(([, { topicId, partitions }]) =>
        Array.from({ length: partitions }, (_, partition) => partitionKey(topicId, partition)),
      );
  }
}
