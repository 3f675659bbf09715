/**
 * Programs that read a compacted topic from its beginning again and again, and keep the last record
 * of each key: nobody among them finds less than was acknowledged before it began (K1, K6).
 */
import type { Random } from '../../../base/random.ts';
import { type Tidemark, TidemarkError } from '../../../client/index.ts';
import type { Ground } from './ground.ts';
import type { History, LastOfKey } from './history.ts';
import { keyOf, nameOf } from './keyed.ts';
import type { SimTopic } from './topics.ts';

const PAUSE_MS_MAX = 4_000;

export interface FreshReadersParts {
  readonly ground: Ground;
  readonly history: History;
  readonly random: Random;
  readonly topics: readonly SimTopic[];
  readonly client: (host: string) => { readonly tidemark: Tidemark };
}

export class FreshReaders {
  readonly #parts: FreshReadersParts;
  #isOn = true;

  constructor(parts: FreshReadersParts) {
    this.#parts = parts;
  }

  /** One for each topic whose keys nothing but compaction may take. */
  start(): void {
    for (const topic of this.#parts.topics)
      if (topic.isKeyed && !topic.mayLose && !topic.isRetired) void this.#run(topic);
  }

  stop(): void {
    this.#isOn = false;
  }

  async #run(topic: SimTopic): Promise<void> {
    const { ground, client, random } = this.#parts;
    const host = `fresh-${topic.name}`;
    const { tidemark } = client(host);
    const pauses = random.fork(host);
    while (this.#isOn) {
      try {
        await this.#read(tidemark, topic.name);
      } catch (error) {
        if (!(error instanceof TidemarkError)) {
          ground.fail(`${host} failed with ${String(error)}`);
          return;
        }
        ground.note(`${host} ${error.code} ${error.message.slice(0, 120)}`);
      }
      await new Promise<void>((resolve) => {
        ground.time.after(1 + pauses.below(PAUSE_MS_MAX), resolve);
      });
    }
  }

  async #read(tidemark: Tidemark, topic: string): Promise<void> {
    const { history, ground } = this.#parts;
    const before = new Map(history.lastOfKeys);
    const found = new Map<string, number>();
    await using consumer = tidemark.consumer({ topic, follow: false });
    for await (const item of consumer.records()) {
      if ('kind' in item) continue;
      const { partition, offset } = item;
      found.set(`${topic}/${partition}/${keyOf(item) ?? ''}`, offset);
      history.seen.push({ reader: 'fresh', topic, partition, offset, value: nameOf(item) });
    }
    const ends = new Map(consumer.positions().map(({ partition, offset }) => [partition, offset]));
    for (const [key, last] of before) {
      if (last.topic !== topic || last.offset >= (ends.get(last.partition) ?? 0)) continue;
      const fault = faultOf(key, last, found.get(key));
      if (fault !== null) history.readFaults.push(fault);
    }
    ground.note(`fresh reader of ${topic}: ${found.size} keys`);
  }
}

function faultOf(key: string, last: LastOfKey, found: number | undefined): string | null {
  const was = `acknowledged at ${last.offset} before`;
  if (found === undefined)
    return last.isPerhapsDeleted() ? null : `a reader of all found nothing of "${key}", ${was}`;
  return found < last.offset ? `a reader of all found "${key}" as of ${found}, ${was}` : null;
}
