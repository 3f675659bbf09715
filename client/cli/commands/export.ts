/** Writes a topic to standard output as a file that `topic import` takes. */
import { once } from 'node:events';
import type { Tidemark, Topic } from '../../index.ts';
import { consumed } from '../../consumer/consumed.ts';
import { type CommonOptions, withPatience } from '../context.ts';
import type { Surroundings } from '../output.ts';
import { Selection } from '../selection.ts';
import { TopicFileWriter } from '../topic-file.ts';
import { formatCount } from '../units.ts';

export async function exportTopic(
  name: string,
  options: CommonOptions,
  around: Surroundings,
): Promise<void> {
  await withPatience(options, around, async (cluster, { out, heard }) => {
    const topic = await cluster.admin().describeTopic(name);
    const writer = new TopicFileWriter(topic.partitions.length);
    await write(around, writer.head(headOf(topic)));
    await writeRecords(cluster, topic, writer, around, heard);
    if (around.interrupted.aborted) {
      out.note(
        `Interrupted after ${formatCount(writer.records)} records: the file is cut, and import refuses it`,
      );
      return;
    }
    await write(around, writer.end());
    out.note(
      `Exported ${formatCount(writer.records)} records from ${topic.partitions.length} partitions of "${name}"`,
    );
  });
}

function headOf({ name, topicId, partitions, replicationFactor, config }: Topic) {
  return { topic: name, topicId, partitions: partitions.length, replicationFactor, config };
}

/** Everything that was committed when reading began. */
async function writeRecords(
  cluster: Tidemark,
  { name, partitions }: Topic,
  writer: TopicFileWriter,
  around: Surroundings,
  heard: () => void,
): Promise<void> {
  const found = await cluster.admin().listOffsets(name);
  const ends = new Map(
    found.map(({ partition, highWaterMark, error }) => {
      if (error !== undefined) throw error;
      return [partition, highWaterMark];
    }),
  );
  const selection = new Selection({ ends });
  if (selection.isDone) return;
  const consumer = cluster.consumer({
    topic: name,
    follow: false,
    partitions: partitions.map(({ partition }) => partition),
  });
  around.interrupted.addEventListener('abort', () => void consumer.close(), { once: true });
  for await (const batch of consumer) {
    heard();
    const records = selection.take(batch).map((record) => consumed(batch, record));
    await write(around, records.map((record) => writer.record(record)).join(''));
  }
}

/** Waits where the reader of our output is slower than we are. */
async function write(around: Surroundings, text: string): Promise<void> {
  if (text === '' || around.stdout.write(text) || around.interrupted.aborted) return;
  await once(around.stdout, 'drain');
}
