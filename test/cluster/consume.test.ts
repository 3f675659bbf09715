/** Members of a group on real processes, while they and their brokers are killed. */
import { randomUUID } from 'node:crypto';
import { Client, type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FEATURE_LEVEL_MAX } from '../../broker/metadata/features.ts';
import {
  ConsumeOpen,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
} from '../../proto/gen/tidemark/v1/consume.ts';
import { TestCluster } from './harness/cluster.ts';
import { when } from './harness/wait.ts';

const PARTITIONS = 12;
const MEMBERS = 4;
const REOPEN_MS = 100;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.start();
  await cluster.wait('the newest feature level', async () => {
    const { featureLevel } = await cluster.describe();
    return when(featureLevel === FEATURE_LEVEL_MAX);
  });
});
afterAll(() => cluster.close());

/** A program that reads for a group, as any generated client does. */
class Member {
  readonly #topic: string;
  readonly #onValue: (value: string) => void;
  #client: Client | null = null;
  #memberId = '';
  #attempt = 0;
  #turn: number;
  #isOver = false;

  constructor(topic: string, at: number, onValue: (value: string) => void) {
    this.#topic = topic;
    this.#turn = at;
    this.#onValue = onValue;
    this.begin();
  }

  /** Its process is gone without a word; another one begins. */
  begin(): void {
    this.#client?.close();
    this.#memberId = randomUUID();
    this.#attempt = 0;
    this.#open();
  }

  close(): void {
    this.#isOver = true;
    this.#client?.close();
  }

  #open(): void {
    if (this.#isOver) return;
    this.#turn += 1;
    this.#attempt += 1;
    const address = cluster.servers[this.#turn % cluster.servers.length] ?? '';
    const client = new Client(address, credentials.createInsecure());
    this.#client?.close();
    this.#client = client;
    const { path, requestSerialize, responseDeserialize } = ConsumeServiceService.consume;
    const stream: ClientDuplexStream<ConsumeRequest, ConsumeResponse> =
      client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const memberId = this.#memberId;
    stream.on('data', (response: ConsumeResponse) => {
      if (this.#client === client) this.#take(stream, response);
    });
    stream.on('error', () => {});
    stream.on('status', () => {
      if (this.#client !== client || this.#isOver) return;
      setTimeout(() => {
        if (this.#client === client && this.#memberId === memberId) this.#open();
      }, REOPEN_MS);
    });
    const usual = ConsumeOpen.decode(new Uint8Array(0));
    const who = { memberId, attempt: this.#attempt, client: 'test' };
    const how = {
      sessionMs: 8_000,
      graceMs: 500,
      releaseMs: 1_000,
      creditBytes: 100_000,
      creditRecords: 0,
    };
    const value = { ...usual, group: 'readers', topics: [this.#topic], ...who, ...how };
    stream.write({ message: { $case: 'open', value } });
  }

  #take(
    stream: ClientDuplexStream<ConsumeRequest, ConsumeResponse>,
    { message }: ConsumeResponse,
  ): void {
    // Whoever is over begins as somebody else.
    if (message?.$case === 'fenced') [this.#memberId, this.#attempt] = [randomUUID(), 0];
    if (message?.$case === 'fenced') setTimeout(() => this.#open(), REOPEN_MS);
    if (message?.$case !== 'records') return;
    const { topicId, partition, epoch, records, nextOffset, nextLeaderEpoch, bytes } =
      message.value;
    for (const { value } of records) this.#onValue(Buffer.from(value).toString());
    const place = { topicId, partition, offset: nextOffset, leaderEpoch: nextLeaderEpoch, epoch };
    const said = {
      acknowledgeId: 1,
      cursors: [place],
      records: [],
      creditBytes: bytes,
      creditRecords: 0,
    };
    stream.write({ message: { $case: 'acknowledge', value: said } });
  }
}

it('brings every acknowledged record to the group while members and brokers are killed', async () => {
  const topic = await cluster.createTopic({ partitions: PARTITIONS, replicationFactor: 3 });
  await using client = cluster.connect();
  await using producer = client.producer();
  const acknowledged = new Set<string>();
  const read = new Set<string>();
  const members = Array.from(
    { length: MEMBERS },
    (_, at) => new Member(topic.name, at, (value) => read.add(value)),
  );
  let isOn = true;
  const producing = (async (): Promise<void> => {
    for (let at = 0; isOn; at += 1) {
      await producer.send({ topic: topic.name, partition: at % PARTITIONS, value: `v${at}` });
      acknowledged.add(`v${at}`);
    }
  })();
  const isProgress = async (): Promise<void> => {
    const [before, seen] = [acknowledged.size, read.size];
    await cluster.wait('records to come through', async () =>
      when(acknowledged.size > before + 50 && read.size > seen + 50),
    );
  };
  await isProgress();
  for (const brokerId of [1, 2, 3]) {
    members[brokerId % MEMBERS]?.begin();
    await cluster.broker(brokerId).kill();
    await isProgress();
    await cluster.restart(brokerId);
    await cluster.waitInSync(topic.name);
  }
  isOn = false;
  await producing;
  const missing = (): string[] => [...acknowledged].filter((value) => !read.has(value));
  await cluster.wait('every record to be read', async (note) => {
    note(missing().slice(0, 5));
    return when(missing().length === 0);
  });
  for (const member of members) member.close();
  expect(missing()).toEqual([]);
});
