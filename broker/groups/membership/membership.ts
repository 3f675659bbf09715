/**
 * The members of the groups of one coordinator, for one leadership of it: `step(input)` is
 * synchronous, total and knows no clock. `types.ts` says what it is owed, docs/rules.md#groups what
 * it keeps. It is told everything as an input, and keeps three things:
 *
 * - the image of what is committed, from which alone members are answered;
 * - sessions, which are not stored;
 * - requests that wait. Whenever no batch is under way, they and what has fallen due make the next.
 */
import { BrokerError } from '../../../base/errors.ts';
import { GROUP_HEARTBEAT_MEMBERS_MAX } from '../../../base/limits.ts';
import type { BrokerId } from '../../../base/units.ts';
import { deleteGroup, expire, join, leave, seek, touch } from './changes.ts';
import { Draft } from './draft.ts';
import {
  copyMembership,
  foldMembership,
  type MembershipImage,
  type MembershipRecord,
  type MemberValue,
} from './image.ts';
import { reconcile } from './reconcile.ts';
import { writeMembership } from './records.ts';
import { requestFault } from './requests.ts';
import { Sessions } from './sessions.ts';
import { Planner } from './targets.ts';
import { Topics } from './topics.ts';
import type {
  FenceReason,
  GroupReply,
  GroupRequest,
  MemberMessage,
  MembershipBatch,
  MembershipInput,
  MembershipOptions,
  MembershipOutput,
  MemberSign,
  RefusedSign,
} from './types.ts';
import { viewOf } from './views.ts';

/** Requests that wait for a batch. The next one is refused. */
export const REQUESTS_PENDING_MAX = 10_000;

interface Waiting {
  readonly requestId: number;
  readonly proxy: BrokerId;
  readonly request: GroupRequest;
}

interface Answer {
  readonly requestId: number;
  readonly request: GroupRequest;
  readonly reply: GroupReply;
}

/** A batch that was handed out, and what waits for it. */
interface UnderWay {
  readonly batchId: number;
  readonly records: readonly MembershipRecord[];
  readonly reasons: Draft['reasons'];
  readonly answers: readonly Answer[];
}

interface Output {
  batch: MembershipBatch | null;
  readonly replies: { requestId: number; reply: GroupReply | BrokerError }[];
  readonly messages: MemberMessage[];
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #image: MembershipImage;
  readonly #sessions: Sessions;
  readonly #planner = new Planner();
  #waiting: Waiting[] = [];
  /** Groups to look at before there is nothing to do. */
  readonly #dirty: Set<string>;
  #underWay: UnderWay | null = null;
  #nextBatchId = 1;
  #topics: Topics | null = null;
  #isHeard = false;
  /** A batch whose fate only the log tells: another core goes on. */
  #isOver = false;
  /** Sessions may be over: time went on since somebody looked. */
  #isTimeDue = false;
  /** A batch was refused: the next is made at the next tick, not at once. */
  #isPausing = false;
  #output: Output = { batch: null, replies: [], messages: [] };

  /** @param image all that is committed up to the begin of this leadership; it is copied */
  constructor(image: MembershipImage, options: MembershipOptions) {
    this.#options = options;
    this.#image = copyMembership(image);
    this.#sessions = new Sessions(options.nowMs);
    this.#sessions.beginAll(this.#image, this.#options.brokerSessionMs);
    this.#dirty = new Set(this.#image.groups.keys());
  }

  /** What is committed, for {@link commitVerdict} and descriptions. Not to be changed. */
  get image(): MembershipImage {
    return this.#image;
  }

  /** Whether it may answer anybody, for those who look at the image. */
  get isServing(): boolean {
    return this.#isHeard && !this.#isOver;
  }

  step(input: MembershipInput): MembershipOutput {
    this.#output = { batch: null, replies: [], messages: [] };
    this.#take(input);
    this.#next();
    return this.#output;
  }

  #take(input: MembershipInput): void {
    switch (input.kind) {
      case 'tick':
        this.#sessions.tick(input.nowMs);
        this.#isPausing = false;
        this.#isTimeDue = true;
        return;
      case 'heard':
        this.#heard(input.isHeard);
        return;
      case 'topics':
        if (input.metadataIndex <= (this.#topics?.metadataIndex ?? -1)) return;
        this.#topics = new Topics(input.metadataIndex, input.topics);
        this.#lookAtAll();
        return;
      case 'request':
        this.#request(input);
        return;
      case 'heartbeat':
        this.#heartbeat(input.requestId, input.proxy, input.members);
        return;
      case 'detached': {
        const member = this.#attached(input.proxy, input);
        if (member === null || member.isAway) return;
        this.#sessions.shrink(input.group, input.memberId, member.graceMs);
        this.#isTimeDue = true;
        return;
      }
      case 'committed':
        if (this.#isUnderWay(input)) this.#committed();
        return;
      case 'lost':
        if (this.#isUnderWay(input)) this.#lost(input.error);
    }
  }

  // What comes in

  #heard(isHeard: boolean): void {
    if (isHeard && !this.#isHeard) {
      this.#sessions.beginAll(this.#image, this.#options.brokerSessionMs);
      this.#lookAtAll();
    }
    this.#isHeard = isHeard;
    if (!isHeard) this.#refuseWaiting(notServing());
  }

  #request(input: Waiting): void {
    const { requestId, request } = input;
    const refusal = !this.isServing
      ? notServing()
      : this.#waiting.length >= REQUESTS_PENDING_MAX
        ? new BrokerError(
            'OVERLOADED',
            `${String(REQUESTS_PENDING_MAX)} requests wait for the coordinator, it takes no more`,
          )
        : requestFault(request, this.#options.brokerSessionMs);
    if (refusal === null) this.#waiting.push(input);
    else this.#reply(requestId, refusal);
  }

  #heartbeat(requestId: number, proxy: BrokerId, signs: readonly MemberSign[]): void {
    if (!this.isServing) {
      this.#reply(requestId, notServing());
      return;
    }
    if (signs.length > GROUP_HEARTBEAT_MEMBERS_MAX) {
      const fault = `members has ${String(signs.length)} entries, must have at most ${String(GROUP_HEARTBEAT_MEMBERS_MAX)}`;
      this.#reply(requestId, new BrokerError('INVALID_ARGUMENT', fault));
      return;
    }
    const refused: RefusedSign[] = [];
    const heard = new Set<string>();
    for (const [at, sign] of signs.entries()) {
      // One that comes again says nothing new, and each may be answered with a view.
      const name = `${sign.group} ${sign.memberId} ${String(sign.attachment)}`;
      if (heard.has(name)) continue;
      heard.add(name);
      const reason = this.#sign(proxy, sign);
      if (reason !== null) refused.push({ at, reason });
    }
    this.#reply(requestId, { kind: 'heartbeat', refused });
  }

  /** Null: it counts. Else its attachment is over, which its proxy is told. */
  #sign(proxy: BrokerId, sign: MemberSign): FenceReason | null {
    const { group, memberId, epoch } = sign;
    const member = this.#attached(proxy, sign);
    // An epoch that it was never given comes of no honest member.
    if (member === null || member.isAway || !isCount(epoch) || epoch > member.epoch) {
      const isKnown = this.#image.groups.get(group)?.members.has(memberId) === true;
      const isElsewhere = isKnown && member === null;
      const isOver = member?.isAway === true;
      const reason = isElsewhere ? 'attached-elsewhere' : isOver ? 'expired' : 'unknown';
      this.#fence(proxy, sign, reason);
      return reason;
    }
    if (this.#sessions.renew(group, memberId, member.sessionMs, epoch)) this.#dirty.add(group);
    // It may have missed what was sent.
    if (epoch < member.epoch) this.#sendView(group, memberId, member);
    return null;
  }

  /** The member, if this is its attachment and its proxy. */
  #attached(
    proxy: BrokerId,
    { group, memberId, attachment }: Omit<MemberSign, 'epoch'>,
  ): MemberValue | null {
    const member = this.#image.groups.get(group)?.members.get(memberId);
    return member?.attachment === attachment && member.proxy === proxy ? member : null;
  }

  // Batches

  #isUnderWay({ epoch, batchId }: { epoch: number; batchId: number }): boolean {
    return epoch === this.#options.epoch && batchId === this.#underWay?.batchId;
  }

  #committed(): void {
    const { records, reasons, answers } = this.#underWay!;
    this.#underWay = null;
    const before = records.map((record) =>
      record.kind === 'member'
        ? this.#image.groups.get(record.group)?.members.get(record.memberId)
        : undefined,
    );
    for (const record of records) {
      foldMembership(this.#image, record);
      if (this.#image.groups.has(record.group)) this.#dirty.add(record.group);
      else this.#planner.forget(record.group);
    }
    for (const [at, record] of records.entries())
      if (record.kind === 'member')
        this.#changed(record, before[at], reasons.get(record.group)?.get(record.memberId));
    for (const answer of answers) this.#answer(answer);
  }

  /** Sessions and messages of a member whose record changed. */
  #changed(
    { group, memberId, value }: MembershipRecord & { kind: 'member' },
    before: MemberValue | undefined,
    reason: FenceReason = 'unknown',
  ): void {
    const isGone = value === null || value.isAway;
    const isOther = before?.attachment !== value?.attachment;
    if (before !== undefined && !before.isAway && (isGone || isOther))
      this.#fence(
        before.proxy,
        { group, memberId, attachment: before.attachment },
        isGone ? reason : 'attached-elsewhere',
      );
    if (value === null) this.#sessions.end(group, memberId);
    else if (isOther || value.isAway !== before?.isAway)
      this.#sessions.begin(group, memberId, value);
    if (value !== null && !isGone && (isOther || value.epoch !== before?.epoch))
      this.#sendView(group, memberId, value);
  }

  #lost(error: BrokerError): void {
    const { answers } = this.#underWay!;
    this.#underWay = null;
    const isUnknown = error.effect === 'unknown';
    for (const { requestId } of answers)
      this.#reply(requestId, isUnknown ? outcomeUnknown(error) : error);
    if (isUnknown) {
      this.#isOver = true;
      this.#refuseWaiting(notServing());
      return;
    }
    this.#isPausing = true;
    // Plans were for changes that are lost with the batch.
    this.#planner.forgetAll();
    this.#lookAtAll();
  }

  #lookAtAll(): void {
    this.#planner.topicsChanged();
    for (const name of this.#image.groups.keys()) this.#dirty.add(name);
  }

  /** Makes the next batch, if there is something to write and nothing under way. */
  #next(): void {
    if (this.#underWay !== null || !this.isServing || this.#isPausing) return;
    const draft = new Draft(this.#image, this.#options.batchRecordsMax);
    const answers = this.#carryOut(draft);
    if (this.#isTimeDue) this.#expireMembers(draft);
    for (const name of draft.changed) this.#dirty.add(name);
    this.#settle(draft);
    this.#isTimeDue = draft.isFull;
    if (draft.isEmpty) {
      for (const answer of answers) this.#answer(answer);
      return;
    }
    const records = draft.records();
    const batchId = this.#nextBatchId++;
    this.#underWay = { batchId, records, reasons: draft.reasons, answers };
    this.#output.batch = {
      epoch: this.#options.epoch,
      batchId,
      records: [...records.map(writeMembership), ...draft.riders],
      removedGroups: records
        .filter(({ kind, value }) => kind === 'group' && value === null)
        .map(({ group }) => group),
    };
  }

  /** Refusals leave at once: they change nothing. */
  #carryOut(draft: Draft): Answer[] {
    const answers: Answer[] = [];
    let done = 0;
    for (const { requestId, proxy, request } of this.#waiting) {
      // Whoever ends with this batch, group or member, must have ended before another begins.
      if (draft.isFull || draft.isEnding(request)) break;
      done += 1;
      const reply = this.#apply(draft, request, proxy);
      if (reply instanceof BrokerError) this.#reply(requestId, reply);
      else answers.push({ requestId, request, reply });
    }
    this.#waiting = this.#waiting.slice(done);
    return answers;
  }

  #apply(draft: Draft, request: GroupRequest, proxy: BrokerId): GroupReply | BrokerError {
    switch (request.kind) {
      case 'join':
        return join(draft, request, proxy);
      case 'leave':
        return leave(draft, request, proxy);
      case 'touch':
        return touch(draft, request);
      case 'delete':
        return deleteGroup(draft, request);
      case 'seek':
        return seek(draft, request);
    }
  }

  /** Whoever attaches with this very batch was heard since. */
  #expireMembers(draft: Draft): void {
    for (const [group, memberId] of this.#sessions.over()) {
      if (draft.isFull) return;
      if (!draft.isTouched(group, memberId)) expire(draft, group, memberId);
    }
  }

  /** Targets, then what is held, of all groups that may need it. */
  #settle(draft: Draft): void {
    for (const group of [...this.#dirty]) {
      if (draft.isFull) return;
      // What has no room keeps its group in the list, behind the others.
      this.#dirty.delete(group);
      if (draft.group(group) === undefined) continue;
      const isDone =
        this.#planner.step(draft, group, this.#topics) &&
        reconcile(draft, group, (memberId) => this.#sessions.applied(group, memberId));
      if (!isDone) this.#dirty.add(group);
    }
  }

  // What goes out

  /** What was committed since is told of its members as it is. */
  #answer({ requestId, request, reply }: Answer): void {
    if (!this.isServing) {
      this.#reply(requestId, outcomeUnknown(notServing()));
      return;
    }
    if (reply.kind !== 'joined' || request.kind !== 'join') {
      this.#reply(requestId, reply);
      return;
    }
    const { group, memberId } = request;
    const member = this.#image.groups.get(group)?.members.get(memberId);
    if (member?.attachment !== reply.attachment || member.isAway) {
      const error = `Member ${memberId} was replaced, or its session ended, while it attached`;
      this.#reply(requestId, new BrokerError('FENCED', error));
      return;
    }
    // Asked again it is answered as before, and its proxy delivers from when it asked.
    this.#sessions.renew(group, memberId, member.sessionMs, 0);
    this.#reply(requestId, { ...reply, view: viewOf(member) });
  }

  #reply(requestId: number, reply: GroupReply | BrokerError): void {
    this.#output.replies.push({ requestId, reply });
  }

  #sendView(group: string, memberId: string, member: MemberValue): void {
    if (!this.isServing) return;
    const { proxy, attachment } = member;
    const view = viewOf(member);
    this.#output.messages.push({ kind: 'view', proxy, group, memberId, attachment, view });
  }

  #fence(
    proxy: BrokerId,
    { group, memberId, attachment }: Omit<MemberSign, 'epoch'>,
    reason: FenceReason,
  ): void {
    if (!this.isServing) return;
    this.#output.messages.push({ kind: 'fenced', proxy, group, memberId, attachment, reason });
  }

  #refuseWaiting(error: BrokerError): void {
    for (const { requestId } of this.#waiting) this.#reply(requestId, error);
    this.#waiting = [];
  }
}

function notServing(): BrokerError {
  return new BrokerError(
    'LEADER_UNKNOWN',
    'This broker does not coordinate the group at the moment: the controller does not hear it, or another one takes over',
  );
}

function outcomeUnknown(cause: BrokerError): BrokerError {
  return new BrokerError(
    'OUTCOME_UNKNOWN',
    'The coordinator does not know whether the change is committed',
    {},
    cause,
  );
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
