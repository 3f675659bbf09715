/**
 * Why a partition is led as it is: how it stands, and what was decided about it. Each broker
 * remembers what it has seen since it started, so all are asked and their memories joined, with
 * what is kept in a topic.
 */
import {
  DECISIONS_TOPIC,
  type KeptDecision,
  type KeptStand,
} from '../../../base/kept-decisions.ts';
import type { Admin, Tidemark } from '../../index.ts';
import type {
  ExplainPartitionResponse,
  PartitionDecision,
  PartitionStand,
} from '../../../proto/gen/tidemark/v1/explain.ts';
import { printable } from '../../../base/printable.ts';
import { type CommonOptions, withCluster } from '../context.ts';
import { CliError, reportOf } from '../exit.ts';
import { readKept } from '../kept-decisions.ts';
import type { Output, Surroundings } from '../output.ts';
import { formatTime } from '../units.ts';

/** A partition as people name it. */
export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** What all brokers together know of a partition. */
export interface Why extends PartitionName {
  readonly summary: string;
  readonly refusal: string;
  readonly metadataIndex: number;
  /** No broker remembers what was decided before this entry; some of it may be kept. */
  readonly rememberedFrom: number;
  /** Oldest first. */
  readonly decisions: readonly PartitionDecision[];
  /** Brokers that did not say what they remember, and why. */
  readonly missing: readonly { readonly brokerId: number; readonly reason: string }[];
}

/** A dead broker is known to be dead long before. */
const ANSWER_MS_MAX = 5_000;

/** Reads `topic/partition`. Throws INVALID_ARGUMENT. */
export function parsePartition(text: string): PartitionName {
  const match = /^([^/]+)\/(\d{1,9})$/.exec(text);
  if (match?.[1] === undefined)
    throw new CliError(
      'INVALID_ARGUMENT',
      `the partition is "${printable(text)}", must be <topic>/<number>, such as orders/3`,
    );
  return { topic: match[1], partition: Number(match[2]) };
}

export async function why(
  name: string,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  const asked = parsePartition(name);
  await withCluster(options, around, async (cluster, { out }) => {
    const told = await askWhy(cluster.admin(), asked, around.interrupted);
    const whole = withKept(told, await keptOf(cluster, asked, out, around.interrupted));
    out.result(whole, () => show(whole, out));
  });
}

/** What cannot be read is noted. */
async function keptOf(
  cluster: Tidemark,
  { topic, partition }: PartitionName,
  out: Output,
  interrupted: AbortSignal,
): Promise<readonly KeptDecision[]> {
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout(ANSWER_MS_MAX)]);
  const kept: KeptDecision[] = [];
  try {
    const { topicId } = await cluster.admin().describeTopic(topic, { signal });
    await readKept(cluster, { topicId, partition }, kept, signal);
  } catch (error) {
    if (interrupted.aborted) throw error;
    const { message } = reportOf(error);
    out.note(`Not all that is kept in ${DECISIONS_TOPIC} was read: ${printable(message)}`);
  }
  return kept;
}

/** What brokers remember stands first: they told it themselves. */
function withKept(told: Why, kept: readonly KeptDecision[]): Why {
  const byIndex = new Map(told.decisions.map((decision) => [decision.index, decision]));
  for (const { index, atMs, before, after, reasons } of kept) {
    const known = byIndex.get(index);
    const stands = { before: before === null ? undefined : standOf(before), after: standOf(after) };
    if (known === undefined) byIndex.set(index, { index, atMs, ...stands, reasons: [...reasons] });
    else if (known.atMs === undefined) byIndex.set(index, { ...known, atMs });
  }
  return {
    ...told,
    decisions: [...byIndex.values()].sort((a, b) => a.index - b.index),
  };
}

function standOf({ leader, syncSet, suspects, ...stand }: KeptStand): PartitionStand {
  return { ...stand, leader: leader ?? undefined, syncSet: [...syncSet], suspects: [...suspects] };
}

/** Asks every broker. Rejects where none answers, and for an unknown partition. */
export async function askWhy(
  admin: Admin,
  { topic, partition }: PartitionName,
  interrupted: AbortSignal,
): Promise<Why> {
  const signal = AbortSignal.any([interrupted, AbortSignal.timeout(ANSWER_MS_MAX)]);
  const { brokers } = await admin.describeCluster({ signal });
  const answers: ExplainPartitionResponse[] = [];
  const missing: { brokerId: number; reason: string }[] = [];
  const asking = brokers.map(async ({ brokerId }) => {
    try {
      answers.push(await admin.explainPartition(topic, partition, { brokerId }, { signal }));
    } catch (error) {
      const { code, message } = reportOf(error);
      if (code === 'UNKNOWN_TOPIC' || code === 'UNKNOWN_PARTITION') throw error;
      missing.push({ brokerId, reason: message });
    }
  });
  await Promise.all(asking);
  return { topic, partition, ...joined(answers), missing: missing.sort(byBroker) };
}

function byBroker(left: { readonly brokerId: number }, right: { readonly brokerId: number }) {
  return left.brokerId - right.brokerId;
}

/** The newest stand, and every decision once: with the time of whoever saw it first. */
function joined(
  answers: readonly ExplainPartitionResponse[],
): Omit<Why, 'topic' | 'partition' | 'missing'> {
  const [newest] = answers.toSorted((a, b) => b.metadataIndex - a.metadataIndex);
  if (newest === undefined)
    throw new CliError('UNREACHABLE', 'no broker said what it remembers of the partition');
  const byIndex = new Map<number, PartitionDecision>();
  for (const decision of answers.flatMap(({ decisions }) => decisions)) {
    const { index, atMs = Infinity } = decision;
    const known = byIndex.get(index);
    if (known === undefined || atMs < (known.atMs ?? Infinity)) byIndex.set(index, decision);
  }
  return {
    summary: newest.summary,
    refusal: newest.refusal,
    metadataIndex: newest.metadataIndex,
    rememberedFrom: Math.min(...answers.map(({ rememberedFrom }) => rememberedFrom)),
    decisions: [...byIndex.values()].sort((a, b) => a.index - b.index),
  };
}

function show({ summary, refusal, decisions, rememberedFrom, missing }: Why, out: Output): void {
  out.line(out.paint('bold', printable(summary)));
  if (refusal !== '') out.line(out.paint('red', printable(refusal)));
  for (const { index, atMs, before, after, reasons } of decisions) {
    const at = atMs === undefined ? 'before the start' : formatTime(atMs);
    const from = before ?? after;
    const changes = [
      changeOf('leader', from, after, ({ leader }) => `${leader ?? 'none'}`),
      changeOf('epoch', from, after, ({ leaderEpoch }) => `${leaderEpoch}`),
      changeOf('in sync', from, after, ({ syncSet }) => syncSet.join(',')),
    ];
    out.line();
    out.line(`${at}  entry ${index}  ${changes.join('  ')}`);
    for (const { text, rule } of reasons) out.line(`  ${printable(text)} (${printable(rule)})`);
  }
  if (rememberedFrom > 1)
    out.note(
      `No broker remembers what was decided before entry ${rememberedFrom} of the metadata.`,
    );
  for (const { brokerId, reason } of missing)
    out.note(`Broker ${brokerId} did not say what it remembers: ${printable(reason)}`);
}

function changeOf(
  name: string,
  before: PartitionStand | undefined,
  after: PartitionStand | undefined,
  textOf: (stand: PartitionStand) => string,
): string {
  const was = before === undefined ? '-' : textOf(before);
  const is = after === undefined ? '-' : textOf(after);
  return was === is ? `${name} ${is}` : `${name} ${was} -> ${is}`;
}
