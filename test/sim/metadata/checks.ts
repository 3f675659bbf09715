/**
 * What must hold: invariants (a), (b), (f), (g), (h), (i) and (k), and that every loss is covered
 * by a report. A violation throws.
 */
import { changedPartitions } from '../../../broker/metadata/delta.ts';
import { decisionsOf } from '../../../broker/metadata/explain.ts';
import { rowFault } from '../../../broker/metadata/leader-election.ts';
import type {
  LossReport,
  MetadataImage,
  MetadataRecord,
  PartitionState,
} from '../../../broker/metadata/types.ts';
import type { Entry, ModelBroker } from './model-broker.ts';

type BrokerRegistered = Extract<MetadataRecord, { kind: 'broker-registered' }>;

export class Checks {
  /** What was acknowledged, by partition and offset, less what a report covers. */
  readonly #committed: Entry[][];
  readonly #losses: LossReport[][];
  readonly #leaders = new Map<string, string>();
  readonly #starts = new Set<string>();
  #image: MetadataImage | null = null;

  constructor(partitions: number) {
    this.#committed = Array.from({ length: partitions }, () => []);
    this.#losses = Array.from({ length: partitions }, () => []);
  }

  /**
   * Rule 17: a start registers once, however often it asks, and none displaces a later one of the
   * same directory.
   */
  onRegistered(
    { brokerId, brokerEpoch, directoryId, start }: BrokerRegistered,
    brokers: readonly ModelBroker[],
  ): void {
    const name = `start ${String(start?.number)} of ${directoryId}`;
    if (start === undefined || this.#starts.has(start.id))
      throw new Error(`${name} registers again, as broker epoch ${String(brokerEpoch)}`);
    this.#starts.add(start.id);
    const broker = brokers[brokerId];
    const present = this.#image?.brokers.get(brokerId);
    const isOlder =
      present?.directoryId === directoryId && start.number <= (present.start?.number ?? 0);
    if (isOlder && broker?.process?.start.id !== start.id)
      throw new Error(`${name} displaces start ${String(present.start?.number)}`);
  }

  /** Whatever changes of a row, `why` says for what reason. */
  onEntry(before: MetadataImage, after: MetadataImage, records: readonly MetadataRecord[]): void {
    const told = new Set(
      decisionsOf(before, after, records).map(
        ({ topicId, partition }) => `${topicId}/${partition}`,
      ),
    );
    for (const { topicId, partition } of changedPartitions(before, after)) {
      const row = after.topics.get(topicId)?.partitions[partition];
      const isChanged = row !== before.topics.get(topicId)?.partitions[partition];
      if (row !== undefined && isChanged && !told.has(`${topicId}/${partition}`))
        throw new Error(
          `a change of ${topicId}/${partition} has no reason: ${JSON.stringify(row)}`,
        );
    }
  }

  onLoss(loss: LossReport): void {
    this.#losses[loss.partition]?.push(loss);
    const committed = this.#committed[loss.partition];
    if (committed !== undefined) committed.length = Math.min(committed.length, loss.fromOffset);
  }

  /** (a) leader completeness, (g) one leader per epoch. */
  onLead(broker: ModelBroker, partition: number, epoch: number): void {
    const key = `${String(partition)}/${String(epoch)}`;
    const incarnation = `${String(broker.brokerId)}@${String(broker.process?.brokerEpoch)}`;
    const before = this.#leaders.get(key) ?? incarnation;
    if (before !== incarnation)
      throw new Error(`epoch ${key} is led by ${before} and by ${incarnation}`);
    this.#leaders.set(key, incarnation);
    this.#requireComplete(
      broker,
      partition,
      this.#coveredFrom(partition, epoch),
      `leader of epoch ${key}`,
    );
  }

  onCommit(broker: ModelBroker, partition: number, epoch: number, mark: number): void {
    const committed = this.#committed[partition] ?? [];
    const upTo = Math.min(mark, this.#coveredFrom(partition, epoch));
    for (let offset = 0; offset < upTo; offset += 1) {
      const entry = broker.log(partition)[offset];
      const present = committed[offset];
      if (entry === undefined)
        throw new Error(
          `HW ${String(mark)} of ${String(partition)} is beyond the end of leader ${String(broker.brokerId)}`,
        );
      if (present === undefined) committed.push(entry);
      else if (present.id !== entry.id)
        throw new Error(
          `offset ${String(offset)} of ${String(partition)} was committed as ${String(present.id)} and as ${String(entry.id)}`,
        );
    }
  }

  /** A replica may cut below its own HW only where a report covers the loss. */
  onCut(broker: ModelBroker, partition: number, to: number): void {
    const isCovered = this.#losses[partition]?.some((loss) => loss.fromOffset <= to) === true;
    if (!isCovered)
      throw new Error(
        `broker ${String(broker.brokerId)} cuts ${String(partition)} to ${String(to)}, below its HW, and no report covers it`,
      );
  }

  /**
   * Rule 22: whatever the old leader appended, acknowledged by it alone or not, the new one has,
   * unless a disk failed in between.
   */
  onHandedOver(from: ModelBroker, to: ModelBroker, partition: number, epoch: number): void {
    const isSame =
      !to.isTainted &&
      to.isCurrent() &&
      from.image.brokers.get(to.brokerId)?.brokerEpoch === to.process?.brokerEpoch;
    if (!isSame || from.leadingOf(partition)?.epoch !== epoch) return;
    const missing = from
      .log(partition)
      .findIndex((entry, offset) => to.log(partition)[offset]?.id !== entry.id);
    if (missing >= 0)
      throw new Error(
        `broker ${String(to.brokerId)} took over ${String(partition)} without offset ${String(missing)} of its leader`,
      );
  }

  afterStep(image: MetadataImage, brokers: readonly ModelBroker[]): void {
    if (image === this.#image) return;
    const [before, topic] = [this.#image?.topics.get('t'), image.topics.get('t')];
    this.#image = image;
    if (topic === undefined) return;
    topic.partitions.forEach((row, partition) => {
      this.#checkRow(image, row);
      checkMonotonic(before?.partitions[partition], row);
      this.#checkCandidates(image, row, brokers);
    });
  }

  /** Liveness after healing. */
  atEnd(image: MetadataImage): void {
    const topic = image.topics.get('t');
    for (const row of topic?.partitions ?? []) {
      const trusted = row.syncSet.filter((id) => !row.suspects.includes(id)).length;
      const isHopeless =
        topic?.config.uncleanElection === false && trusted < row.syncSet.length - row.quorum + 1;
      if (isHopeless && row.leader === -1) continue;
      const isFencedIn = row.syncSet.some((id) => image.brokers.get(id)?.fenced !== false);
      if (isFencedIn) throw new Error(`a fenced broker is left in S: ${JSON.stringify(row)}`);
      const isWide =
        row.replicas.length === topic?.replicationFactor &&
        row.target === undefined &&
        row.successor === -1;
      const isWhole =
        isWide &&
        row.leader !== -1 &&
        row.syncSet.length === row.replicas.length &&
        row.suspects.length === 0;
      if (!isWhole)
        throw new Error(
          `partition did not heal: ${JSON.stringify(row)} ${JSON.stringify(topic?.config)}`,
        );
    }
  }

  /** (h) and (k), on what is committed. */
  #checkRow(image: MetadataImage, row: PartitionState): void {
    const at = `in ${JSON.stringify(row)}`;
    if (!row.syncSet.every((id) => row.replicas.includes(id)))
      throw new Error(`S is not within the replicas ${at}`);
    if (row.suspects.includes(row.leader)) throw new Error(`a suspect leads ${at}`);
    if (row.leader !== -1 && image.brokers.get(row.leader)?.fenced !== false)
      throw new Error(`a fenced broker leads ${at}`);
    const fault = rowFault(row);
    if (fault !== null) throw new Error(`${fault} ${at}`);
  }

  /**
   * (b): whoever may be elected without a question holds everything that is committed, unless its
   * disk failed since it registered.
   */
  #checkCandidates(
    image: MetadataImage,
    row: PartitionState,
    brokers: readonly ModelBroker[],
  ): void {
    if (row.quorum < row.syncSet.length) return;
    for (const id of row.syncSet.filter((member) => !row.suspects.includes(member))) {
      const broker = brokers[id];
      if (broker === undefined || broker.isTainted) continue;
      this.#requireComplete(
        broker,
        row.partition,
        this.#coveredFrom(row.partition, row.leaderEpoch),
        `candidate ${String(image.index)}`,
      );
    }
  }

  #requireComplete(broker: ModelBroker, partition: number, below: number, role: string): void {
    const [log, committed] = [broker.log(partition), this.#committed[partition] ?? []];
    const missing = committed.findIndex(
      (entry, offset) => offset < below && log[offset]?.id !== entry.id,
    );
    if (missing >= 0)
      throw new Error(
        `${role}: broker ${String(broker.brokerId)} lacks committed offset ${String(missing)} of partition ${String(partition)}`,
      );
  }

  /**
   * First offset that a report covers for a leader of `epoch`: what it commits from there on is
   * announced as lost already.
   */
  #coveredFrom(partition: number, epoch: number): number {
    const covering = (this.#losses[partition] ?? []).filter((loss) => loss.leaderEpoch > epoch);
    return Math.min(Number.POSITIVE_INFINITY, ...covering.map((loss) => loss.fromOffset));
  }
}

function checkMonotonic(before: PartitionState | undefined, after: PartitionState): void {
  if (before === undefined || before === after) return;
  const isChangedLeader = before.leader !== after.leader;
  if (after.partitionEpoch <= before.partitionEpoch)
    throw new Error(`partition epoch does not rise: ${JSON.stringify([before, after])}`);
  if (
    after.leaderEpoch < before.leaderEpoch ||
    (isChangedLeader && after.leaderEpoch === before.leaderEpoch)
  ) {
    throw new Error(`leader epoch does not rise: ${JSON.stringify([before, after])}`);
  }
}
