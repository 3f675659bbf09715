/** Topics with records to read. */
import type { Tidemark } from '../client/index.ts';

const VALUE = new Uint8Array(100).fill(0x61);
/** Under way at a time. */
const AT_ONCE = 10_000;
const KEYS = 10_000;

/** Makes the topic, with so many records of 100 bytes. */
export async function fillTopic(
  tidemark: Tidemark,
  name: string,
  { partitions, records }: { readonly partitions: number; readonly records: number },
): Promise<void> {
  await tidemark.admin().createTopic({ name, partitions });
  await using producer = tidemark.producer();
  const sent: Promise<unknown>[] = [];
  for (let index = 0; index < records; index += 1) {
    sent.push(producer.send({ topic: name, value: VALUE, key: `key-${index % KEYS}` }));
    if (sent.length >= AT_ONCE) await Promise.all(sent.splice(0));
  }
  await Promise.all(sent);
}
