/**
 * Refuses requests that were judged before the last change of what they are about. A request may
 * arrive long after it was sent: after another attempt was answered, after its topic was deleted
 * and made again, after somebody has taken its effect back. So each says what its sender went by.
 * The sender may judge again and ask anew while its own call lives. Pure.
 */
import { type AccessPlace, resourceText } from '../../../base/access.ts';
import { assertNever } from '../../../base/assert.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { ControllerReply, ControllerRequest, Judged } from '../controller-types.ts';
import type { MetadataImage } from '../types.ts';
import type { Desk } from './desk.ts';

/** The last change of something that a request asked for. */
interface Change {
  readonly proposalId: number;
  /** Null while it is not committed. */
  index: number | null;
}

export class LateRequests {
  readonly #lastOf = new Map<string, Change>();
  #pending: Change[] = [];

  /** Carries the request out unless it is late. @throws BrokerError CONFLICT */
  guard<Reply extends ControllerReply | null>(
    request: ControllerRequest,
    desk: Pick<Desk, 'image' | 'lastProposalId'>,
    carryOut: () => Reply,
  ): Reply {
    const subject = subjectOf(request);
    if (subject === null) return carryOut();
    if ('judged' in request && request.judged !== undefined)
      this.#check(request.judged, subject, request, desk.image);
    const before = desk.lastProposalId;
    const reply = carryOut();
    this.note(request, desk, before);
    return reply;
  }

  /** What was proposed after `before` is what the request asked for, now or earlier. */
  note(
    request: ControllerRequest,
    { lastProposalId }: Pick<Desk, 'lastProposalId'>,
    before: number,
  ): void {
    const subject = subjectOf(request);
    if (subject === null || lastProposalId === before) return;
    const change = { proposalId: lastProposalId, index: null };
    this.#lastOf.set(subject, change);
    this.#pending.push(change);
  }

  committed(proposalId: number, index: number): void {
    for (const change of this.#pending) if (change.proposalId <= proposalId) change.index = index;
    this.#pending = this.#pending.filter((change) => change.index === null);
  }

  #check(judged: Judged, subject: string, request: ControllerRequest, image: MetadataImage): void {
    // What is new is named by its id: asked for again, it is there already.
    if (request.kind === 'create-topic' && image.topics.has(request.topicId)) return;
    if (request.kind === 'create-queue' && image.queues.has(request.queueId)) return;
    const last = this.#lastOf.get(subject);
    // What was changed before this controller began, at the index of its image, it does not know.
    const changedAt = last === undefined ? image.index : (last.index ?? Infinity);
    if (judged.metadataIndex < changedAt) refuse(subject, 'was changed meanwhile');
    const name = topicOf(request);
    if (name === null) return;
    const topicId = image.topicIdsByName.get(name) ?? '';
    if (topicId !== judged.topicId) refuse(subject, 'is another topic by now, or is gone');
    if (request.kind !== 'elect-leader') return;
    const epoch = image.topics.get(topicId)?.partitions[request.partition]?.leaderEpoch ?? 0;
    if (epoch !== judged.leaderEpoch) refuse(subject, `is led in epoch ${String(epoch)} by now`);
  }
}

/** What a person's request changes, in words; null: it is none, or names what it compares. */
function subjectOf(request: ControllerRequest): string | null {
  switch (request.kind) {
    case 'create-topic':
    case 'alter-topic':
    case 'delete-topic':
      return `topic "${request.name}"`;
    case 'elect-leader':
    case 'reassign':
      return `${request.topic}/${String(request.partition)}`;
    // A registration begins the broker anew.
    case 'register':
    case 'decommission':
    case 'remove-broker':
      return `broker ${String(request.brokerId)}`;
    case 'set-settings':
      return 'the settings of the cluster';
    case 'grant-access':
      return accessSubject(request.rule);
    case 'revoke-access':
      return accessSubject(request.place);
    case 'set-quota':
      return `the quota of ${request.quota.principal}`;
    case 'delete-quota':
      return `the quota of ${request.quotaOf}`;
    case 'create-queue':
    case 'alter-queue':
    case 'delete-queue':
      return `queue "${request.name}"`;
    case 'heartbeat':
    case 'alter-sync-set':
    case 'alter-sync-sets':
    case 'init-producer':
    case 'make-internal-topic':
      return null;
    default:
      return assertNever(request);
  }
}

function accessSubject(place: AccessPlace): string {
  return `the access of ${place.principal} to ${resourceText(place)}`;
}

/** The topic that has to be there, by name; null: none. */
function topicOf(request: ControllerRequest): string | null {
  if (request.kind === 'alter-topic' || request.kind === 'delete-topic') return request.name;
  return 'topic' in request ? request.topic : null;
}

function refuse(subject: string, reason: string): never {
  throw new BrokerError('CONFLICT', `The request came late: ${subject} ${reason}`);
}
