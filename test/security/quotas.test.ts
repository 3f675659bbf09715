/**
 * Quotas of a real broker. Each is set so low that what goes beyond it would never end, so that
 * nothing here depends on how fast the machine is: what is held stays held until the quota is
 * raised, and goes on then.
 */
import { crc32 } from 'node:zlib';
import { Client, credentials, status as Status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { setPrincipal } from '../../broker/messages/principal.ts';
import type { Admin, Tidemark } from '../../client/index.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import {
  AckLevel,
  LogServiceService,
  type ProduceRequest,
  type ProduceResponse,
} from '../../proto/gen/tidemark/v1/log.ts';
import { topicIdToBytes } from '../../wire/batch/frame.ts';
import { encodeBatch } from '../../wire/records/batch.ts';
import { GuardedBroker, shown, throwAt } from './guarded-broker.ts';

const NAMES = ['root', 'alice', 'bob'];
const TOPIC = 'orders';
const ALICE = 'token:alice';
const VALUE = 'x'.repeat(1_000);

function frameOf(value: string): Uint8Array {
  const record = { timestampMs: Date.now(), value: Buffer.from(value) };
  return encodeBatch([record], { codec: 0 }, crc32);
}

describe('quotas', () => {
  const broker = new GuardedBroker(NAMES);
  let bare: Client;
  let admin: Admin;
  let topicId: Uint8Array;

  beforeAll(async () => {
    const tokens = broker.writeTokens(NAMES);
    await broker.start([
      ...['--auth', 'token', '--auth-tokens-file', tokens, '--auth-administrators', 'token:root'],
    ]);
    bare = broker.bare();
    admin = broker.connect('root').admin();
    const config = { minInSyncReplicas: 1 };
    await admin.createTopic({ name: TOPIC, partitions: 1, replicationFactor: 1, config });
    const [topic] = await admin.listTopics();
    topicId = topicIdToBytes(topic?.topicId ?? '');
    await admin.grantAccess({
      principal: '*',
      operations: ['append', 'read'],
      resource: 'topic:*',
    });
  }, 60_000);
  afterAll(async () => {
    await broker.stop();
    expect(broker.defects).toEqual([]);
  }, 60_000);
  beforeEach(() => admin.deleteQuota(ALICE));

  const bearer = (name: string) => shown({ authorization: `Bearer ${broker.tokens[name] ?? ''}` });
  const overs = (quota: string) =>
    broker.told.filter(
      ({ event, fields }) =>
        event === 'over-quota' && (fields as { readonly quota: string }).quota === quota,
    ).length;

  async function sendAll(who: Tidemark, count: number): Promise<void> {
    const producer = who.producer({ acks: 'all', batchBytes: 4_096 });
    await Promise.all(
      Array.from({ length: count }, () => producer.send({ topic: TOPIC, value: VALUE })),
    );
    await producer.close();
  }

  /** A Produce stream of somebody who waits for no answer, and what it was answered. */
  function produceBy(client: Client, metadata: ReturnType<typeof shown>, frames: number) {
    const { path, requestSerialize, responseDeserialize } = LogServiceService.produce;
    const call = client.makeBidiStreamRequest<ProduceRequest, ProduceResponse>(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
    );
    const answered: ProduceResponse['results'] = [];
    const windows: number[] = [];
    call.on('data', ({ results, windowBytes }: ProduceResponse) => {
      answered.push(...results);
      windows.push(windowBytes);
    });
    call.on('error', () => {});
    for (let batchId = 1; batchId <= frames; batchId += 1) {
      const frame = frameOf(VALUE.repeat(50));
      const batch = { batchId, topicId, partition: 0, frame, condition: undefined };
      call.write({ acks: AckLevel.ACK_LEVEL_ALL, batches: [batch] });
    }
    return { call, answered, windows };
  }

  it('delay a producer without an error, and nobody beside it', async () => {
    await admin.setQuota({ principal: ALICE, appendBytesPerSecond: 1 });
    const before = overs('append-bytes');
    const all = sendAll(broker.connect('alice'), 4_000);
    let isDone = false;
    void all.then(() => (isDone = true));
    await broker.until(() => overs('append-bytes') > before);
    await sendAll(broker.connect('bob'), 400);
    expect(isDone).toBe(false);
    await admin.setQuota({ principal: ALICE, appendBytesPerSecond: -1 });
    await all;
  }, 60_000);

  it('read no further from whoever waits for no answer', async () => {
    await admin.setQuota({ principal: ALICE, appendBytesPerSecond: 1 });
    const { call, answered, windows } = produceBy(bare, bearer('alice'), 100);
    // Those that gRPC had taken from the connection as it was told to stop are not in question.
    await broker.until(() => windows.length >= 4);
    const atFirst = answered.length;
    expect(atFirst).toBeLessThan(100);
    await broker.until(() => windows.length >= 6);
    expect(answered).toHaveLength(atFirst);
    expect(windows[0]).toBe(65_536);
    await admin.setQuota({ principal: ALICE, appendBytesPerSecond: -1 });
    await broker.until(() => answered.length === 100);
    call.cancel();
  }, 60_000);

  it('count what is handed on by brokers where it came in, and nowhere else', async () => {
    await admin.setQuota({ principal: ALICE, appendBytesPerSecond: 1, adminCallsPerSecond: 1 });
    const inner = new Client(broker.internalAddress, credentials.createInsecure());
    for (let time = 0; time < 3; time += 1) {
      const { call, answered } = produceBy(inner, setPrincipal(shown({}), ALICE), 20);
      await broker.until(() => answered.length === 20);
      expect(answered.map(({ error }) => error)).toEqual(answered.map(() => undefined));
      call.cancel();
    }
    inner.close();
    // It owes nothing for them.
    await sendAll(broker.connect('alice'), 1);
  }, 60_000);

  it('give a reader nothing more once it has had too much, until that is paid', async () => {
    await sendAll(broker.connect('bob'), 2_000);
    await admin.setQuota({ principal: ALICE, readBytesPerSecond: 1 });
    const before = overs('read-bytes');
    const consumer = broker.connect('alice').consumer({ topics: [TOPIC], from: 'earliest' });
    let count = 0;
    const reading = (async () => {
      for await (const { records } of consumer) {
        count += records.length;
        if (count >= 2_000) break;
      }
    })();
    await broker.until(() => overs('read-bytes') > before);
    expect(count).toBeLessThan(2_000);
    // A plain read does not come around it.
    const { path } = LogServiceService.read;
    const request = Buffer.from([0x0a, TOPIC.length, ...Buffer.from(TOPIC)]);
    expect(await throwAt(bare, path, request, bearer('alice'), 10_000)).toBe(
      Status.RESOURCE_EXHAUSTED,
    );
    expect(await throwAt(bare, path, request, bearer('bob'), 10_000)).toBe(Status.OK);
    await admin.setQuota({ principal: ALICE, readBytesPerSecond: -1 });
    await reading;
  }, 60_000);

  it('refuse a flood of calls, by the default where none is set', async () => {
    const flood = (path: string, name: string) =>
      Promise.all(
        Array.from({ length: 400 }, () =>
          throwAt(bare, path, new Uint8Array(0), bearer(name), 10_000),
        ),
      );
    const ids = await flood(LogServiceService.initProducer.path, 'alice');
    expect(ids).toContain(Status.OK);
    expect(ids).toContain(Status.RESOURCE_EXHAUSTED);
    const calls = await flood(AdminServiceService.checkAccess.path, 'alice');
    expect(calls).toContain(Status.RESOURCE_EXHAUSTED);
    // What every client begins with, and what others ask, goes on.
    expect(await flood(AdminServiceService.listTopics.path, 'alice')).not.toContain(
      Status.RESOURCE_EXHAUSTED,
    );
    await sendAll(broker.connect('bob'), 1);
  }, 60_000);

  it('are set by administrators alone', async () => {
    const alice = broker.connect('alice').admin();
    const denied = { code: 'PERMISSION_DENIED' };
    await expect(alice.setQuota({ principal: '*', readBytesPerSecond: 1 })).rejects.toMatchObject(
      denied,
    );
    await expect(alice.deleteQuota('*')).rejects.toMatchObject(denied);
    await expect(alice.listQuotas()).rejects.toMatchObject(denied);
    await admin.setQuota({ principal: '*', readBytesPerSecond: 5 });
    await admin.setQuota({ principal: '*', adminCallsPerSecond: 7 });
    const { quotas, defaults } = await admin.listQuotas();
    expect(quotas).toEqual([{ principal: '*', readBytesPerSecond: 5, adminCallsPerSecond: 7 }]);
    expect(defaults.producerIdsPerSecond).toBe(100);
    await admin.deleteQuota('*');
    const changes = broker.told.filter(({ event }) => event === 'admin-call');
    for (const name of ['SetQuota', 'DeleteQuota'])
      for (const [principal, outcome] of [
        ['token:root', 'ok'],
        ['token:alice', 'PERMISSION_DENIED'],
      ])
        expect(changes).toContainEqual({
          event: 'admin-call',
          fields: expect.objectContaining({
            ...{ principal, outcome, resource: '*' },
            method: `/tidemark.v1.AdminService/${name}`,
          }) as unknown,
        });
    const wrong = admin.setQuota({ principal: 'token:a*', readBytesPerSecond: 5 });
    await expect(wrong).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});
