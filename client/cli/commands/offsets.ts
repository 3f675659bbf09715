/** Where the partitions of a topic begin and end, and what is at a moment. */
import type { ListedOffset, StartFrom } from '../../index.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import { errorJson, EXIT_CLUSTER, EXIT_OK } from '../exit.ts';
import type { Cell, Surroundings } from '../output.ts';

/** Options of `topic offsets`. */
export interface OffsetsOptions extends CommonOptions {
  readonly at?: StartFrom;
  readonly partition?: readonly number[];
}

/** Exit code 1 where a partition could not be asked. */
export async function topicOffsets(
  name: string,
  options: OffsetsOptions,
  around: Surroundings,
): Promise<number> {
  return withPatience(options, around, async (cluster, { out }) => {
    const { at, partition: partitions = [] } = options;
    const offsets = await cluster.admin().listOffsets(name, { at: at ?? 'latest', partitions });
    const shown = offsets.map(({ error, ...one }) =>
      error === undefined ? one : { ...one, error: errorJson(error) },
    );
    out.result(shown, () => {
      out.table(
        ['PARTITION', 'START', 'END', ...(at === undefined ? [] : ['AT']), 'EPOCH', 'ERROR'],
        offsets.map((one) => row(one, at !== undefined)),
      );
      out.note('START is the first offset that is kept, END the one after the last committed.');
      out.note('Both count control batches, which hold no record: a new partition ends at 1.');
    });
    return offsets.some(({ error }) => error !== undefined) ? EXIT_CLUSTER : EXIT_OK;
  });
}

function row(one: ListedOffset, hasPoint: boolean): Cell[] {
  const { partition, offset, logStart, highWaterMark, leaderEpoch, error } = one;
  if (error !== undefined)
    return [
      partition,
      '-',
      '-',
      ...(hasPoint ? ['-'] : []),
      '-',
      `${error.code}: ${error.message}`,
    ];
  return [
    partition,
    logStart,
    highWaterMark,
    ...(hasPoint ? [offset ?? 'none yet'] : []),
    leaderEpoch,
    '-',
  ];
}
