/**
 * Judges a leader's request to change (S, q): rules 11 to 13, 15 and 16 (KIP-497, KIP-841, KIP-903,
 * KIP-966). Pure: the row before, the row after, or a refusal.
 */
import { assertNever } from '../../../base/assert.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { BrokerEpoch, BrokerId, PartitionEpoch } from '../../../base/units.ts';
import { apply } from '../apply.ts';
import type {
  AlterSyncSetRequest,
  AlterSyncSetsRequest,
  SyncSetChange,
} from '../controller-types.ts';
import {
  allowsRemoval,
  canSucceed,
  changed,
  countedMembers,
  distrust,
  dropGone,
  electLeader,
  quorumAim,
  withoutMember,
} from '../leader-election.ts';
import type { BrokerView } from '../leader-election.ts';
import type {
  BrokerState,
  MetadataImage,
  MetadataRecord,
  PartitionState,
  TopicConfig,
} from '../types.ts';

/** The row after the change, with its epochs. Throws {@link BrokerError}. */
export function alterSyncSet(
  image: MetadataImage,
  view: BrokerView,
  request: AlterSyncSetRequest,
): PartitionState {
  const { topicId, partition } = request;
  checkSender(image, request.brokerId, request.brokerEpoch);
  const topic = image.topics.get(topicId);
  if (topic === undefined)
    throw new BrokerError(
      'UNKNOWN_TOPIC',
      `Cannot change the sync set: no topic has the id ${topicId}`,
    );
  const state = topic.partitions[partition];
  if (state === undefined)
    throw new BrokerError(
      'UNKNOWN_PARTITION',
      `Cannot change the sync set: topic "${topic.name}" has no partition ${String(partition)}`,
    );
  compareEpochs(state, request);
  const name = `${topic.name}/${String(partition)}`;
  const altered = alter(image, { name, state, config: topic.config, view }, request.change);
  // A member more may let go of those that were frozen only for want of it (rule 16): with q = |S|
  // they would hold HW back.
  const next =
    changed(state, dropGone(altered, topic.config.minInSyncReplicas, view)) ??
    cancelled(state, request);
  if (next === null)
    throw new BrokerError('REFUSED', `Cannot change the sync set of ${name}: nothing would change`);
  return next;
}

/**
 * The same for many changes of one sender: each is judged after those before it, and refused alone.
 * Throws {@link BrokerError} where the sender is not the present incarnation.
 */
export function alterSyncSets(
  before: MetadataImage,
  view: BrokerView,
  { brokerId, brokerEpoch, changes }: AlterSyncSetsRequest,
): {
  readonly outcomes: readonly (PartitionEpoch | BrokerError)[];
  readonly records: readonly MetadataRecord[];
} {
  checkSender(before, brokerId, brokerEpoch);
  let image = before;
  const records: MetadataRecord[] = [];
  const outcomes = changes.map((change) => {
    try {
      const request = { kind: 'alter-sync-set', brokerId, brokerEpoch, ...change } as const;
      const state = alterSyncSet(image, view, request);
      const { topicId } = change;
      const record: MetadataRecord = { kind: 'partition-changed', topicId, state };
      image = apply(image, [record], image);
      records.push(record);
      return state.partitionEpoch;
    } catch (error) {
      if (error instanceof BrokerError) return error;
      throw error;
    }
  });
  return { outcomes, records };
}

/**
 * A leader whose addition had an unknown outcome asks to remove the member, in S or not; one whose
 * raise had asks to stay at the present q. Under the next partition epoch that change can no longer
 * come into force, and HW need not wait for it (rule 12).
 */
function cancelled(state: PartitionState, { change }: SyncSetChange): PartitionState | null {
  const isCancel =
    (change.op === 'remove' && !state.syncSet.includes(change.member)) ||
    (change.op === 'raise' && change.quorum === state.quorum);
  return isCancel ? { ...state, partitionEpoch: state.partitionEpoch + 1 } : null;
}

/** Throws unless the request comes from the present incarnation. */
export function checkSender(
  image: MetadataImage,
  brokerId: BrokerId,
  brokerEpoch: BrokerEpoch,
): BrokerState {
  const broker = image.brokers.get(brokerId);
  if (broker === undefined) {
    // A registration that metadata has counted and does not hold was removed; a later one is news
    // to this controller (rule 11).
    if (brokerEpoch > image.lastBrokerEpoch) throw behind(brokerId, brokerEpoch, image);
    throw new BrokerError(
      'UNKNOWN_BROKER',
      `Cannot serve broker ${String(brokerId)} of broker epoch ${String(brokerEpoch)}: it was removed from the cluster`,
    );
  }
  if (brokerEpoch < broker.brokerEpoch) {
    throw new BrokerError(
      'FENCED',
      `Cannot serve broker ${String(brokerId)} of broker epoch ${String(brokerEpoch)}: the present one is ${String(broker.brokerEpoch)}`,
    );
  }
  if (brokerEpoch > broker.brokerEpoch) throw behind(brokerId, brokerEpoch, image);
  return broker;
}

/**
 * Whoever asks has seen metadata that this controller has not: it is the controller that is behind,
 * and its refusal would prove nothing (rule 11).
 */
function behind(brokerId: BrokerId, brokerEpoch: BrokerEpoch, image: MetadataImage): BrokerError {
  const known = image.brokers.get(brokerId)?.brokerEpoch ?? 0;
  return new BrokerError(
    'NOT_CONTROLLER',
    `Cannot judge broker epoch ${String(brokerEpoch)} of broker ${String(brokerId)}: the last one here is ${String(known)}`,
  );
}

/** Rule 11: compare-and-set on leader, leader epoch and partition epoch. */
function compareEpochs(state: PartitionState, request: AlterSyncSetRequest): void {
  const pairs = [
    { field: 'leaderEpoch', asked: request.leaderEpoch, present: state.leaderEpoch },
    { field: 'partitionEpoch', asked: request.partitionEpoch, present: state.partitionEpoch },
  ];
  for (const { field, asked, present } of pairs) {
    if (asked > present)
      throw new BrokerError(
        'NOT_CONTROLLER',
        `Cannot change the sync set: ${field} is ${String(asked)}, the last one here is ${String(present)}`,
      );
  }
  for (const { field, asked, present } of pairs) {
    if (asked < present)
      throw new BrokerError(
        'STALE_EPOCH',
        `Cannot change the sync set: ${field} is ${String(asked)}, must be ${String(present)}`,
      );
  }
  if (request.brokerId !== state.leader) {
    throw new BrokerError(
      'NOT_LEADER',
      `Cannot change the sync set: broker ${String(request.brokerId)} asked, leader is broker ${String(state.leader)}`,
      { leader: state.leader },
    );
  }
}

interface Row {
  /** Topic and number, for messages. */
  readonly name: string;
  readonly state: PartitionState;
  readonly config: TopicConfig;
  readonly view: BrokerView;
}

function alter(image: MetadataImage, row: Row, change: SyncSetChange['change']): PartitionState {
  switch (change.op) {
    case 'add':
      checkCertificate(image, row, change);
      return add(row, change.member);
    case 'trust':
      checkCertificate(image, row, change);
      return trust(row, change.member);
    case 'remove':
      return remove(row, change.member);
    case 'raise':
      return raise(row, change.quorum);
    case 'distrust':
      return distrustMember(row, change.member);
    case 'hand-over':
      return handOver(row, change.successor);
    default:
      return assertNever(change);
  }
}

function refuse(row: Row, reason: string): never {
  throw new BrokerError('REFUSED', `Cannot change the sync set of ${row.name}: ${reason}`);
}

/**
 * Rule 13: the leader's certificate is of one incarnation, and only the present one counts
 * (KAFKA-14139: an emptied disk admitted by a late request).
 */
function checkCertificate(
  image: MetadataImage,
  row: Row,
  change: { readonly member: BrokerId; readonly memberEpoch: BrokerEpoch },
): void {
  const member = image.brokers.get(change.member);
  const name = `broker ${String(change.member)}`;
  const known = member?.brokerEpoch ?? image.lastBrokerEpoch;
  if (change.memberEpoch > known) throw behind(change.member, change.memberEpoch, image);
  if (member === undefined) return refuse(row, `${name} is not registered`);
  if (member.brokerEpoch !== change.memberEpoch)
    return refuse(
      row,
      `${name} was certified as broker epoch ${String(change.memberEpoch)}, registered is ${String(member.brokerEpoch)}`,
    );
  if (member.fenced) return refuse(row, `${name} is fenced`);
}

function add(row: Row, member: BrokerId): PartitionState {
  const { state, config, view } = row;
  if (!state.replicas.includes(member))
    return refuse(
      row,
      `broker ${String(member)} must be one of its replicas (${state.replicas.join()})`,
    );
  if (state.syncSet.includes(member))
    return refuse(row, `broker ${String(member)} is a member already`);
  // KIP-841: it would leave again at once.
  if (view.isStopping(member)) return refuse(row, `broker ${String(member)} is stopping`);
  // docs/rules.md#sync-set-and-q, *Expand*: the certificate pays for q + 1; in quorum mode q is
  // raised by its own record.
  const quorum = config.commitMode === 'in-sync' ? state.quorum + 1 : state.quorum;
  return { ...state, syncSet: [...state.syncSet, member], quorum };
}

function trust(row: Row, member: BrokerId): PartitionState {
  if (!row.state.suspects.includes(member))
    return refuse(row, `broker ${String(member)} is not a suspect`);
  return { ...row.state, suspects: row.state.suspects.filter((id) => id !== member) };
}

/**
 * The leader has seen that the member lost what it acknowledged, however it registered (P7). Of
 * itself it says so when its log must not lead: then another leads, or nobody.
 */
function distrustMember(row: Row, member: BrokerId): PartitionState {
  const { state, config, view } = row;
  if (!state.syncSet.includes(member))
    return refuse(row, `broker ${String(member)} is not a member of the sync set`);
  return electLeader(distrust(state, member, config.minInSyncReplicas), view);
}

function remove(row: Row, member: BrokerId): PartitionState {
  const { state, config } = row;
  if (!state.syncSet.includes(member)) return state;
  if (member === state.leader) return refuse(row, `broker ${String(member)} leads it`);
  if (!allowsRemoval(state, config.minInSyncReplicas)) {
    return refuse(
      row,
      `q is ${String(state.quorum)}, must stay at or above minInSyncReplicas (${String(config.minInSyncReplicas)})`,
    );
  }
  return withoutMember(state, member);
}

/**
 * Raising q by one needs q + 1 certificates; so many trusted, unfenced members at least must be
 * there.
 */
function raise(row: Row, quorum: number): PartitionState {
  const { state, config, view } = row;
  if (quorum === state.quorum) return state;
  if (quorum !== state.quorum + 1)
    return refuse(
      row,
      `q is ${String(state.quorum)}, must be raised by one, not to ${String(quorum)}`,
    );
  const target = quorumAim(state, config);
  if (quorum > target)
    return refuse(
      row,
      `q would be ${String(quorum)}, must be at most ${String(target)} with ${String(state.syncSet.length)} members`,
    );
  const counted = countedMembers(state, view).length;
  if (counted < quorum)
    return refuse(
      row,
      `q would be ${String(quorum)}, only ${String(counted)} members are trusted and unfenced`,
    );
  return { ...state, quorum };
}

/**
 * Rule 22: the leader has drained, so everything it appended is committed, and the successor has it
 * all. Nothing need be read, in quorum mode either: the old leader takes no append until it sees
 * the outcome, and the compare-and-set on the partition epoch lets no late request through.
 */
function handOver(row: Row, successor: BrokerId): PartitionState {
  const { state, view } = row;
  if (state.successor !== successor)
    return refuse(
      row,
      `the successor is ${String(state.successor)}, not broker ${String(successor)}`,
    );
  if (!canSucceed(state, successor, view))
    return refuse(row, `broker ${String(successor)} cannot lead it`);
  return { ...state, leader: successor };
}
