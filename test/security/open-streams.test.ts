/**
 * Streams of members and consumers that are open, thrown at with what no honest client, and no
 * honest broker, sends behind its first message.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { status as Status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Tidemark } from '../../client/index.ts';
import {
  QueuesServiceService,
  ServeMemberRequest,
} from '../../proto/gen/tidemark/internal/v1/queues.ts';
import {
  type ConsumeOpen,
  ConsumeRequest,
  ConsumeServiceService,
  ConsumeType,
  Delivery,
} from '../../proto/gen/tidemark/v1/consume.ts';
import { topicIdToBytes } from '../../wire/batch/frame.ts';
import { BROKER_ID, TOPIC, VictimBroker } from './broker.ts';
import { type Hostile, Shapes, shapeless } from './hostile-messages.ts';

const IMAGE = readFileSync(new URL('../../proto/tidemark.binpb', import.meta.url));
const PATIENCE_MS = 300;
const AT_ONCE = 20;
const QUEUE = 'jobs';

describe('an open stream', () => {
  let victim: VictimBroker;
  let tidemark: Tidemark;
  let queueId: Uint8Array;
  const shapes = new Shapes(IMAGE);

  beforeAll(async () => {
    victim = await VictimBroker.start();
    tidemark = connect({ servers: `127.0.0.1:${victim.port}` });
    queueId = topicIdToBytes(await made(tidemark));
  }, 60_000);
  afterAll(async () => {
    await tidemark.close();
    await victim.stop();
  }, 60_000);

  /** Each behind the first message of a stream of its own, twice. */
  async function stands(
    method: Parameters<VictimBroker['throwAt']>[0],
    open: () => Uint8Array,
  ): Promise<number> {
    // The first message by itself is a good one.
    expect([null, Status.OK]).toContain(await victim.throwAt(method, [open()], PATIENCE_MS));
    const hostile = [...shapeless(), ...shapes.of(method.path, BROKER_ID, TOPIC)];
    for (let from = 0; from < hostile.length; from += AT_ONCE) {
      const some: readonly Hostile[] = hostile.slice(from, from + AT_ONCE);
      await Promise.all(
        some.map(({ bytes }) => victim.throwAt(method, [open(), bytes, bytes], PATIENCE_MS)),
      );
      const names = some.map(({ name }) => name).join('; ');
      await victim.isWell().catch((cause: unknown) => {
        throw new Error(`${method.path} does not stand one of: ${names}`, { cause });
      });
    }
    return hostile.length;
  }

  it.each([
    ['a member of a group', ConsumeType.CONSUME_TYPE_GROUP],
    ['a consumer of a queue', ConsumeType.CONSUME_TYPE_QUEUE],
  ])('of %s', async (_, type) => {
    const method = { door: 'client' as const, path: ConsumeServiceService.consume.path };
    const isQueue = type === ConsumeType.CONSUME_TYPE_QUEUE;
    const open = (): Uint8Array => {
      const group = isQueue ? QUEUE : `group-${randomUUID()}`;
      const value = openOf({ type, group, topics: isQueue ? [] : [TOPIC] });
      return ConsumeRequest.encode({ message: { $case: 'open', value } }).finish();
    };
    expect(await stands(method, open)).toBeGreaterThan(50);
  });

  it('of a member at an owner', async () => {
    const method = { door: 'internal' as const, path: QueuesServiceService.serveMember.path };
    const open = (): Uint8Array => {
      const value = { queueId, memberId: randomUUID(), attempt: 1, client: '', proxy: BROKER_ID };
      return ServeMemberRequest.encode({ message: { $case: 'open', value } }).finish();
    };
    expect(await stands(method, open)).toBeGreaterThan(50);
  });
});

/** The queue, once the cluster is at a level that has them. */
async function made(tidemark: Tidemark): Promise<string> {
  for (const untilMs = Date.now() + 30_000; ; ) {
    try {
      return (await tidemark.queues().create(QUEUE, { topic: TOPIC })).queueId;
    } catch (error) {
      if (Date.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

function openOf(own: Pick<ConsumeOpen, 'type' | 'group' | 'topics'>): ConsumeOpen {
  return {
    ...own,
    ...{ memberId: '', attempt: 1, client: '', graceMs: 0, instanceId: '', rack: '', assignor: '' },
    ...{ sessionMs: 30_000, returnMs: 0, epoch: 0, delivery: Delivery.DELIVERY_RECORDS },
    ...{ creditBytes: 1_000_000, creditRecords: 10, from: 0, formerMemberId: '', releaseMs: 0 },
  };
}
