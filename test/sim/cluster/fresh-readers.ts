/**
 * Programs that read a compacted topic from its beginning again and again, and keep the last record
 * of each key: nobody among them finds less than was acknowledged before it began (K1, K6).
 */
import type { Random } from '../../../base/random.ts';
import { type Position, type Tidemark, TidemarkError } from '../../../client/index.ts';
import type { Ground } from './ground.ts';
import type { History, LastOfKey } from './history.ts';
import { keyOf, nameOf } from './keyed.ts';
import type { SimTopic } from './topics.ts';

const PAUSE_MS_MAX = 4_000;
/** Each is short: what was appended meanwhile. */
const READS_ON_MAX = 5;

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
    const before = [...history.lastOfKeys].filter(([, last]) => last.topic === topic);
    const found = new Map<string, number>();
    let ends = await this.#readOn(tidemark, topic, [], found);
    // A pass may have taken a record for a later one of its key, which stands behind the end that
    // the read began with: who goes on finds that.
    for (let more = 0; more < READS_ON_MAX; more += 1) {
      const isMissing = before.some(([key, last]) => faultOf(key, last, found.get(key)) !== null);
      if (!isMissing) break;
      ends = await this.#readOn(tidemark, topic, ends, found);
    }
    for (const [key, last] of before) {
      const end = ends.find(({ partition }) => partition === last.partition)?.offset ?? 0;
      const isBehind = (history.lastOfKeys.get(key)?.offset ?? 0) >= end;
      const fault = faultOf(key, last, found.get(key));
      if (fault !== null && !isBehind) history.readFaults.push(fault);
    }
    ground.note(`fresh reader of ${topic}: ${found.size} keys`);
  }

  /** Reads from there to what is the end now. Resolves to where that is. */
  async #readOn(
    tidemark: Tidemark,
    topic: string,
    positions: readonly Position[],
    found: Map<string, number>,
  ): Promise<readonly Position[]> {
    await using consumer = tidemark.consumer({ topic, positions, follow: false });
    for await (const item of consumer.records()) {
      if ('kind' in item) continue;
      const { partition, offset } = item;
      found.set(`${topic}/${partition}/${keyOf(item) ?? ''}`, offset);
      const value = nameOf(item);
      this.#parts.history.seen.push({ reader: 'fresh', topic, partition, offset, value });
    }
    return consumer.positions();
  }
}

function faultOf(key: string, last: LastOfKey, found: number | undefined): string | null {
  const was = `acknowledged at ${last.offset} before`;
  if (found === undefined)
    return last.isPerhapsDeleted() ? null : `a reader of all found nothing of "${key}", ${was}`;
  return found < last.offset ? `a reader of all found "${key}" as of ${found}, ${was}` : null;
}
