/**
 * A broker as the metadata core sees it, reduced to what decides about data: logs that can be lost
 * in four ways, a session file, a process with its own, lagging view of metadata, and the leader's
 * and follower's side of (S, q). Deliberately naive: it is the yardstick, not the product.
 */
import { NO_BROKER } from '../../../base/units.ts';
import type { Random } from '../../../base/random.ts';
import type {
  AbilityStatement,
  AlterSyncSetRequest,
} from '../../../broker/metadata/controller-types.ts';
import type {
  MetadataImage,
  PartitionState,
  ProcessStart,
  RestartClass,
  TopicState,
} from '../../../broker/metadata/types.ts';

export interface Entry {
  readonly epoch: number;
  readonly id: number;
}

/** What survives a process. */
export interface ModelDisk {
  directoryId: string;
  logs: Entry[][];
  highWaterMarks: number[];
  session: { epoch: number; boot: number } | null;
  isClean: boolean;
  /** Starts of this directory. */
  starts: number;
}

/** A change whose outcome is not known: HW must satisfy it too (rule 12). */
export interface InFlight {
  readonly syncSet: readonly number[];
  readonly quorum: number;
  readonly request: AlterSyncSetRequest;
  sends: number;
}

interface Leading {
  readonly epoch: number;
  readonly start: number;
  readonly progress: Map<number, { brokerEpoch: number; end: number }>;
  inFlight: InFlight | null;
  /**
   * Successor that appends wait for, from the moment it was found to be caught up until metadata
   * names another or none (rule 22).
   */
  handingTo: number;
}

export interface ModelProcess {
  /** 0 until registration has been answered. */
  brokerEpoch: number;
  readonly restartClass: RestartClass;
  readonly sessionEpoch: number;
  applied: number;
  isStopping: boolean;
  /** Named in every registration, and nobody else's. */
  readonly start: ProcessStart;
  /** Partitions that this process cannot lead, and does nothing for. */
  readonly unable: Set<number>;
  /** Its disk failed: it does nothing but say so. */
  isBroken: boolean;
  readonly leading: (Leading | null)[];
  readonly sealed: number[];
}

/** Rules of the model that a run may leave out, to show that the checks find it. */
export const MODEL_FLAWS = [
  'no-joint',
  'no-barrier',
  'ratchet-progress',
  'no-seal',
  'no-drain',
  'none',
] as const;
export type ModelFlaw = (typeof MODEL_FLAWS)[number];

export interface ModelEvents {
  readonly onLead: (broker: ModelBroker, partition: number, epoch: number) => void;
  readonly onCommit: (
    broker: ModelBroker,
    partition: number,
    epoch: number,
    highWaterMark: number,
  ) => void;
  readonly onCutBelowHighWaterMark: (broker: ModelBroker, partition: number, to: number) => void;
  readonly nextId: () => number;
}

export class ModelBroker {
  readonly brokerId: number;
  readonly #events: ModelEvents;
  readonly #flaw: ModelFlaw;
  boot = 1;
  disk: ModelDisk;
  process: ModelProcess | null = null;
  /** The disk lost something that the last registration could not know of. */
  isTainted = false;
  /** The disk was put back to an older state, and has the name that it had then. */
  isPutBack = false;
  image: MetadataImage;

  constructor(
    brokerId: number,
    options: { partitions: number; image: MetadataImage; events: ModelEvents; flaw: ModelFlaw },
  ) {
    this.brokerId = brokerId;
    this.#events = options.events;
    this.#flaw = options.flaw;
    this.image = options.image;
    this.disk = emptyDisk(`${String(brokerId)}-0`, options.partitions);
  }

  log(partition: number): Entry[] {
    return this.disk.logs[partition] ?? [];
  }

  start(applied: number): void {
    const { session, isClean } = this.disk;
    const restartClass =
      session === null ? 'new' : isClean ? 'clean' : session.boot === this.boot ? 'warm' : 'lossy';
    this.disk.starts += 1;
    this.process = {
      start: {
        id: `${String(this.brokerId)}-${String(this.#events.nextId())}`,
        number: this.disk.starts,
      },
      unable: new Set(),
      brokerEpoch: 0,
      restartClass,
      sessionEpoch: session?.epoch ?? 0,
      applied,
      isStopping: false,
      isBroken: false,
      leading: this.disk.logs.map(() => null),
      sealed: this.disk.logs.map(() => 0),
    };
  }

  registered(brokerEpoch: number): void {
    if (this.process === null) return;
    this.process.brokerEpoch = brokerEpoch;
    // What broke since the request was sent is not in it.
    if (this.process.isBroken) return;
    this.disk.session = { epoch: brokerEpoch, boot: this.boot };
    this.disk.isClean = false;
    this.isTainted = false;
  }

  /** Loses a random suffix of every log, as a power cut does. */
  loseSuffixes(random: Random): void {
    this.disk.logs = this.disk.logs.map((log) =>
      log.slice(0, random.chance(0.3) ? log.length : random.below(log.length + 1)),
    );
    this.disk.highWaterMarks = this.disk.highWaterMarks.map((mark, partition) =>
      Math.min(mark, this.log(partition).length),
    );
    this.isTainted = true;
  }

  /** Makes sure that the next start is lossy. */
  markLossy(): void {
    this.disk.isClean = false;
    if (this.disk.session !== null) this.disk.session = { ...this.disk.session, boot: -1 };
  }

  /**
   * A volume restored from a snapshot claims to be warm, and its session epoch gives it away. One
   * of the last incarnation unfenced could not be told by that: it is the mount identity that fails
   * it, on the broker's side.
   */
  rollBack(snapshot: ModelDisk, unfencedEpoch: number): void {
    if (snapshot.session === null) return;
    const { epoch } = snapshot.session;
    const isSameIncarnation =
      epoch >= unfencedEpoch || snapshot.directoryId !== this.disk.directoryId;
    const session = { epoch, boot: isSameIncarnation ? -1 : this.boot };
    this.disk = { ...snapshot, isClean: false, session };
    this.isPutBack = true;
    this.isTainted = true;
  }

  topic(): TopicState | undefined {
    return this.image.topics.get('t');
  }

  row(partition: number): PartitionState | undefined {
    return this.topic()?.partitions[partition];
  }

  /** True while this incarnation may act on the row at all. */
  isCurrent(): boolean {
    const process = this.process;
    return (
      process !== null &&
      !process.isBroken &&
      process.brokerEpoch > 0 &&
      this.image.brokers.get(this.brokerId)?.brokerEpoch === process.brokerEpoch
    );
  }

  /** Sees metadata up to `image`. */
  apply(image: MetadataImage, index: number): void {
    const process = this.process;
    if (process === null) return;
    this.image = image;
    process.applied = index;
    process.leading.forEach((leading, partition) => {
      const row = this.row(partition);
      if (row === undefined) return;
      if (!row.replicas.includes(this.brokerId)) this.#deleteStray(partition);
      if (leading !== null && row.leaderEpoch !== leading.epoch) process.leading[partition] = null;
      if (leading?.inFlight && row.partitionEpoch > leading.inFlight.request.partitionEpoch)
        leading.inFlight = null;
      if (leading !== null && leading.handingTo !== row.successor) leading.handingTo = NO_BROKER;
      if (row.leader === this.brokerId && process.leading[partition] === null && this.isCurrent())
        this.#lead(process, partition, row);
    });
  }

  /** Metadata has this replica no more. */
  #deleteStray(partition: number): void {
    this.disk.logs[partition] = [];
    this.disk.highWaterMarks[partition] = 0;
  }

  #lead(process: ModelProcess, partition: number, row: PartitionState): void {
    // Whoever answered an inspection has left every older epoch, though the row that made it leader
    // arrives only now.
    if ((process.sealed[partition] ?? 0) > row.leaderEpoch) return;
    this.#events.onLead(this, partition, row.leaderEpoch);
    const log = this.log(partition);
    process.leading[partition] = {
      epoch: row.leaderEpoch,
      start: log.length,
      progress: new Map(),
      inFlight: null,
      handingTo: NO_BROKER,
    };
    log.push({ epoch: row.leaderEpoch, id: this.#events.nextId() });
    this.advance(partition);
  }

  leadingOf(partition: number): Leading | null {
    const process = this.process;
    const leading = process?.leading[partition] ?? null;
    return leading !== null &&
      process !== null &&
      !process.isBroken &&
      !process.unable.has(partition) &&
      leading.epoch >= (process.sealed[partition] ?? 0)
      ? leading
      : null;
  }

  append(partition: number): void {
    const [leading, topic, row] = [this.leadingOf(partition), this.topic(), this.row(partition)];
    if (leading === null || topic === undefined || row === undefined) return;
    const counted = row.syncSet.filter(
      (id) => !row.suspects.includes(id) && this.image.brokers.get(id)?.fenced === false,
    );
    if (
      counted.length < topic.config.minInSyncReplicas ||
      (leading.handingTo !== NO_BROKER && this.#flaw !== 'no-drain')
    )
      return;
    this.log(partition).push({ epoch: leading.epoch, id: this.#events.nextId() });
    this.advance(partition);
  }

  /**
   * One fetch from `leader`: truncate to what agrees, copy some, and return the position to be
   * stated, or null when either side refuses.
   */
  fetch(
    leader: ModelBroker,
    partition: number,
    countMax: number,
  ): { brokerEpoch: number; leaderEpoch: number; end: number } | null {
    const [process, row, leading] = [
      this.process,
      this.row(partition),
      leader.leadingOf(partition),
    ];
    if (process === null || row === undefined || leading === null || !this.isCurrent()) return null;
    if (process.unable.has(partition)) return null;
    const isAgreed =
      row.leader === leader.brokerId &&
      row.leaderEpoch === leading.epoch &&
      leading.epoch >= (process.sealed[partition] ?? 0);
    if (!isAgreed || !row.replicas.includes(this.brokerId)) return null;
    const [own, theirs] = [this.log(partition), leader.log(partition)];
    const agreed = own.findIndex((entry, index) => entry.id !== theirs[index]?.id);
    if (agreed >= 0) {
      if (agreed < (this.disk.highWaterMarks[partition] ?? 0))
        this.#events.onCutBelowHighWaterMark(this, partition, agreed);
      own.length = agreed;
    }
    own.push(...theirs.slice(own.length, own.length + countMax));
    const mark = Math.min(leader.disk.highWaterMarks[partition] ?? 0, own.length);
    this.disk.highWaterMarks[partition] = Math.max(
      Math.min(this.disk.highWaterMarks[partition] ?? 0, own.length),
      mark,
    );
    return { brokerEpoch: process.brokerEpoch, leaderEpoch: leading.epoch, end: own.length };
  }

  /** The leader hears a position (rules 6 and 14). */
  position(
    partition: number,
    from: number,
    position: { brokerEpoch: number; leaderEpoch: number; end: number },
  ): void {
    const leading = this.leadingOf(partition);
    if (leading === null || leading.epoch !== position.leaderEpoch) return;
    const before = leading.progress.get(from);
    if (before !== undefined && position.brokerEpoch < before.brokerEpoch) return;
    const end =
      this.#flaw === 'ratchet-progress' ? Math.max(before?.end ?? 0, position.end) : position.end;
    leading.progress.set(from, { brokerEpoch: position.brokerEpoch, end });
    this.advance(partition);
  }

  /** HW = the q-th largest end in S, for the row and for the change in flight. */
  advance(partition: number): void {
    const [leading, row, topic] = [this.leadingOf(partition), this.row(partition), this.topic()];
    if (
      leading === null ||
      row === undefined ||
      topic === undefined ||
      row.quorum < topic.config.minInSyncReplicas
    )
      return;
    const endOf = (id: number): number =>
      id === this.brokerId ? this.log(partition).length : (leading.progress.get(id)?.end ?? 0);
    const markOf = (syncSet: readonly number[], quorum: number): number =>
      syncSet.map(endOf).toSorted((a, b) => b - a)[quorum - 1] ?? 0;
    const joint =
      leading.inFlight === null || this.#flaw === 'no-joint'
        ? Number.POSITIVE_INFINITY
        : markOf(leading.inFlight.syncSet, leading.inFlight.quorum);
    const mark = Math.min(markOf(row.syncSet, row.quorum), joint);
    const barrier = this.#flaw === 'no-barrier' ? 0 : leading.start;
    if (mark <= barrier || mark <= (this.disk.highWaterMarks[partition] ?? 0)) return;
    this.disk.highWaterMarks[partition] = mark;
    this.#events.onCommit(this, partition, leading.epoch, mark);
  }

  /** A change that this leader would propose now, or null. */
  proposal(partition: number, random: Random, isHealing: boolean): InFlight | null {
    const [leading, row, topic, process] = [
      this.leadingOf(partition),
      this.row(partition),
      this.topic(),
      this.process,
    ];
    if (leading === null || row === undefined || topic === undefined || process === null)
      return null;
    if (leading.inFlight !== null) return leading.inFlight;
    if (isCertified(this, partition, leading, row.successor)) leading.handingTo = row.successor;
    const choices = changesOf(this, partition, leading, { row, topic }).filter(
      ({ change }) => !isHealing || change.op !== 'remove',
    );
    if (choices.length === 0) return null;
    const { change, syncSet, quorum } = random.pick(choices);
    const { leaderEpoch, partitionEpoch } = row;
    const request: AlterSyncSetRequest = {
      kind: 'alter-sync-set',
      brokerId: this.brokerId,
      brokerEpoch: process.brokerEpoch,
      topicId: 't',
      partition,
      leaderEpoch,
      partitionEpoch,
      change,
    };
    leading.inFlight = { syncSet, quorum, request, sends: 0 };
    return leading.inFlight;
  }

  /** Changes that other partitions led here have under way. */
  waitingBeside(change: InFlight): { readonly partition: number; readonly change: InFlight }[] {
    return (this.process?.leading ?? []).flatMap((leading, partition) => {
      const other = leading?.inFlight ?? null;
      const isOfSender = other?.request.brokerEpoch === change.request.brokerEpoch;
      return other !== null && other !== change && isOfSender ? [{ partition, change: other }] : [];
    });
  }

  /** The change was refused for good. */
  forget(partition: number, change: InFlight): void {
    const leading = this.process?.leading[partition] ?? null;
    if (leading?.inFlight === change) leading.inFlight = null;
  }

  /** What metadata does not know of which replicas here can lead. */
  abilities(): AbilityStatement[] {
    const process = this.process;
    return (this.topic()?.partitions ?? []).flatMap(({ partition, cannotLead, replicas }) => {
      const reason = process?.unable.has(partition) === true ? 'stopped' : '';
      const known = cannotLead.find(({ brokerId }) => brokerId === this.brokerId)?.reason ?? '';
      const isNews = reason !== known && replicas.includes(this.brokerId);
      return isNews ? [{ topicId: 't', partition, reason }] : [];
    });
  }

  inspect(
    partition: number,
    leaderEpoch: number,
  ): { lastEpoch: number; endOffset: number; highWaterMark: number } | null {
    const process = this.process;
    if (process === null || !this.isCurrent() || process.unable.has(partition)) return null;
    if (this.#flaw !== 'no-seal')
      process.sealed[partition] = Math.max(process.sealed[partition] ?? 0, leaderEpoch);
    const log = this.log(partition);
    return {
      lastEpoch: log.at(-1)?.epoch ?? 0,
      endOffset: log.length,
      highWaterMark: this.disk.highWaterMarks[partition] ?? 0,
    };
  }
}

export function emptyDisk(directoryId: string, partitions: number): ModelDisk {
  const logs = Array.from({ length: partitions }, (): Entry[] => []);
  const highWaterMarks = logs.map(() => 0);
  return { directoryId, logs, highWaterMarks, session: null, isClean: false, starts: 0 };
}

type Choice = {
  readonly change: AlterSyncSetRequest['change'];
  readonly syncSet: readonly number[];
  readonly quorum: number;
};

function changesOf(
  broker: ModelBroker,
  partition: number,
  leading: Leading,
  at: { row: PartitionState; topic: TopicState },
): Choice[] {
  const { row, topic } = at;
  const mark = broker.disk.highWaterMarks[partition] ?? 0;
  const isCertifiedNow = (id: number): boolean => isCertified(broker, partition, leading, id);
  const choices: Choice[] = [];
  for (const member of row.replicas.filter((id) => id !== broker.brokerId)) {
    const memberEpoch = leading.progress.get(member)?.brokerEpoch ?? 0;
    const isIn = row.syncSet.includes(member);
    if (!isIn && isCertifiedNow(member)) {
      const quorum = topic.config.commitMode === 'in-sync' ? row.quorum + 1 : row.quorum;
      choices.push({
        change: { op: 'add', member, memberEpoch },
        syncSet: [...row.syncSet, member],
        quorum,
      });
    }
    if (row.suspects.includes(member) && isCertifiedNow(member))
      choices.push({
        change: { op: 'trust', member, memberEpoch },
        syncSet: row.syncSet,
        quorum: row.quorum,
      });
    const isLagging = isIn && (leading.progress.get(member)?.end ?? 0) < mark + 1;
    if (isLagging && row.quorum > topic.config.minInSyncReplicas) {
      choices.push({
        change: { op: 'remove', member },
        syncSet: row.syncSet.filter((id) => id !== member),
        quorum: row.quorum - 1,
      });
    }
  }
  const certified = row.syncSet.filter(
    (id) => id === broker.brokerId || (isCertifiedNow(id) && !row.suspects.includes(id)),
  ).length;
  if (row.quorum < row.syncSet.length && certified > row.quorum) {
    choices.push({
      change: { op: 'raise', quorum: row.quorum + 1 },
      syncSet: row.syncSet,
      quorum: row.quorum + 1,
    });
  }
  const end = broker.log(partition).length;
  const hasAll =
    leading.handingTo !== NO_BROKER && leading.progress.get(leading.handingTo)?.end === end;
  if (hasAll && mark === end)
    choices.push({
      change: { op: 'hand-over', successor: leading.handingTo },
      syncSet: row.syncSet,
      quorum: row.quorum,
    });
  return choices;
}

function isCertified(
  broker: ModelBroker,
  partition: number,
  leading: Leading,
  id: number,
): boolean {
  const progress = leading.progress.get(id);
  const known = broker.image.brokers.get(id);
  const mark = broker.disk.highWaterMarks[partition] ?? 0;
  return (
    progress !== undefined &&
    known?.fenced === false &&
    progress.brokerEpoch === known.brokerEpoch &&
    progress.end >= mark &&
    progress.end > leading.start
  );
}

export function copyOf(disk: ModelDisk): ModelDisk {
  return {
    ...disk,
    logs: disk.logs.map((log) => [...log]),
    highWaterMarks: [...disk.highWaterMarks],
    session: disk.session === null ? null : { ...disk.session },
  };
}
