/**
 * What the state of a cluster means: does every partition take appends, and is it safe to lose one
 * broker? Judged from metadata and from which brokers answer, since without a controller metadata
 * stays as it was. Pure.
 */
import type { LossReport } from '../../proto/gen/tidemark/v1/losses.ts';
import type { Broker } from '../../proto/gen/tidemark/v1/admin.ts';
import type { Topic } from '../admin-types.ts';
import { type Look, replicaReport } from './moves.ts';

type Partition = Topic['partitions'][number];

/** What health is judged from. */
export interface HealthLook extends Look {
  readonly brokers: readonly Pick<Broker, 'brokerId' | 'fenced' | 'stopping' | 'voter'>[];
  /** As the broker that answered knows it, which may be late. */
  readonly controller: number | undefined;
  readonly losses?: readonly Pick<LossReport, 'topic' | 'partition'>[];
}

/**
 * `ok`: takes every append, and would without any one broker (but for topics that are made to need
 * all of theirs). `degraded`: takes every append, but a broker or copy is missing. `failing`: a
 * partition takes none, or nobody can decide anything.
 */
export type HealthLevel = 'ok' | 'degraded' | 'failing';

/** The verdict: one sentence, and everything that led to it. */
export interface Health {
  readonly level: HealthLevel;
  readonly sentence: string;
  /** Most severe first. */
  readonly findings: readonly Finding[];
}

/** One thing that is not as it should be. */
export interface Finding {
  readonly level: Exclude<HealthLevel, 'ok'>;
  readonly subject: 'quorum' | 'broker' | 'partition';
  /** Broker id or `topic/partition`; empty for the quorum. */
  readonly name: string;
  readonly text: string;
}

/** Judges one look. */
export function healthOf(look: HealthLook): Health {
  const [quorum, brokers, partitions] = [
    quorumFinding(look),
    brokerFindings(look),
    partitionFindings(look),
  ];
  const found = [...quorum, ...brokers, ...partitions];
  const failing = [...quorum, ...partitions].filter(({ level }) => level === 'failing');
  const degraded = found.filter(({ level }) => level === 'degraded');
  const findings = [...failing, ...degraded];
  if (failing.length > 0) return { level: 'failing', sentence: failingSentence(failing), findings };
  if (degraded.length === 0) return { level: 'ok', sentence: soundSentence(look), findings };
  // What is away explains what is behind.
  const cause = brokers.length > 0 ? brokers : degraded;
  const isTight = cause === brokers && degraded.length > brokers.length;
  const tail = isTight ? '; no other may be lost' : '';
  const sentence = `every append is taken, but ${listed(cause)}${tail}`;
  return { level: 'degraded', sentence, findings };
}

function failingSentence(failing: readonly Finding[]): string {
  const [first] = failing;
  const count = failing.length - 1;
  if (first?.subject !== 'quorum' || count === 0) return listed(failing);
  return `${first.text}; ${count} ${count === 1 ? 'partition takes' : 'partitions take'} no appends`;
}

/** The first, and how many more there are. */
function listed(findings: readonly Finding[]): string {
  const more = findings.length > 1 ? `, and ${findings.length - 1} more` : '';
  return `${findings[0]?.text ?? ''}${more}`;
}

/** Does this broker neither answer nor count? */
export function isAway(look: Look, brokerId: number): boolean {
  const broker = look.brokers.find((each) => each.brokerId === brokerId);
  return broker === undefined || broker.fenced || !look.reports.has(brokerId);
}

/** What is wrong with one partition, most severe first, in a few words each. */
export function partitionFaults(look: HealthLook, topic: Topic, partition: Partition): string[] {
  const { leader, replicas, adding, syncSet, suspects, cannotLead } = partition;
  const refusal = refusalOf(look, topic, partition);
  // Those that a move brings are not missed before they have come.
  const isMissing = replicas.some((id) => !adding.includes(id) && !counts(look, partition, id));
  const full = replicas.filter((id) => id !== leader && isFull(look, id));
  const stopped = replicaReport(look, leader, topic, partition)?.stopped;
  return [
    refusal ?? '',
    full.length > 0 ? `disk full: ${full.join(',')}` : '',
    refusal === undefined && isMissing ? 'under-replicated' : '',
    suspects.length > 0 ? `suspect: ${suspects.join(',')}` : '',
    ...cannotLead.map(({ brokerId, reason }) => `${brokerId} cannot lead: ${reason}`),
    stopped ?? '',
    syncSet.length === 0 ? 'nobody is in sync' : '',
  ].filter((fault) => fault !== '');
}

function quorumFinding(look: HealthLook): Finding[] {
  const voters = look.brokers.filter(({ voter }) => voter).map(({ brokerId }) => brokerId);
  const silent = voters.filter((id) => !look.reports.has(id));
  const needed = Math.floor(voters.length / 2) + 1;
  const finding = (level: Finding['level'], text: string): Finding[] => [
    { level, subject: 'quorum', name: '', text },
  ];
  const who = `${silent.length} of ${voters.length} voters ${silent.length === 1 ? 'is' : 'are'} silent (${silent.join(', ')})`;
  if (voters.length - silent.length < needed) return finding('failing', `no controller: ${who}`);
  if (look.controller === undefined)
    return finding('failing', 'no controller: the voters are electing one');
  if (silent.includes(look.controller))
    return finding('failing', `the controller, broker ${look.controller}, is silent`);
  const isTight = voters.length > 1 && voters.length - silent.length === needed;
  return silent.length > 0 && isTight
    ? finding('degraded', `the metadata quorum can lose no other voter: ${who}`)
    : [];
}

/** What keeps a broker from being up; the first of them that is so. */
export type BrokerHealth = 'stopping' | 'fenced' | 'disk full' | 'silent' | 'up';

const BROKER_WORDS: Readonly<Record<BrokerHealth, string>> = {
  stopping: 'is stopping',
  fenced: 'is fenced',
  'disk full': 'has no room on its disk',
  silent: 'is silent',
  up: 'is up',
};

/** Judges one broker. */
export function brokerHealth(
  look: HealthLook,
  { brokerId, fenced, stopping }: HealthLook['brokers'][number],
): BrokerHealth {
  if (stopping) return 'stopping';
  if (fenced) return 'fenced';
  if (isFull(look, brokerId)) return 'disk full';
  return look.reports.has(brokerId) ? 'up' : 'silent';
}

function brokerFindings(look: HealthLook): Finding[] {
  return look.brokers
    .filter(({ brokerId }) => isAway(look, brokerId) || isFull(look, brokerId))
    .map((broker) => {
      const text = `broker ${broker.brokerId} ${BROKER_WORDS[brokerHealth(look, broker)]}`;
      return { level: 'degraded', subject: 'broker', name: String(broker.brokerId), text };
    });
}

function partitionFindings(look: HealthLook): Finding[] {
  return look.topics.flatMap((topic) =>
    topic.partitions.flatMap((partition): Finding[] => {
      const name = `${topic.name}/${partition.partition}`;
      const finding = (level: Finding['level'], text: string): Finding[] => [
        { level, subject: 'partition', name, text: `${name} ${text}` },
      ];
      const refusal = refusalOf(look, topic, partition);
      if (refusal !== undefined) return finding('failing', refusal);
      const live = liveMembers(look, partition).length;
      const min = minOf(topic);
      const copies = partition.replicas.length - partition.adding.length;
      // A topic that needs all of its replicas is never safe, and made so.
      if (live >= copies || live > min) return [];
      return finding(
        'degraded',
        `would refuse appends without another broker: ${live} in sync, ${min} needed`,
      );
    }),
  );
}

/** Why a partition takes no appends now; undefined where it does. */
export function refusalOf(
  look: HealthLook,
  topic: Topic,
  partition: Partition,
): string | undefined {
  const { leader, syncSet, quorum } = partition;
  if (leader === undefined) return 'has no leader';
  if (!look.reports.has(leader)) return `takes no appends: its leader, broker ${leader}, is silent`;
  if (isFull(look, leader))
    return `takes no appends: the disk of its leader, broker ${leader}, is full`;
  const live = liveMembers(look, partition);
  const min = minOf(topic);
  if (live.length < min) return `refuses appends: ${live.length} of ${min} in sync`;
  // A suspect does not count for the minimum, but what it acknowledges does.
  const missing = syncSet.filter((id) => isAway(look, id));
  if (syncSet.length - missing.length >= quorum) return undefined;
  return missing.length === 1
    ? `commits nothing until broker ${missing[0]} answers or leaves the sync set`
    : `commits nothing until brokers ${missing.join(', ')} answer or leave the sync set`;
}

/** Members of the sync set that are trusted and answer. */
function liveMembers(look: HealthLook, partition: Partition): number[] {
  return partition.syncSet.filter((id) => counts(look, partition, id));
}

function counts(look: HealthLook, { syncSet, suspects }: Partition, brokerId: number): boolean {
  return syncSet.includes(brokerId) && !suspects.includes(brokerId) && !isAway(look, brokerId);
}

function isFull({ reports }: HealthLook, brokerId: number): boolean {
  return (reports.get(brokerId)?.diskFault ?? '') !== '';
}

function minOf({ config }: Topic): number {
  return config?.minInSyncReplicas ?? 1;
}

function soundSentence({ brokers, topics, losses = [] }: HealthLook): string {
  const tight = topics.filter((topic) =>
    topic.partitions.some(({ replicas }) => replicas.length <= minOf(topic)),
  );
  const except =
    tight.length === 0
      ? ''
      : `, but for ${tight.length === 1 ? `topic ${tight[0]?.name ?? ''}` : `${tight.length} topics`} made to need every replica`;
  const lost =
    losses.length === 0 ? '' : '; records may have been lost earlier (see cluster describe)';
  const safe =
    brokers.length < 2
      ? 'every append is taken; one broker alone is never safe to lose'
      : `safe to lose one broker${except}`;
  return `${safe}${lost}`;
}
