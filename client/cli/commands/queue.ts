/** Queues as a person makes, changes, looks at and deletes them. */
import type { Queue, QueueConfig, QueueDescription, QueuePartition } from '../../index.ts';
import { confirm } from '../confirm.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import { CliError, errorJson, EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import type { Cell, Surroundings } from '../output.ts';
import { bytesField } from '../record-json.ts';
import { formatAbout, formatCount, formatDuration } from '../units.ts';

type Choice = 'true' | 'false';

/** What stands for no dead-letter topic. */
const NONE = 'none';

/** Settings of a queue; absent ones stay as they are. */
export interface AlterOptions extends CommonOptions {
  readonly lease?: number;
  readonly deliveriesMax?: number;
  readonly deadLetterTopic?: string;
  readonly keyOrdered?: Choice;
  readonly parksKeys?: Choice;
  readonly delayMin?: number;
  readonly delayMax?: number;
}

/** Options of `queue create`. */
export interface CreateOptions extends AlterOptions {
  readonly from?: 'earliest' | 'latest';
}

/** Options of `queue list`. */
export interface ListOptions extends CommonOptions {
  readonly topic?: string;
}

/** Options of `queue delete`. */
export interface DeleteOptions extends CommonOptions {
  readonly yes?: boolean;
}

export async function create(
  name: string,
  topic: string,
  options: CreateOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out }) => {
    const { from } = options;
    const beginning = from === undefined ? {} : { from };
    const queue = await cluster
      .queues()
      .create(name, { ...settingsOf(options), ...beginning, topic });
    out.result(queue, () => out.line(`Created ${headline(queue)}`));
  });
}

export async function alter(
  name: string,
  options: AlterOptions,
  around: Surroundings,
): Promise<void> {
  const changes = settingsOf(options);
  if (Object.keys(changes).length === 0)
    throw new CliError(
      'INVALID_ARGUMENT',
      'Name a setting to change: --lease, --deliveries-max, --dead-letter-topic, --key-ordered, --parks-keys, --delay-min or --delay-max',
    );
  await withPatience(options, around, async (cluster, { out }) => {
    const queue = await cluster.queues().alter(name, changes);
    out.result(queue, () => out.line(`Now ${headline(queue)}`));
  });
}

export async function list(options: ListOptions, around: Surroundings): Promise<void> {
  await withPatience(options, around, async (cluster, { out }) => {
    const queues = await cluster.queues().list(options.topic);
    out.result({ queues }, () => {
      if (queues.length === 0) {
        out.note('There are no queues; make one with: tidemark queue create <queue> <topic>');
        return;
      }
      const rows = queues.map(({ name, topic, config }): Cell[] => [
        name,
        topic,
        formatDuration(config.leaseMs),
        config.deliveriesMax === 0 ? '-' : config.deliveriesMax,
        config.deadLetterTopic === '' ? '-' : config.deadLetterTopic,
        orderOf(config),
      ]);
      out.table(['QUEUE', 'TOPIC', 'LEASE', 'DELIVERIES', 'DEAD LETTERS', 'ORDER'], rows);
    });
  });
}

/** Exit code 1 where of a partition it is not known how it stands. */
export async function describe(
  name: string,
  options: CommonOptions,
  around: Surroundings,
): Promise<number> {
  return withPatience(options, around, async (cluster, { out }) => {
    const found = await cluster.queues().describe(name);
    out.result(jsonOf(found), () => {
      out.line(`Queue ${headline(found)}; ${sumOf(found.partitions)}`);
      out.table(PARTITION_COLUMNS, found.partitions.map(rowOf));
      for (const one of found.partitions) {
        const parked = parkedOf(one);
        if (parked !== null) out.line(parked);
      }
      if (found.members.length === 0) return;
      out.line();
      out.table(
        ['MEMBER', 'CLIENT', 'BROKER', 'LEASED'],
        found.members.map(({ memberId, client, broker, leased }) => [
          memberId,
          client === '' ? '-' : client,
          broker,
          leased,
        ]),
      );
    });
    return found.partitions.some(({ error }) => error !== undefined) ? EXIT_CLUSTER : EXIT_OK;
  });
}

export async function remove(
  name: string,
  options: DeleteOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out, heard }) => {
    if (options.yes !== true) {
      await confirm(
        `Forget queue "${name}", and what became of its records, for good?`,
        name,
        around,
      );
      heard();
    }
    await cluster.queues().delete(name);
    out.result({ name }, () => out.line(`Forgot queue ${name}`));
  });
}

export async function free(
  name: string,
  partition: number,
  offset: number,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out }) => {
    await cluster.queues().freeKey(name, { partition, offset });
    out.result({ name, partition, offset }, () =>
      out.line(`The key of record ${offset} of partition ${partition} goes on in queue ${name}`),
    );
  });
}

function settingsOf(options: AlterOptions): Partial<QueueConfig> {
  const { deadLetterTopic, keyOrdered, parksKeys } = options;
  const stated = {
    leaseMs: options.lease,
    deliveriesMax: options.deliveriesMax,
    deadLetterTopic: deadLetterTopic === NONE ? '' : deadLetterTopic,
    isKeyOrdered: keyOrdered === undefined ? undefined : keyOrdered === 'true',
    parksKeys: parksKeys === undefined ? undefined : parksKeys === 'true',
    delayMsMin: options.delayMin,
    delayMsMax: options.delayMax,
  };
  return Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined));
}

function headline({ name, topic, config }: Queue): string {
  const { leaseMs, deliveriesMax, deadLetterTopic } = config;
  const deaths =
    deadLetterTopic === ''
      ? 'no dead letters'
      : `dead letters to ${deadLetterTopic}${deliveriesMax === 0 ? '' : ` after ${formatCount(deliveriesMax)} deliveries`}`;
  const order = orderOf(config);
  return `${name} of ${topic}: leases of ${formatDuration(leaseMs)}, ${deaths}${order === '-' ? '' : `, in order by ${order}`}`;
}

function orderOf({ isKeyOrdered, parksKeys }: QueueConfig): string {
  if (!isKeyOrdered) return '-';
  return parksKeys ? 'key, parked' : 'key';
}

const PARTITION_COLUMNS = [
  'PARTITION',
  'OWNER',
  'NEXT',
  'LAG',
  'AGE',
  'LEASED',
  'WAITING',
  'DELAYED',
  'DYING',
  'PARKED',
  'BLOCKED BY',
];

function rowOf(found: QueuePartition): Cell[] {
  const { partition, owner, error } = found;
  if (error !== undefined)
    return [
      ...[partition, owner, '-', '-', '-', '-', '-', '-', '-', '-'],
      `${error.code}: ${error.message}`,
    ];
  const { nextOffset, lagRecords, lagMs, leased, waiting, delayed, dying, parked } = found;
  const age = lagMs === 0 ? '-' : formatAbout(lagMs);
  const counts = [nextOffset, lagRecords, age, leased, waiting, delayed, dying, parked];
  return [partition, owner, ...counts, blockedOf(found)];
}

function blockedOf({ blocked }: QueuePartition): string {
  if (blocked === undefined) return '-';
  const { offset, kind, key, memberId } = blocked;
  const [shown = ''] = key === undefined ? [] : Object.values(bytesField('key', key));
  const whose = key === undefined ? '' : ` of key ${shown}`;
  return `${offset}${whose}, ${kind}${memberId === '' ? '' : ` by ${memberId}`}`;
}

function parkedOf({ partition, parked, parkedOffsets }: QueuePartition): string | null {
  if (parkedOffsets.length === 0) return null;
  const more = parked > parkedOffsets.length ? ' and more' : '';
  return `Parked in partition ${partition}: ${parkedOffsets.join(', ')}${more}`;
}

/** Of those that are known; the others are said. */
function sumOf(partitions: readonly QueuePartition[]): string {
  const known = partitions.filter(({ error }) => error === undefined);
  const unknown = partitions.length - known.length;
  if (known.length === 0) return 'how far it is behind is not known';
  const rest = unknown === 0 ? '' : `; of ${formatCount(unknown)} partitions it is not known`;
  const records = known.reduce((sum, { lagRecords }) => sum + lagRecords, 0);
  return records === 0
    ? `all is settled${rest}`
    : `${formatCount(records)} record${records === 1 ? '' : 's'} not settled${rest}`;
}

/** Of a partition that is not known: its number, its owner, and why. */
function jsonOf({ partitions, ...rest }: QueueDescription): object {
  return {
    ...rest,
    partitions: partitions.map(({ blocked, error, ...one }) => {
      if (error !== undefined)
        return { partition: one.partition, owner: one.owner, error: errorJson(error) };
      if (blocked === undefined) return one;
      const { key, ...others } = blocked;
      const shown = key === undefined ? {} : bytesField('key', key);
      return { ...one, blocked: { ...others, ...shown } };
    }),
  };
}
