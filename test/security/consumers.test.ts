/**
 * Members of groups and consumers of queues at a listener that asks: what becomes of their streams
 * when rules change or a token is taken back, how quotas hold them, and what is told of who
 * administers groups and queues.
 */
import type { Client } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FEATURE_LEVEL_MAX } from '../../broker/metadata/features.ts';
import type { Admin, Tidemark } from '../../client/index.ts';
import {
  ConsumeOpen,
  type ConsumeRequest,
  type ConsumeResponse,
  ConsumeServiceService,
  ConsumeType,
} from '../../proto/gen/tidemark/v1/consume.ts';
import { errorFromStatus } from '../../wire/grpc/errors.ts';
import { GuardedBroker, shown } from './guarded-broker.ts';

const ALICE = 'token:alice';
const NAMES = ['root', 'alice', 'gone'];
const TOPIC = 'orders';
const RECORDS = 20;
const RECORD_BYTES = 10_000;

describe('a stream of a consumer', () => {
  const broker = new GuardedBroker(NAMES);
  let root: Tidemark;
  let admin: Admin;
  let bare: Client;
  let opened = 0;

  beforeAll(async () => {
    const tokens = ['--auth-tokens-file', broker.writeTokens(NAMES)];
    await broker.start(['--auth', 'token', ...tokens, '--auth-administrators', 'token:root']);
    bare = broker.bare();
    root = broker.connect('root');
    admin = root.admin();
    await admin.createTopic({
      ...{ name: TOPIC, partitions: 1, replicationFactor: 1, config: { minInSyncReplicas: 1 } },
    });
    await broker.until(
      async () => (await admin.describeCluster()).featureLevel === FEATURE_LEVEL_MAX,
    );
    await root.queues().create('jobs', { topic: TOPIC });
    for (const name of ['alice', 'gone']) {
      const principal = `token:${name}`;
      await admin.grantAccess({ principal, operations: ['group'], resource: 'group:*' });
      await admin.grantAccess({ principal, operations: ['read'], resource: `topic:${TOPIC}` });
    }
    const producer = root.producer();
    for (let each = 0; each < RECORDS; each += 1)
      await producer.send({ topic: TOPIC, value: Buffer.alloc(RECORD_BYTES) });
  }, 60_000);
  afterAll(async () => {
    await broker.stop();
    expect(broker.defects).toEqual([]);
  }, 60_000);

  /** Of a group of its own, or of the queue; it settles nothing. */
  function consume(type: ConsumeType, name: string) {
    opened += 1;
    const { path, requestSerialize, responseDeserialize } = ConsumeServiceService.consume;
    const call = bare.makeBidiStreamRequest<ConsumeRequest, ConsumeResponse>(
      path,
      requestSerialize,
      responseDeserialize,
      shown({ authorization: `Bearer ${broker.tokens[name] ?? ''}` }),
    );
    const isQueue = type === ConsumeType.CONSUME_TYPE_QUEUE;
    const value = {
      ...ConsumeOpen.decode(new Uint8Array(0)),
      ...{ type, group: isQueue ? 'jobs' : `group-${opened}`, topics: [TOPIC], graceMs: 0 },
      ...{ creditBytes: 1_000_000, creditRecords: 1 },
    };
    call.write({ message: { $case: 'open', value } });
    const state = { isJoined: false, records: 0, call };
    call.on('data', ({ message }: ConsumeResponse) => {
      state.isJoined ||= message?.$case === 'joined';
      if (message?.$case !== 'records') return;
      state.records += message.value.records.length;
      // One by one, so that a quota holds it between two.
      if (isQueue) call.write({ message: { $case: 'credit', value: { bytes: 0, records: 1 } } });
    });
    const ended = new Promise<string>((resolve) => {
      call.on('error', (error) => resolve(errorFromStatus(error as never).code));
    });
    return { state, ended };
  }

  describe.each([
    ['member of a group', ConsumeType.CONSUME_TYPE_GROUP],
    ['consumer of a queue', ConsumeType.CONSUME_TYPE_QUEUE],
  ] as const)('as a %s', (_, type) => {
    beforeEach(() => broker.writeTokens(NAMES));

    it.each([
      ['group', 'group:*'],
      ['read', `topic:${TOPIC}`],
    ] as const)('ends when its rule to %s goes', async (operation, resource) => {
      const { state, ended } = consume(type, 'alice');
      await broker.until(() => state.isJoined);
      await admin.revokeAccess({ principal: ALICE, resource });
      expect(await ended).toBe('PERMISSION_DENIED');
      await admin.grantAccess({ principal: ALICE, operations: [operation], resource });
    });

    it('ends when its token is taken back', async () => {
      const { state, ended } = consume(type, 'gone');
      await broker.until(() => state.isJoined);
      broker.writeTokens(NAMES.filter((name) => name !== 'gone'));
      expect(await ended).toBe('UNAUTHENTICATED');
    });

    it('is given nothing more once it has read too much, until that is paid', async () => {
      await admin.setQuota({ principal: ALICE, readBytesPerSecond: 1 });
      const first = consume(type, 'alice');
      await broker.until(() => first.state.records > 0);
      // It owes for hours: another stream of its is not even heard.
      const second = consume(type, 'alice');
      const given = first.state.records;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect([first.state.records, second.state.isJoined]).toEqual([given, false]);
      expect(given).toBeLessThan(RECORDS);
      await admin.setQuota({ principal: ALICE, readBytesPerSecond: -1 });
      await broker.until(() => first.state.records > given && second.state.isJoined);
      for (const { state } of [first, second]) state.call.cancel();
    }, 60_000);
  });

  it('is administered with one line of the audit for each call', async () => {
    const alice = broker.connect('alice');
    const before = broker.told.length;
    await root.queues().create('audited', { topic: TOPIC });
    await root.queues().alter('audited', { leaseMs: 5_000 });
    await root
      .queues()
      .freeKey('audited', { partition: 0, offset: 3 })
      .catch(() => undefined);
    await alice
      .queues()
      .delete('audited')
      .catch(() => undefined);
    await root.queues().delete('audited');
    await alice
      .groups()
      .seek('audited', { topic: TOPIC, to: 'earliest' })
      .catch(() => undefined);
    await root
      .groups()
      .delete('audited')
      .catch(() => undefined);
    const lines = broker.told.slice(before).filter(({ event }) => event === 'admin-call');
    expect(
      lines.map(({ fields }) => {
        const { principal, method, resource, outcome } = fields as Record<string, string>;
        return `${principal} ${method?.split('/').at(-1)} ${resource} ${outcome}`;
      }),
    ).toEqual([
      'token:root CreateQueue group:audited ok',
      'token:root AlterQueue group:audited ok',
      'token:root FreeQueueKey group:audited INVALID_ARGUMENT',
      'token:alice DeleteQueue group:audited PERMISSION_DENIED',
      'token:root DeleteQueue group:audited ok',
      'token:alice SeekGroup group:audited ok',
      'token:root DeleteGroup group:audited ok',
    ]);
  });
});
