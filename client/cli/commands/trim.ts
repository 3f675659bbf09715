/** Makes partitions begin later than they do. */
import type { ListedOffset, StartFrom, Trimmed, TrimRequest } from '../../index.ts';
import { confirm } from '../confirm.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import { CliError, errorJson, EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import type { Cell, Surroundings } from '../output.ts';

/** Options of `topic trim`. */
export interface TrimOptions extends CommonOptions {
  readonly to: StartFrom;
  readonly partition?: readonly number[];
  readonly yes?: boolean;
}

/** Exit code 1 where a partition was not trimmed. */
export async function trimTopic(
  name: string,
  options: TrimOptions,
  around: Surroundings,
): Promise<number> {
  return withPatience(options, around, async (cluster, { out, heard }) => {
    const { to, partition: partitions = [] } = options;
    const admin = cluster.admin();
    const fixed = typeof to === 'object' && 'offset' in to ? to.offset : undefined;
    const at = fixed === undefined ? to : 'latest';
    // Looked up once: what is repeated must not follow a log that grows.
    const found = await admin.listOffsets(name, { at, partitions });
    heard();
    if (fixed !== undefined && partitions.length === 0 && found.length > 1)
      throw new CliError(
        'INVALID_ARGUMENT',
        `--to is an offset, and "${name}" has ${found.length} partitions: name each with --partition`,
      );
    const trims = found.flatMap((one) => trimOf(one, fixed));
    const startOf = new Map(found.map(({ partition, logStart }) => [partition, logStart]));
    const goneMost = trims.reduce(
      (sum, { partition, offset }) => sum + Math.max(0, offset - (startOf.get(partition) ?? 0)),
      0,
    );
    if (options.yes !== true && goneMost > 0) {
      const question = `Drop up to ${goneMost} offsets of topic "${name}" for good?`;
      await confirm(question, name, around);
      heard();
    }
    const trimmed = await admin.trimTopic(name, trims);
    const rows = found.map((before) => ({ before, after: afterOf(before, trimmed) }));
    out.result(
      rows.map(({ before, after: { partition, logStart, error } }) =>
        error === undefined
          ? { partition, startBefore: before.logStart, start: logStart }
          : { partition, error: errorJson(error) },
      ),
      () => {
        out.table(['PARTITION', 'START BEFORE', 'START', 'ERROR'], rows.map(row));
        if (rows.some(({ after }) => isBelow(after, trims)))
          out.note('A batch stays whole, so START is below what was asked.');
      },
    );
    return rows.some(({ after }) => after.error !== undefined) ? EXIT_CLUSTER : EXIT_OK;
  });
}

function isBelow({ partition, logStart }: Trimmed, trims: readonly TrimRequest[]): boolean {
  const asked = trims.find((one) => one.partition === partition)?.offset;
  return asked !== undefined && logStart !== undefined && logStart < asked;
}

interface Row {
  readonly before: ListedOffset;
  readonly after: Trimmed;
}

/** Nothing where the partition could not be asked. */
function trimOf(
  { partition, offset, highWaterMark, error }: ListedOffset,
  fixed: number | undefined,
): TrimRequest[] {
  // Of a time that nothing has reached yet: everything goes.
  return error === undefined ? [{ partition, offset: fixed ?? offset ?? highWaterMark }] : [];
}

/** One that could not be asked was not trimmed. */
function afterOf({ partition, error }: ListedOffset, trimmed: readonly Trimmed[]): Trimmed {
  const found = trimmed.find((one) => one.partition === partition);
  return found ?? { partition, ...(error === undefined ? {} : { error }) };
}

function row({ before, after }: Row): Cell[] {
  const { partition, logStart, error } = after;
  return error === undefined
    ? [partition, before.logStart, logStart ?? '-', '-']
    : [partition, '-', '-', `${error.code}: ${error.message}`];
}
