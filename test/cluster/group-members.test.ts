/** Members of groups as real processes: through kills of members and brokers, and deployments. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RecordMetadata, Tidemark } from '../../client/index.ts';
import { TestCluster } from './harness/cluster.ts';
import { GroupProcesses } from './harness/group-processes.ts';

const PARTITIONS = 60;
const TICK_MS = 50;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start();
});
afterEach(() => cluster.restore());
afterAll(() => cluster.close());

/** A record for each partition every so many milliseconds, until it is stopped. */
class Sender {
  readonly sent: RecordMetadata[] = [];
  readonly #client: Tidemark;
  readonly #topic: string;
  #isOn = true;
  readonly #sending: Promise<void>;

  constructor(client: Tidemark, topic: string) {
    this.#client = client;
    this.#topic = topic;
    this.#sending = this.#send();
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    await this.#sending;
  }

  async #send(): Promise<void> {
    const producer = this.#client.producer();
    while (this.#isOn) {
      const all = Array.from({ length: PARTITIONS }, (_, partition) =>
        producer.send({ topic: this.#topic, partition, value: 'x' }),
      );
      for (const one of await Promise.allSettled(all))
        if (one.status === 'fulfilled') this.sent.push(one.value);
      await pause(TICK_MS);
    }
  }
}

function missing({ sent }: Sender, processes: GroupProcesses): number {
  return sent.filter(({ partition, offset }) => !processes.has(partition, offset)).length;
}

/** Every one of so many members is there, and has what it shall. */
async function whole(client: Tidemark, group: string, count: number): Promise<void> {
  await cluster.wait(`${count} members`, async (note) => {
    const { members, status } = await client.groups().describe(group);
    note({ members, status });
    const present = members.filter(({ isAway }) => !isAway);
    return (present.length === count && status === 'stable') || undefined;
  });
}

async function settle(sender: Sender, processes: GroupProcesses): Promise<void> {
  await sender.stop();
  await cluster.wait('every record to be handled', (note) => {
    note(`${missing(sender, processes)} of ${sender.sent.length} are not`);
    return missing(sender, processes) === 0 ? true : undefined;
  });
}

describe('members of a group', () => {
  it('handle every record while members and brokers are killed: 50 over 60 partitions', async () => {
    const { name: topic } = await cluster.createTopic({ partitions: PARTITIONS });
    await using client = cluster.connect();
    const { servers } = cluster;
    const processes = new GroupProcesses({
      ...{ servers, topic, group: 'killed', members: 10, keepsPlaces: false },
    });
    try {
      for (let at = 0; at < 5; at += 1) processes.start(`p${at}`);
      const sender = new Sender(client, topic);
      await cluster.wait('records to be handled', () => processes.distinct > 500 || undefined);
      for (let round = 0; round < 3; round += 1) {
        await processes.kill(processes.living[0]!);
        if (round === 1) await cluster.broker(2).kill();
        await pause(3_000);
        processes.start(`q${round}`);
        await pause(1_500);
      }
      await settle(sender, processes);
      expect(processes.failures).toEqual([]);
      const { partitions } = await client.groups().describe('killed');
      expect(partitions).toHaveLength(PARTITIONS);
      console.log(
        `${sender.sent.length} records, ${processes.repeated} handled again, 50 members, 3 kills of 10`,
      );
    } finally {
      await processes.killAll();
    }
  });

  it('go on while a deployment replaces them, one process after the other', async () => {
    const { name: topic } = await cluster.createTopic({ partitions: PARTITIONS });
    await using client = cluster.connect();
    for (const keepsPlaces of [false, true]) {
      const group = keepsPlaces ? 'places' : 'no-places';
      const { servers } = cluster;
      const processes = new GroupProcesses({ servers, topic, group, members: 1, keepsPlaces });
      const sender = new Sender(client, topic);
      try {
        for (let at = 0; at < 4; at += 1) processes.start(`pod-${at}`);
        await whole(client, group, 4);
        const handled = processes.distinct;
        await cluster.wait('records', () => processes.distinct > handled + 500 || undefined);
        const longest = { moved: 0, unaffected: 0 };
        for (const one of [...processes.living]) {
          const startMs = Date.now();
          expect(await processes.stop(one)).toBe(0);
          processes.start(one.name);
          await whole(client, group, 4);
          await pause(500);
          const { moved, unaffected } = processes.stalls(startMs, Date.now());
          longest.moved = Math.max(longest.moved, moved);
          longest.unaffected = Math.max(longest.unaffected, unaffected);
        }
        await settle(sender, processes);
        expect(processes.failures).toEqual([]);
        console.log(
          `deployment of 4 ${keepsPlaces ? 'with' : 'without'} places: ${sender.sent.length} records, ${processes.repeated} handled again, longest stall of partitions that moved ${longest.moved} ms, of others ${longest.unaffected} ms`,
        );
      } finally {
        await sender.stop();
        await processes.killAll();
      }
    }
  });
});
