/**
 * The live picture of a local cluster, in the words of `tidemark cluster describe`. Pure: from what
 * was found in two looks to lines that fit a terminal.
 */
import { hostPort } from '../base/host-port.ts';
import { capital } from '../base/sentence.ts';
import { healthOf } from '../client/cli/health.ts';
import { type ClusterLook, HEALTH_COLOURS } from '../client/cli/look.ts';
import { replicaReport } from '../client/cli/moves.ts';
import type { Cell, Colour } from '../client/cli/output.ts';
import { BROKER_HEAD, brokerRow, partitionRow } from '../client/cli/rows.ts';
import type { ProcessStatus } from './processes.ts';

/** What one look found. */
export interface Look {
  readonly atMs: number;
  readonly processes: readonly ProcessStatus[];
  /** Null where nobody answered. */
  readonly cluster: ClusterLook | null;
}

/** The terminal. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What else a person should see. */
export interface News {
  /** Oldest first. */
  readonly events: readonly string[];
  /** What a command in another terminal needs; empty: nothing. */
  readonly hint: string;
  /** Where the page is; empty: nowhere. */
  readonly pageHint?: string;
}

/** One line of the picture. */
export interface Line {
  readonly text: string;
  readonly colour?: Colour;
}

/** Lines of news that are kept free where there are so many. */
const EVENTS_SHOWN_MAX = 4;
/** Below this, news give way: a heading, two partitions and how many more there are. */
const PARTITION_LINES_MIN = 4;
const PARTITION_HEAD = ['PARTITION', 'LEADER', 'SYNC SET', 'COMMITTED', 'RATE', 'LAG', 'HEALTH'];
/** Topic names are longer than a line; the number of the partition must stay. */
const NAME_LENGTH_MAX = 20;

/**
 * At most `rows` - 1 lines (the cursor needs one) of at most `columns` characters. Where there is
 * no room for all partitions, those with a fault come first, then those that take records.
 *
 * @param before an earlier look, for rates
 */
export function render(
  look: Look,
  before: Look | null,
  { events, hint, pageHint = '' }: News,
  { columns, rows }: Size,
): Line[] {
  const hints = [pageHint, hint]
    .filter((text) => text !== '')
    .map((text): Line => ({ text, colour: 'dim' }));
  const head = [
    ...healthLines(look, before),
    ...hints,
    { text: '' },
    ...brokerLines(look),
    { text: '' },
  ];
  const room = Math.max(0, rows - 1 - head.length);
  const news = Math.max(
    0,
    Math.min(EVENTS_SHOWN_MAX, events.length, room - PARTITION_LINES_MIN - 1),
  );
  const partitions = partitionLines(look, before, news === 0 ? room : room - news - 1);
  const tail: Line[] = events.slice(events.length - news).map((text) => ({ text, colour: 'dim' }));
  const lines = [...head, ...partitions, ...(news === 0 ? [] : [{ text: '' }, ...tail])];
  return lines
    .slice(0, rows - 1)
    .map((line) => ({ ...line, text: clipped(line.text.trimEnd(), columns) }));
}

function healthLines({ cluster, processes, ...look }: Look, before: Look | null): Line[] {
  if (cluster === null) return [{ text: 'No broker answers', colour: 'red' }];
  const { level, sentence } = healthOf(cluster);
  const { topics } = cluster;
  const partitions = topics.reduce((sum, topic) => sum + topic.partitions.length, 0);
  const rates = [...ratesOf({ cluster, processes, ...look }, before).values()];
  const rate = rates.reduce((sum, each) => sum + each, 0);
  const counts = `${counted(processes.length, 'broker')}, ${counted(topics.length, 'topic')}, ${counted(partitions, 'partition')}`;
  return [
    { text: capital(sentence), colour: HEALTH_COLOURS[level] },
    { text: `${counts}${rates.length === 0 ? '' : `, ${rateText(rate)} records/s`}` },
  ];
}

function brokerLines({ processes, cluster }: Look): Line[] {
  const rows = processes.map((process): { cells: Cell[]; colour?: Colour } => {
    const { brokerId, host, port, rack, state } = process;
    const broker = cluster?.brokers.find((each) => each.brokerId === brokerId);
    const said = cluster?.cluster.brokers.find((each) => each.brokerId === brokerId);
    const cells: Cell[] =
      cluster === null || broker === undefined || said === undefined
        ? [brokerId, hostPort(host, port), rack, 'starting', '-', '-', '-', '-']
        : brokerRow(said, cluster);
    if (state !== 'running') return { cells: cells.with(3, state), colour: 'yellow' };
    return cells[3] === 'up' ? { cells } : { cells, colour: 'yellow' };
  });
  return table(BROKER_HEAD, rows);
}

function partitionLines(look: Look, before: Look | null, room: number): Line[] {
  const { cluster } = look;
  if (cluster === null) return [];
  const rates = ratesOf(look, before);
  const all = cluster.topics.flatMap((topic) =>
    topic.partitions.map((partition): { cells: Cell[]; order: number; colour?: Colour } => {
      const [, number, leader, , , syncSet, , committed, lag, health] = partitionRow(
        topic,
        partition,
        cluster,
      ) as [Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell, Cell];
      const rate = rates.get(`${topic.topicId}/${partition.partition}`);
      const name = `${clipped(topic.name, NAME_LENGTH_MAX)}/${number}`;
      const shown = rate === undefined ? '-' : rateText(rate);
      const cells = [name, leader, syncSet, committed, shown, lag, health];
      if (health !== 'ok') return { cells, order: 0, colour: 'yellow' };
      return { cells, order: (rate ?? 0) > 0 ? 1 : 2 };
    }),
  );
  if (all.length === 0)
    return [
      {
        text: 'No topics yet: npx tidemark topic create orders --partitions 3 --replication-factor 3',
      },
    ].slice(0, room);
  // One line is the heading's, and one tells of the others.
  if (all.length <= room - 1) return table(PARTITION_HEAD, all);
  const sorted = all.toSorted((a, b) => a.order - b.order);
  const shown = sorted.slice(0, Math.max(0, room - 2));
  const hidden = sorted.slice(shown.length);
  const bad = hidden.filter(({ colour }) => colour !== undefined).length;
  const text = `and ${counted(hidden.length, 'more partition')}${bad === 0 ? ', all of them ok' : `, ${bad} of them not ok`}: npx tidemark cluster describe`;
  const more: Line = bad === 0 ? { text } : { text, colour: 'yellow' };
  return [...table(PARTITION_HEAD, shown), more].slice(0, room);
}

/** Records committed in a second, by `topic id/partition`, where both looks know. */
function ratesOf(look: Look, before: Look | null): Map<string, number> {
  const rates = new Map<string, number>();
  if (before === null || look.atMs <= before.atMs) return rates;
  const earlier = committedOf(before);
  for (const [key, committed] of committedOf(look)) {
    const then = earlier.get(key);
    // A new leader may know a lower mark for a moment.
    if (then !== undefined && committed >= then)
      rates.set(key, ((committed - then) * 1_000) / (look.atMs - before.atMs));
  }
  return rates;
}

function committedOf({ cluster }: Look): Map<string, number> {
  const found = new Map<string, number>();
  for (const topic of cluster?.topics ?? []) {
    for (const partition of topic.partitions) {
      const report = cluster && replicaReport(cluster, partition.leader, topic, partition);
      if (report?.leading === true)
        found.set(`${topic.topicId}/${partition.partition}`, report.highWaterMark);
    }
  }
  return found;
}

function rateText(perSecond: number): string {
  return perSecond > 0 && perSecond < 1 ? '<1' : String(Math.round(perSecond));
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function clipped(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}…`;
}

function table(
  head: readonly string[],
  rows: readonly { readonly cells: readonly Cell[]; readonly colour?: Colour }[],
): Line[] {
  const texts = rows.map(({ cells }) => cells.map(String));
  const widths = head.map((name, column) =>
    Math.max(name.length, ...texts.map((cells) => cells[column]?.length ?? 0)),
  );
  const layOut = (cells: readonly string[]): string =>
    cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return [
    { text: layOut(head), colour: 'bold' },
    ...rows.map(({ colour }, at) => ({
      text: layOut(texts[at] ?? []),
      ...(colour === undefined ? {} : { colour }),
    })),
  ];
}
