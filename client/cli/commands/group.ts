/** Groups as a person lists, looks at, moves and forgets them. */
import type {
  CursorLag,
  GroupDescription,
  GroupMemberDescription,
  GroupPartition,
  MemberPartition,
  SoughtCursor,
  StartFrom,
} from '../../index.ts';
import { confirm } from '../confirm.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import { errorJson, EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import type { Cell, Surroundings } from '../output.ts';
import { formatAbout, formatCount } from '../units.ts';

/** Options of `group describe`. */
export interface DescribeOptions extends CommonOptions {
  readonly members?: boolean;
}

/** Options of `group seek`. */
export interface SeekOptions extends CommonOptions {
  readonly to: StartFrom;
  readonly partition?: readonly number[];
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

/** Options of `group delete`. */
export interface DeleteOptions extends CommonOptions {
  readonly yes?: boolean;
}

export async function list(options: CommonOptions, around: Surroundings): Promise<void> {
  await withPatience(options, around, async (cluster, { out }) => {
    const groups = await cluster.groups().list();
    out.result({ groups }, () => {
      if (groups.length === 0) {
        out.note('There are no groups: one is there from its first cursor on');
        return;
      }
      const rows = groups.map(({ group, cursors, topics, coordinator }) => [
        group,
        cursors,
        topics.join(),
        coordinator,
      ]);
      out.table(['GROUP', 'CURSORS', 'TOPICS', 'COORDINATOR'], rows);
    });
  });
}

/** Exit code 1 where a lag is not known. */
export async function describe(
  group: string,
  options: DescribeOptions,
  around: Surroundings,
): Promise<number> {
  return withPatience(options, around, async (cluster, { out }) => {
    const found = await cluster.groups().describe(group);
    out.result(jsonOf(found), () => {
      out.line(
        `Group ${group}, kept by broker ${found.coordinator}; ${sumOf(found.partitions)}${membersOf(found)}`,
      );
      if (options.members === true) out.table(MEMBER_COLUMNS, found.members.map(memberRow));
      else
        out.table(
          CURSOR_COLUMNS,
          found.partitions.map((one) => rowOf(one, readerOf(found, one))),
        );
    });
    return found.partitions.some(({ lag }) => lag === undefined) ? EXIT_CLUSTER : EXIT_OK;
  });
}

const CURSOR_COLUMNS = ['TOPIC', 'PARTITION', 'CURSOR', 'END', 'LAG', 'AGE', 'MEMBER', 'ERROR'];
const MEMBER_COLUMNS = [
  'MEMBER',
  'PLACE',
  'CLIENT',
  'RACK',
  'BROKER',
  'EPOCH',
  'READS',
  'WAITS FOR',
];

function jsonOf(found: GroupDescription): object {
  const { group, coordinator, idleMs, epoch, status, assignor, members } = found;
  return {
    ...{ group, coordinator, idleMs, epoch, status, assignor, members },
    partitions: found.partitions.map(({ cursor, lag, error }) => ({
      ...cursor,
      ...(lag === undefined ? {} : { lag }),
      ...(error === undefined ? {} : { error: errorJson(error) }),
    })),
  };
}

function membersOf({ members, status, assignor }: GroupDescription): string {
  if (members.length === 0) return '';
  return `; ${countOf(members.length, 'member')}, ${status}, ${assignor}`;
}

/** Who reads it; its place says more to people than its id. */
function readerOf({ members }: GroupDescription, { cursor }: GroupPartition): string {
  const found = members.find(({ assigned }) =>
    assigned.some(
      ({ topicId, partition }) => topicId === cursor.topicId && partition === cursor.partition,
    ),
  );
  if (found === undefined) return '-';
  return found.instanceId === '' ? found.memberId : found.instanceId;
}

function memberRow(member: GroupMemberDescription): Cell[] {
  const { memberId, instanceId, client, rack, broker, isAway, epoch, assigned, target } = member;
  const isHeld = (one: MemberPartition): boolean =>
    assigned.some((each) => each.topicId === one.topicId && each.partition === one.partition);
  const waits = target.filter((one) => !isHeld(one));
  const cells = [memberId, instanceId, client, rack, isAway ? 'away' : broker, epoch];
  return [...cells, namesOf(assigned), namesOf(waits)].map((cell) => (cell === '' ? '-' : cell));
}

/** `orders/0,1 refunds/3`; what is being let go has a star. */
function namesOf(partitions: readonly MemberPartition[]): string {
  const byTopic = Map.groupBy(partitions, ({ topic, topicId }) => (topic === '' ? topicId : topic));
  return [...byTopic]
    .map(([topic, own]) => {
      const numbers = own
        .toSorted((a, b) => a.partition - b.partition)
        .map(({ partition, isRevoked }) => `${partition}${isRevoked ? '*' : ''}`);
      return `${topic}/${numbers.join()}`;
    })
    .join(' ');
}

/** Exit code 1 where a cursor was not moved. */
export async function seek(
  group: string,
  topic: string,
  options: SeekOptions,
  around: Surroundings,
): Promise<number> {
  return withPatience(options, around, async (cluster, { out, heard }) => {
    const { to, partition: partitions = [], dryRun = false } = options;
    const groups = cluster.groups();
    const request = { topic, partitions, to };
    const planned = await groups.seek(group, { ...request, dryRun: true });
    heard();
    // Where no cursor can be moved there is nothing to ask.
    const isOnlySaid = dryRun || planned.every(({ error }) => error !== undefined);
    if (!isOnlySaid && options.yes !== true) {
      out.note(`${group} on ${topic}: ${planned.map(stepOf).join(', ')}`);
      await confirm(`Move cursors of group "${group}" on topic "${topic}"?`, group, around);
      heard();
    }
    const sought = isOnlySaid ? planned : await groups.seek(group, request);
    const json = sought.map(({ partition, before, after, error }) => ({
      partition,
      ...(before === undefined ? {} : { before: before.offset }),
      ...(after === undefined ? {} : { after: after.offset, generation: after.generation }),
      ...(error === undefined ? {} : { error: errorJson(error) }),
    }));
    out.result({ group, topic, dryRun, cursors: json }, () => {
      const rows = sought.map(({ partition, before, after, error }) => [
        partition,
        before?.offset ?? '-',
        after?.offset ?? '-',
        error === undefined ? '-' : `${error.code}: ${error.message}`,
      ]);
      out.table(['PARTITION', 'BEFORE', dryRun ? 'WOULD BE' : 'NOW', 'ERROR'], rows);
    });
    return sought.some(({ error }) => error !== undefined) ? EXIT_CLUSTER : EXIT_OK;
  });
}

export async function remove(
  group: string,
  options: DeleteOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out, heard }) => {
    if (options.yes !== true) {
      const question = `Forget group "${group}" with its cursors for good?`;
      await confirm(question, group, around);
      heard();
    }
    const cursors = await cluster.groups().delete(group);
    out.result({ group, cursors }, () =>
      out.line(`Forgot ${group}: ${countOf(cursors, 'cursor')}`),
    );
  });
}

/** Of those whose lag is known; the others are said. */
function sumOf(partitions: readonly GroupPartition[]): string {
  const known = partitions.flatMap(({ lag }) => (lag === undefined ? [] : [lag]));
  const unknown = partitions.length - known.length;
  if (known.length === 0) return 'how far it is behind is not known';
  const rest = unknown === 0 ? '' : `; of ${countOf(unknown, 'partition')} it is not known`;
  const behind = known.filter(({ records }) => records > 0);
  if (behind.length === 0) return `all is handled${rest}`;
  const records = behind.reduce((sum, lag) => sum + lag.records, 0);
  const oldest = behind.reduce((most, lag) => (lag.ageMs > most.ageMs ? lag : most));
  return `${countOf(records, 'offset')} behind, the oldest for ${ageOf(oldest)}${rest}`;
}

function countOf(count: number, what: string): string {
  return `${formatCount(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** How long ago the oldest was committed. */
function ageOf({ ageMs, isAgeLeast }: CursorLag): string {
  return `${isAgeLeast ? 'more than ' : ''}${formatAbout(ageMs)}`;
}

function rowOf({ cursor, lag, error }: GroupPartition, reader: string): Cell[] {
  const { topic, partition, offset } = cursor;
  if (lag === undefined) {
    const reason = error === undefined ? '-' : `${error.code}: ${error.message}`;
    return [topic, partition, offset, '-', '-', '-', reader, reason];
  }
  const { endOffset, records } = lag;
  const age = records === 0 ? '-' : ageOf(lag);
  return [topic, partition, offset, endOffset, records, age, reader, '-'];
}

function stepOf({ partition, before, after, error }: SoughtCursor): string {
  const to = after === undefined ? (error?.code ?? '-') : `${after.offset}`;
  return `${partition}: ${before?.offset ?? '-'} to ${to}`;
}
