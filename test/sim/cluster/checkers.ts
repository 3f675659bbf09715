/**
 * One checker for each thing that must be so after healing. Each returns what is wrong, in words.
 */
import { BrokerError } from '../../../base/errors.ts';
import { endOffsetOf, readHeader, splitFrames } from '../../../wire/batch/frame.ts';
import type { Broker } from '../../../broker/runtime/broker.ts';
import { contentOf as contentOfFrames } from '../../fixtures/keyed-log.ts';
import { compactedReplicas, isCompactedTopic, whyUnsettled } from './compaction-checkers.ts';
import type { FinalLog } from './final-log.ts';
import type { History, Passage, Seen, Sent } from './history.ts';
import type { Loss } from './knowledge.ts';
import type { SimTopic } from './topics.ts';

/** Nothing stands there any more, and compaction may be why. */
function isTaken({ values, mayBeCompacted }: FinalLog, offset: number, value: string): boolean {
  return !values.has(offset) && mayBeCompacted?.(offset, value) === true;
}

/**
 * Whether a record that was handed in then may have left this offset, in silence to whoever only
 * looks at the log: it went to a former topic, or lies in a reported range (P11). Offset -1: not
 * known.
 */
function mayBeGone({ sinceMs, losses }: FinalLog, offset: number, sentMs: number): boolean {
  const isReported = losses.some(
    ({ fromOffset, knownMs }) => (offset < 0 || offset >= fromOffset) && sentMs < knownMs,
  );
  return sentMs < sinceMs || isReported;
}

function describe(sent: Sent): string {
  const { value, via, topic, sentMs, fate } = sent;
  const place =
    fate?.kind === 'acknowledged'
      ? `/${fate.partition} at ${fate.offset}, t=${fate.atMs.toFixed(0)}`
      : '';
  return `"${value}" (${via}, sent t=${sentMs.toFixed(0)}) acknowledged in ${topic}${place}`;
}

function logOf(logs: readonly FinalLog[], topic: string, partition: number): FinalLog | undefined {
  return logs.find((log) => log.topic === topic && log.partition === partition);
}

/** The promise at the level of the call: acknowledged means present, once, at that offset. */
export function checkAcknowledged(history: History, logs: readonly FinalLog[]): string[] {
  const faults: string[] = [];
  for (const sent of history.sent) {
    const { fate } = sent;
    if (fate?.kind !== 'acknowledged') continue;
    const log = logOf(logs, sent.topic, fate.partition);
    if (fate.offset < 0) {
      // Appended so long ago that its offset is forgotten: it must be somewhere.
      const isWhole = log?.logStart === 0 && log.mayBeCompacted === undefined;
      const isJudged = isWhole && !mayBeGone(log, -1, sent.sentMs);
      if (isJudged && ![...log.values.values()].includes(sent.value))
        faults.push(`${describe(sent)}: in no log`);
      continue;
    }
    if (log === undefined || fate.offset < log.logStart) continue;
    if (isTaken(log, fate.offset, sent.value)) continue;
    const found = log.values.get(fate.offset);
    if (found !== sent.value && !mayBeGone(log, fate.offset, sent.sentMs))
      faults.push(
        `${describe(sent)}: there stands ${found === undefined ? 'nothing' : `"${found}"`}`,
      );
  }
  return faults;
}

/**
 * No record stands twice: retries of the library and of brokers are idempotent, and nothing here
 * sends again by itself.
 */
export function checkOnce(logs: readonly FinalLog[]): string[] {
  const places = new Map<string, string>();
  const faults: string[] = [];
  for (const { topic, partition, values } of logs) {
    for (const [offset, value] of values) {
      const place = `${topic}/${partition} at ${offset}`;
      const first = places.get(value);
      if (first !== undefined) faults.push(`"${value}" stands in ${first} and in ${place}`);
      places.set(value, place);
    }
  }
  return faults;
}

/**
 * As {@link checkOnce}, of what readers were given: one of two places may be retired by the end.
 */
export function checkReadOnce(
  history: History,
  seen: readonly Seen[],
  logs: readonly FinalLog[],
): string[] {
  const places = new Map<string, string>();
  const faults: string[] = [];
  const sentMs = history.sentMs();
  for (const { topic, partition, offset, value } of seen) {
    const log = logOf(logs, topic, partition);
    if (log !== undefined && mayBeGone(log, offset, sentMs.get(value) ?? 0)) continue;
    const place = `${topic}/${partition} at ${offset}`;
    const first = places.get(value) ?? place;
    if (first !== place) faults.push(`"${value}" was read in ${first} and in ${place}`);
    places.set(value, first);
  }
  return faults;
}

/** A refusal that said "nothing was or will be done" was true. */
export function checkCertainty(history: History, logs: readonly FinalLog[]): string[] {
  const present = new Set(logs.flatMap(({ values }) => [...values.values()]));
  return history.sent
    .filter(
      ({ value, fate }) => fate?.kind === 'refused' && fate.effect === 'none' && present.has(value),
    )
    .map(
      ({ value, fate }) =>
        `"${value}" was refused for certain with ${fate?.kind === 'refused' ? fate.code : ''}, and stands in a log`,
    );
}

/** What a reader has read stays so, for every reader, until retention passes it (invariant e). */
export function checkReaders(
  history: History,
  seen: readonly Seen[],
  logs: readonly FinalLog[],
): string[] {
  const faults: string[] = [...history.readFaults];
  const known = new Map<string, string>();
  const sentMs = history.sentMs();
  for (const { reader, topic, partition, offset, value } of seen) {
    const log = logOf(logs, topic, partition);
    if (log !== undefined && mayBeGone(log, offset, sentMs.get(value) ?? 0)) continue;
    const place = `${topic}/${partition} at ${offset}`;
    const before = known.get(place);
    if (before !== undefined && before !== value)
      faults.push(`${reader} read "${value}" in ${place}, where "${before}" was read before`);
    known.set(place, value);
    if (log === undefined || offset < log.logStart || isTaken(log, offset, value)) continue;
    const now = log.values.get(offset);
    if (now !== value)
      faults.push(
        `${reader} read "${value}" in ${place}, where now stands ${now === undefined ? 'nothing' : `"${now}"`}`,
      );
  }
  return faults;
}

/** Nothing lies below a log start that no retention reached. */
export function checkLogStarts(logs: readonly FinalLog[], topics: readonly SimTopic[]): string[] {
  return logs
    .filter(
      ({ topic, logStart }) =>
        logStart > 0 && topics.some(({ name, isRetired }) => name === topic && !isRetired),
    )
    .map(
      ({ topic, partition, logStart }) =>
        `${topic}/${partition} starts at ${logStart}, and nothing retires its records`,
    );
}

/**
 * A log that was trimmed, and whose trim was answered, begins there or above; and at most where
 * somebody asked.
 */
export function checkTrims(history: History, logs: readonly FinalLog[]): string[] {
  return logs
    .filter(({ topic }) => history.trims.some((trim) => trim.topic === topic))
    .flatMap(({ topic, partition, logStart }) => {
      const least = history.trimmedTo(topic, partition);
      const most = history.trims
        .filter((trim) => trim.topic === topic && trim.partition === partition)
        .reduce((found, { offset }) => Math.max(found, offset), 0);
      if (logStart >= least && logStart <= most) return [];
      return [`${topic}/${partition} starts at ${logStart}, trims allow ${least} to ${most}`];
    });
}

/**
 * Once a name has a newer epoch, no batch of an older one gets an offset: neither one that was made
 * since, nor one that was on its way (rule 20).
 */
export function checkFenced(history: History, logs: readonly FinalLog[]): string[] {
  const sentMs = history.sentMs();
  const faults: string[] = [];
  for (const { topic, partition, values } of logs)
    for (const [offset, value] of values) {
      const epoch = history.epochs.get(value);
      if (epoch === undefined) continue;
      const fence = history.takeovers.find(
        (takeover) =>
          takeover.epoch > epoch &&
          ((sentMs.get(value) ?? 0) > takeover.atMs ||
            offset >= (takeover.ends?.get(partition) ?? Number.POSITIVE_INFINITY)),
      );
      if (fence !== undefined)
        faults.push(
          `"${value}" of epoch ${epoch} got ${topic}/${partition} at ${offset} after epoch ${fence.epoch} had the name, t=${fence.atMs.toFixed(0)}`,
        );
    }
  return faults;
}

/**
 * Of those who expect one end at most one wins: between that end and a record that was appended at
 * it, none stands. Who is told that the end is taken is told the truth, and each time of a later
 * end: nobody loses twice to the same records, and so nobody spins.
 */
export function checkRaced(history: History, logs: readonly FinalLog[]): string[] {
  const faults: string[] = [];
  const sentBy = new Map(history.sent.map((sent) => [sent.value, sent]));
  const lostAt = new Map<string, number>();
  for (const [value, { racer, partition, end }] of history.expected) {
    const { topic = '', fate = null } = sentBy.get(value) ?? {};
    const log = logOf(logs, topic, partition);
    if (log === undefined || log.losses.length > 0) continue;
    const place = [...log.values].find(([, found]) => found === value)?.[0];
    const other = [...log.values].find(([offset]) => offset >= end && offset < (place ?? end));
    const where = `"${value}" expected ${topic}/${partition} to end at ${end}`;
    if (other !== undefined)
      faults.push(`${where} and stands at ${place}, behind "${other[1]}" at ${other[0]}`);
    if (fate?.kind !== 'refused' || fate.code !== 'OFFSET_TAKEN') continue;
    if (![...log.values.keys()].some((offset) => offset >= end))
      faults.push(`${where} and was told that others came first, and nothing stands there`);
    if (end <= (lostAt.get(racer) ?? -1)) faults.push(`${where} after ${racer} had lost there`);
    lostAt.set(racer, end);
  }
  return faults;
}

/** Nothing is given up in a topic that does not consent to it (rule 18). */
export function checkLosses(
  losses: readonly Pick<Loss, 'topic' | 'partition' | 'fromOffset'>[],
  topics: readonly SimTopic[],
): string[] {
  return losses
    .filter(({ topic }) => topics.find(({ name }) => name === topic)?.mayLose !== true)
    .map(
      ({ topic, partition, fromOffset }) =>
        `${topic}/${partition} may have lost what began at ${fromOffset}, and its topic never consented`,
    );
}

/**
 * Who reads on past an unclean election is told of what it may have lost, once; of no other. One
 * that begins somewhere may find that retention has taken what lies before.
 */
export function checkTold(
  passages: readonly Passage[],
  losses: readonly Pick<Loss, 'topic' | 'partition' | 'leaderEpoch'>[],
  topics: readonly SimTopic[],
): string[] {
  return passages.flatMap(({ reader, topic, partition, fromEpoch, toEpoch, told }) => {
    if (topics.some(({ name, isRemade }) => name === topic && isRemade)) return [];
    const reported = losses
      .filter((loss) => loss.topic === topic && loss.partition === partition)
      .map(({ leaderEpoch }) => leaderEpoch)
      .filter((epoch) => epoch > fromEpoch && epoch <= toEpoch);
    const untold = fromEpoch === 0 ? [] : reported.filter((epoch) => !told.includes(epoch));
    const isTrue = told.every(
      (epoch, at) => reported.includes(epoch) && told.indexOf(epoch) === at,
    );
    if (untold.length === 0 && isTrue) return [];
    const way = `${topic}/${partition} from epoch ${fromEpoch} to ${toEpoch}`;
    return [`${reader} read ${way} and was told of [${told.join()}], must be [${reported.join()}]`];
  });
}

/** Every call ended. */
export function checkEnded(history: History, nowMs: number): string[] {
  return [...history.pending].map(
    ({ what, sinceMs }) => `"${what}" has not ended in ${(nowMs - sinceMs).toFixed(0)} ms`,
  );
}

/**
 * Replicas agree byte for byte below the least of their marks (invariant (l)). Of a topic that is
 * compacted they agree in content: where segments end, gaps end. Throws while some have not carried
 * out what was ordered.
 */
export async function checkReplicas(brokers: readonly Broker[]): Promise<string[]> {
  const image = brokers
    .map((broker) => broker.image())
    .reduce((left, right) => (left.index > right.index ? left : right));
  const partitions = [...image.topics.values()].flatMap((topic) =>
    topic.partitions.map((state) => ({ topic, state })),
  );
  const faults: string[] = [];
  for (const { topic, state } of partitions) {
    const holders = brokers.filter(({ brokerId }) => state.replicas.includes(brokerId));
    const isCompacted = isCompactedTopic(topic);
    const before = isCompacted ? settled(holders, topic.topicId, state.partition) : '';
    const differ = await compare(holders, topic.topicId, state.partition, isCompacted);
    const after = isCompacted ? settled(holders, topic.topicId, state.partition) : '';
    if (before !== after)
      throw new BrokerError('BROKER_NOT_READY', `${topic.name} went from ${before} to ${after}`);
    if (differ !== null) faults.push(`${topic.name}/${state.partition}: ${differ}`);
  }
  return faults;
}

/** In words where two of the replicas differ, or null. */
async function compare(
  holders: readonly Broker[],
  topicId: string,
  partition: number,
  isCompacted: boolean,
): Promise<string | null> {
  const marks = holders.map((broker) => broker.marks(topicId, partition));
  const from = Math.max(...marks.map(({ logStart }) => logStart));
  const upTo = Math.min(...marks.map(({ highWaterMark }) => highWaterMark));
  const contents: string[] = [];
  for (const broker of holders)
    contents.push(await contentOf(broker, { topicId, partition, from, upTo, isCompacted }));
  const other = contents.findIndex((content) => content !== contents[0]);
  if (other < 0) return null;
  const names = `${holders[0]?.brokerId} and ${holders[other]?.brokerId}`;
  const where = isCompacted ? `: ${firstDifference(contents[0] ?? '', contents[other] ?? '')}` : '';
  return `replicas on ${names} differ within ${from} to ${upTo}${where}`;
}

/** Of two texts, the first line of each that the other has not at its place. */
function firstDifference(one: string, other: string): string {
  const [ones, others] = [one.split('\n'), other.split('\n')];
  const at = ones.findIndex((line, index) => line !== others[index]);
  return `"${ones[at] ?? ''}" is "${others[at < 0 ? ones.length : at] ?? ''}"`;
}

interface Range {
  readonly topicId: string;
  readonly partition: number;
  readonly from: number;
  readonly upTo: number;
  readonly isCompacted: boolean;
}

/** What all of them have carried out, in words. Throws where some have not. */
function settled(holders: readonly Broker[], topicId: string, partition: number): string {
  const replicas = compactedReplicas(holders, topicId, partition);
  const why = whyUnsettled(replicas);
  if (why !== null) throw new BrokerError('BROKER_NOT_READY', `${topicId}/${partition}: ${why}`);
  const [first] = replicas;
  return `${first?.compaction.upTo}, ${first?.compaction.tombstonesBelow}`;
}

/** Frames that lie within the range, as one text; of a compacted log, what they say. */
async function contentOf(broker: Broker, range: Range): Promise<string> {
  const { topicId, partition, from, upTo } = range;
  const frames: string[] = [];
  for (let offset = from; offset < upTo; ) {
    const position = { offset, epoch: 0, bytesMax: 2 ** 20, allowFollower: true };
    const read = await broker.read(topicId, partition, position);
    if (read.nextOffset <= offset) break;
    for (const chunk of read.chunks) frames.push(...framesWithin(chunk, range));
    offset = read.nextOffset;
  }
  return range.isCompacted ? linesOf(frames, range) : frames.join('');
}

/** Throws where an offset is not covered (K2). */
function linesOf(frames: readonly string[], { from }: Range): string {
  const bytes = frames.map((frame) => Buffer.from(frame, 'latin1'));
  let end = -1;
  for (const frame of bytes) {
    const header = readHeader(frame, 0);
    if (end >= 0 && header.baseOffset !== end)
      throw new Error(`offsets ${end} to ${header.baseOffset} are not covered`);
    end = endOffsetOf(header);
  }
  return contentOfFrames(bytes, from).join('\n');
}

function framesWithin(chunk: Uint8Array, { from, upTo, isCompacted }: Range): string[] {
  return splitFrames(chunk)
    .frames.filter(
      ({ header }) =>
        (isCompacted || header.baseOffset >= from) &&
        header.baseOffset + header.lastOffsetDelta < upTo,
    )
    .map(({ at, header }) =>
      Buffer.from(chunk.subarray(at, at + header.length)).toString('latin1'),
    );
}
