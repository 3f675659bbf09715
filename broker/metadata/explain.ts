/**
 * What an entry of the metadata log meant for a partition, in words and with the rule that asked
 * for it, and how a partition stands now. Told from the rows before and after and from what else
 * the entry says, so every broker tells the same of the same entry, whoever controlled. Pure. It
 * decides nothing, and must not be asked by what decides.
 */
import { NO_BROKER, partitionKey } from '../../base/units.ts';
import type { BrokerId, LeaderEpoch, PartitionEpoch, TopicId } from '../../base/units.ts';
import { countedMembers, electionSize, viewOf } from './leader-election.ts';
import type { MetadataImage, MetadataRecord, PartitionState, TopicState } from './types.ts';

/** Why something was decided. */
export interface Reason {
  /** One clause, for a person. */
  readonly text: string;
  /** A rule of docs/rules.md by number, or the name of a heading there. */
  readonly rule: string;
}

/** What of a row a person looks at. */
export interface Stand {
  /** NO_BROKER: nobody. */
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly partitionEpoch: PartitionEpoch;
  readonly syncSet: readonly BrokerId[];
  readonly suspects: readonly BrokerId[];
  readonly quorum: number;
}

/** What one entry of the metadata log did to one partition. */
export interface PartitionDecision {
  readonly topicId: TopicId;
  readonly partition: number;
  /** Null: the partition was made. */
  readonly before: Stand | null;
  readonly after: Stand;
  /** One or more. */
  readonly reasons: readonly Reason[];
}

const SYNC_SET = 'sync-set-and-q';
const CANNOT_LEAD = 'who-cannot-lead';

/** What the records of one entry did. `before` and `after`: the images around it. */
export function decisionsOf(
  before: MetadataImage,
  after: MetadataImage,
  records: readonly MetadataRecord[],
): PartitionDecision[] {
  const decisions: PartitionDecision[] = [];
  for (const { topic, state } of affected(after, records)) {
    const row = before.topics.get(topic.topicId)?.partitions[state.partition];
    const reasons =
      row === undefined
        ? [{ text: 'the partition was made; whoever was there is in its sync set', rule: SYNC_SET }]
        : new Change(before, after, records, { topic, before: row, after: state }).reasons();
    if (reasons.length === 0) continue;
    decisions.push({
      topicId: topic.topicId,
      partition: state.partition,
      before: row === undefined ? null : standOf(row),
      after: standOf(state),
      reasons,
    });
  }
  return decisions;
}

function standOf(state: PartitionState): Stand {
  const { leader, leaderEpoch, partitionEpoch, syncSet, suspects, quorum } = state;
  return { leader, leaderEpoch, partitionEpoch, syncSet, suspects, quorum };
}

interface Row {
  readonly topic: TopicState;
  readonly state: PartitionState;
}

/** Partitions that the entry may say something of, each once. */
function affected(image: MetadataImage, records: readonly MetadataRecord[]): Iterable<Row> {
  const rows = new Map<string, Row>();
  const add = (topic: TopicState | undefined, is: (state: PartitionState) => boolean): void => {
    for (const state of topic?.partitions ?? [])
      if (topic !== undefined && is(state))
        rows.set(partitionKey(topic.topicId, state.partition), { topic, state });
  };
  const brokerIds = new Set<BrokerId>();
  for (const record of records) {
    if (record.kind === 'partition-changed') {
      const topic = image.topics.get(record.topicId);
      const state = topic?.partitions[record.state.partition];
      if (topic !== undefined && state !== undefined)
        rows.set(partitionKey(topic.topicId, state.partition), { topic, state });
    } else if (record.kind === 'topic-created') add(image.topics.get(record.topic.topicId), all);
    else if (record.kind === 'partitions-added' || record.kind === 'topic-altered')
      add(image.topics.get(record.topicId), all);
    else if (
      record.kind === 'broker-fenced' ||
      record.kind === 'broker-unfenced' ||
      record.kind === 'broker-registered'
    )
      brokerIds.add(record.brokerId);
  }
  if (brokerIds.size > 0)
    for (const topic of image.topics.values())
      add(topic, ({ replicas }) => replicas.some((id) => brokerIds.has(id)));
  return rows.values();
}

function all(): boolean {
  return true;
}

class Change {
  readonly #before: MetadataImage;
  readonly #after: MetadataImage;
  readonly #records: readonly MetadataRecord[];
  readonly #topic: TopicState;
  readonly #old: PartitionState;
  readonly #new: PartitionState;
  readonly #reasons: Reason[] = [];

  constructor(
    before: MetadataImage,
    after: MetadataImage,
    records: readonly MetadataRecord[],
    row: {
      readonly topic: TopicState;
      readonly before: PartitionState;
      readonly after: PartitionState;
    },
  ) {
    this.#before = before;
    this.#after = after;
    this.#records = records;
    this.#topic = row.topic;
    this.#old = row.before;
    this.#new = row.after;
  }

  reasons(): readonly Reason[] {
    if (this.#new.uncleanEpoch > this.#old.uncleanEpoch) this.#unclean();
    else {
      this.#leader();
      this.#members();
    }
    this.#abilities();
    this.#moves();
    this.#appends();
    if (this.#reasons.length === 0 && this.#new.partitionEpoch > this.#old.partitionEpoch)
      this.#say('a change whose outcome was not known can come into force no more', 'rule 12');
    return this.#reasons;
  }

  #say(text: string, rule: string): void {
    if (!this.#reasons.some((reason) => reason.text === text)) this.#reasons.push({ text, rule });
  }

  #unclean(): void {
    this.#say(
      `no trusted log can answer ever again, and the topic allows it: broker ${this.#new.leader} leads, alone in the sync set; what may be lost is reported`,
      'rule 18',
    );
  }

  #leader(): void {
    const [old, next] = [this.#old.leader, this.#new.leader];
    if (old === next) {
      const { successor } = this.#new;
      if (successor !== this.#old.successor && successor !== NO_BROKER)
        this.#say(`leadership goes to broker ${successor} once the leader has drained`, 'rule 22');
      return;
    }
    if (old !== NO_BROKER && next !== NO_BROKER && this.#old.successor === next) {
      this.#say(`broker ${old} has drained and hands over to broker ${next}`, 'rule 22');
      return;
    }
    if (old !== NO_BROKER) this.#whyNotLeader(old);
    if (next === NO_BROKER) {
      const mustRead = electionSize(this.#new) > 1;
      this.#say(
        mustRead
          ? 'nobody leads before logs were read: in this epoch no earlier leader commits anything'
          : 'nobody leads: no trusted, unfenced member that can lead is left in the sync set',
        mustRead ? SYNC_SET : 'P11',
      );
      return;
    }
    const isRead = electionSize(this.#old) > 1;
    this.#say(
      isRead
        ? `broker ${next} leads: of the logs that were read its log is the best`
        : `broker ${next} leads: it is in the sync set, trusted and unfenced, so it holds everything committed`,
      SYNC_SET,
    );
  }

  #whyNotLeader(brokerId: BrokerId): void {
    const out = this.#whyOut(brokerId);
    if (out !== null) this.#reasons.push(out);
    else if (this.#after.brokers.get(brokerId)?.stopping === true)
      this.#say(`broker ${brokerId} stops in order, and gives its leaderships away`, 'rule 22');
    else this.#say(`broker ${brokerId} leads no more`, SYNC_SET);
  }

  /** Why a broker does not count, or null. */
  #whyOut(brokerId: BrokerId): Reason | null {
    const registered = this.#registration(brokerId);
    const isUntrusted =
      this.#new.suspects.includes(brokerId) ||
      registered?.restartClass === 'lossy' ||
      registered?.restartClass === 'new';
    if (isUntrusted) {
      const how = registered === undefined ? '' : `, which started as ${registered.restartClass},`;
      return { text: `the log of broker ${brokerId}${how} is not trusted`, rule: 'P7' };
    }
    const unable = this.#new.cannotLead.find((each) => each.brokerId === brokerId);
    if (unable !== undefined)
      return { text: `broker ${brokerId} cannot lead: ${unable.reason}`, rule: CANNOT_LEAD };
    if (registered !== undefined) {
      const text = `broker ${brokerId} has started anew, and is fenced until it is ready`;
      return { text, rule: 'rule 17' };
    }
    if (this.#after.brokers.get(brokerId)?.fenced === false) return null;
    if (this.#isCondemned(brokerId))
      return { text: `broker ${brokerId} says that its disk failed`, rule: 'P3' };
    if (this.#before.brokers.get(brokerId)?.stopping === true)
      return { text: `broker ${brokerId} has stopped in order`, rule: 'rule 22' };
    const text = `broker ${brokerId} is fenced: its process is gone, or was silent for a session`;
    return { text, rule: SYNC_SET };
  }

  #registration(
    brokerId: BrokerId,
  ): Extract<MetadataRecord, { kind: 'broker-registered' }> | undefined {
    for (const record of this.#records)
      if (record.kind === 'broker-registered' && record.brokerId === brokerId) return record;
    return undefined;
  }

  /** What a broker says of its disk is written before it is fenced, so that both hold together. */
  #isCondemned(brokerId: BrokerId): boolean {
    const fencedAt = this.#records.findIndex(
      (record) => record.kind === 'broker-fenced' && record.brokerId === brokerId,
    );
    return this.#records
      .slice(0, Math.max(0, fencedAt))
      .some(
        (record) =>
          record.kind === 'partition-changed' &&
          record.topicId === this.#topic.topicId &&
          record.state.partition === this.#new.partition,
      );
  }

  #members(): void {
    const [old, next] = [this.#old, this.#new];
    for (const brokerId of next.syncSet.filter((id) => !old.syncSet.includes(id)))
      this.#say(
        `broker ${brokerId} joins the sync set: its leader has seen it pass the high-water mark and the start of this epoch`,
        'rule 13',
      );
    for (const brokerId of old.syncSet.filter((id) => !next.syncSet.includes(id)))
      this.#left(brokerId);
    for (const brokerId of next.suspects.filter((id) => !old.suspects.includes(id)))
      this.#say(
        `broker ${brokerId} stays in the sync set as a suspect: its log may lack what it acknowledged`,
        'P7',
      );
    for (const brokerId of old.suspects.filter((id) => !next.suspects.includes(id)))
      if (next.syncSet.includes(brokerId))
        this.#say(`broker ${brokerId} is trusted again: its leader has seen its log`, 'P8');
    if (next.quorum > old.quorum && next.syncSet.length === old.syncSet.length)
      this.#say(`q rises to ${next.quorum}: so many members hold every record`, SYNC_SET);
    this.#frozen();
  }

  #left(brokerId: BrokerId): void {
    if (this.#old.removing.includes(brokerId)) {
      this.#say(`broker ${brokerId} leaves: its replica was moved away`, 'rule 19');
      return;
    }
    const out = this.#whyOut(brokerId);
    if (out === null)
      this.#say(
        `broker ${brokerId} leaves the sync set: it was not caught up for the time that its leader allows`,
        'rule 15',
      );
    else {
      this.#say(out.text, out.rule);
      this.#say(`broker ${brokerId} leaves the sync set, which can spare it`, SYNC_SET);
    }
  }

  /** Members that were fenced and stay, since q may not fall below m. */
  #frozen(): void {
    for (const record of this.#records) {
      if (record.kind !== 'broker-fenced' || !this.#new.syncSet.includes(record.brokerId)) continue;
      const out = this.#whyOut(record.brokerId);
      if (out !== null) this.#say(out.text, out.rule);
      this.#say(
        `broker ${record.brokerId} stays in the sync set: without it q would fall below minInSyncReplicas`,
        'rule 16',
      );
    }
  }

  #abilities(): void {
    for (const { brokerId, reason } of this.#new.cannotLead)
      if (!this.#old.cannotLead.some((each) => each.brokerId === brokerId))
        this.#say(`broker ${brokerId} cannot lead: ${reason}`, CANNOT_LEAD);
    for (const { brokerId } of this.#old.cannotLead)
      if (!this.#new.cannotLead.some((each) => each.brokerId === brokerId))
        this.#say(`broker ${brokerId} can lead again`, CANNOT_LEAD);
  }

  #moves(): void {
    const [old, next] = [this.#old.target?.join() ?? '', this.#new.target?.join() ?? ''];
    if (next !== '' && next !== old)
      this.#say(`its replicas are to become ${this.#new.target?.join(', ')}`, 'rule 19');
    else if (next === '' && old !== '')
      this.#say(`the move has ended: its replicas are ${this.#new.replicas.join(', ')}`, 'rule 19');
  }

  #appends(): void {
    const oldMin = this.#before.topics.get(this.#topic.topicId)?.config.minInSyncReplicas ?? 1;
    const min = this.#topic.config.minInSyncReplicas;
    const was = countedMembers(this.#old, viewOf(this.#before.brokers, nobody)).length;
    const is = countedMembers(this.#new, viewOf(this.#after.brokers, nobody)).length;
    if (was >= oldMin && is < min)
      this.#say(
        `appends are refused: ${is} trusted, unfenced members are left in the sync set, minInSyncReplicas is ${min}`,
        'rule 8',
      );
    if (was < oldMin && is >= min)
      this.#say(
        `appends are taken again: ${is} trusted, unfenced members are in the sync set, minInSyncReplicas is ${min}`,
        'rule 8',
      );
  }
}

function nobody(): boolean {
  return false;
}

/** How a partition stands. */
export interface Present {
  /** Who leads and why, in a sentence. */
  readonly summary: string;
  /** Why no append is taken, in a sentence; empty while they are. */
  readonly refusal: string;
}

/** How a partition stands by this image. */
export function presentOf(image: MetadataImage, topic: TopicState, state: PartitionState): Present {
  const view = viewOf(image.brokers, nobody);
  const counted = countedMembers(state, view);
  const min = topic.config.minInSyncReplicas;
  const absent = state.replicas
    .filter((id) => !counted.includes(id))
    .map((id) => whyNotCounted(image, state, id));
  const { leader, leaderEpoch } = state;
  const [preferred = NO_BROKER] = state.target ?? state.replicas;
  const summary =
    leader === NO_BROKER
      ? `Nobody leads, in leader epoch ${leaderEpoch}: ${absent.join('; ')}.`
      : leader === preferred
        ? `Broker ${leader}, the preferred leader, leads in leader epoch ${leaderEpoch}.`
        : `Broker ${leader} leads in leader epoch ${leaderEpoch}; broker ${preferred} is preferred: ${whyNotPreferred(image, state, preferred)}.`;
  if (leader === NO_BROKER) return { summary, refusal: 'Appends are refused: nobody leads.' };
  if (counted.length >= min) return { summary, refusal: '' };
  return {
    summary,
    refusal: `Appends are refused: ${counted.length} of the ${min} members that minInSyncReplicas asks for count (rule 8): ${absent.join('; ')}.`,
  };
}

function whyNotCounted(image: MetadataImage, state: PartitionState, brokerId: BrokerId): string {
  const broker = image.brokers.get(brokerId);
  const unable = state.cannotLead.find((each) => each.brokerId === brokerId);
  if (broker === undefined) return `broker ${brokerId} is not registered`;
  if (broker.fenced) return `broker ${brokerId} is fenced`;
  if (!state.syncSet.includes(brokerId)) return `broker ${brokerId} is not in the sync set`;
  if (state.suspects.includes(brokerId)) return `broker ${brokerId} is a suspect`;
  return unable === undefined
    ? `broker ${brokerId} may not lead without its log being read`
    : `broker ${brokerId} cannot lead (${unable.reason})`;
}

function whyNotPreferred(image: MetadataImage, state: PartitionState, brokerId: BrokerId): string {
  const view = viewOf(image.brokers, nobody);
  if (!countedMembers(state, view).includes(brokerId)) return whyNotCounted(image, state, brokerId);
  return view.isStopping(brokerId) ? 'it stops in order' : 'it could lead, and is given it soon';
}
