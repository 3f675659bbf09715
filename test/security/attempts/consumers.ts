/**
 * What is tried with queues. `billing-q` is a queue of `orders`, which alice may take records of;
 * `billing-s` is one of `secret`, under a name that is hers, and `payroll-q` another's.
 */
import { QueuesServiceService as InternalQueues } from '../../../proto/gen/tidemark/internal/v1/queues.ts';
import { AdminServiceService as Admins } from '../../../proto/gen/tidemark/v1/admin.ts';
import {
  ConsumeOpen,
  ConsumeType,
  type RecordAcknowledgement,
} from '../../../proto/gen/tidemark/v1/consume.ts';
import { LogServiceService as Logs } from '../../../proto/gen/tidemark/v1/log.ts';
import { QueueServiceService as Queues } from '../../../proto/gen/tidemark/v1/queues.ts';
import { ExternalScalerService as Scalers } from '../../../proto/gen/externalscaler/externalscaler.ts';
import type { Attempt, Method, World } from './types.ts';

const QUEUE = ConsumeType.CONSUME_TYPE_QUEUE;
const U32_MAX = 0xffff_ffff;
const UNKNOWN_TYPE = 7 as number as ConsumeType;

const shown = (world: World, name: 'root' | 'alice'): { readonly authorization: string } => ({
  authorization: `Bearer ${world.token(name)}`,
});

function taking(
  what: string,
  open: Parameters<World['member']>[0],
  comesBack: string,
  then?: Parameters<World['member']>[2],
): Attempt {
  const usual = { group: 'billing-q', type: QUEUE, creditRecords: 1, topics: [] };
  return {
    who: 'alice',
    tries: `\`Consume\` of a queue ${what}`,
    comesBack,
    run: (world) => world.member({ ...usual, ...open }, shown(world, 'alice'), then),
  };
}

/** As if the first record of `orders` were hers. */
const settling =
  (
    more: Partial<RecordAcknowledgement>,
    topic = 'orders',
  ): NonNullable<Parameters<World['member']>[2]> =>
  ({ topicId }) => {
    const record: RecordAcknowledgement = {
      ...{ topicId: topicId(topic), partition: 0, offset: 1_000_000, leaderEpoch: 1, delivery: 1 },
      verdict: { $case: 'accept', value: {} },
      ...more,
    };
    const credit = { creditBytes: 0, creditRecords: 0 };
    const value = { acknowledgeId: 1, cursors: [], records: [record], ...credit };
    return { $case: 'acknowledge', value };
  };

function asking(
  who: 'root' | 'alice',
  method: { readonly path: string },
  what: string,
  fields: object,
  comesBack = 'PERMISSION_DENIED',
): Attempt {
  return {
    who,
    tries: `\`${method.path.split('/').at(-1) ?? ''}\` ${what}`,
    comesBack,
    run: (world) => world.ask(method as Method, fields, shown(world, who)),
  };
}

const scaling = (what: string, scalerMetadata: object, comesBack?: string): Attempt =>
  asking('alice', Scalers.isActive, what, { name: 'x', namespace: 'x', scalerMetadata }, comesBack);

const release = (delayMs: number): RecordAcknowledgement['verdict'] => ({
  $case: 'release',
  value: { delayMs },
});

export const CONSUMERS: readonly Attempt[] = [
  taking('of `orders`, which she may', {}, 'ok'),
  taking("that is another's", { group: 'payroll-q' }, 'PERMISSION_DENIED'),
  taking('of another topic, under her name', { group: 'billing-s' }, 'PERMISSION_DENIED'),
  taking('that is not there', { group: 'billing-none' }, 'UNKNOWN_QUEUE'),
  taking('with another topic beside', { topics: ['secret'] }, 'PERMISSION_DENIED'),
  taking('as a group', { type: 1, topics: ['orders'] }, 'QUEUE_EXISTS'),
  taking('of a type that is none', { type: UNKNOWN_TYPE }, 'INVALID_ARGUMENT'),
  taking('with a credit of 4 billion records', { creditRecords: U32_MAX }, 'INVALID_ARGUMENT'),
  taking('as a member whose id is none', { memberId: '../../x' }, 'INVALID_ARGUMENT'),
  taking('with a grace of 50 days', { graceMs: U32_MAX }, 'INVALID_ARGUMENT'),
  taking('and opens it again, for another', {}, 'PERMISSION_DENIED', () => ({
    $case: 'open',
    value: { ...ConsumeOpen.decode(new Uint8Array(0)), group: 'payroll-q', type: QUEUE },
  })),
  taking('and adds credit beyond all bounds', {}, 'INVALID_ARGUMENT', () => ({
    $case: 'credit',
    value: { bytes: 0, records: U32_MAX },
  })),
  taking('and states a view', {}, 'INVALID_ARGUMENT', () => ({
    $case: 'applied',
    value: { epoch: 1 },
  })),
  taking('and accepts what was not delivered', {}, 'LEASE_LOST', settling({})),
  taking('and accepts a record of another topic', {}, 'INVALID_ARGUMENT', settling({}, 'secret')),
  taking(
    'and accepts in a partition that is none',
    {},
    'UNKNOWN_PARTITION',
    settling({ partition: 1_999 }),
  ),
  taking(
    'and accepts an offset beyond all logs',
    {},
    'INVALID_ARGUMENT',
    settling({ offset: Number.MAX_SAFE_INTEGER }),
  ),
  taking('and accepts a delivery 0', {}, 'INVALID_ARGUMENT', settling({ delivery: 0 })),
  taking('and says nothing of a record', {}, 'INVALID_ARGUMENT', settling({ verdict: undefined })),
  taking(
    'and puts one back for 50 days',
    {},
    'INVALID_ARGUMENT',
    settling({ verdict: release(U32_MAX) }),
  ),
  asking('alice', Queues.deleteQueue, 'of a queue that she may take records of', {
    name: 'billing-q',
  }),
  asking('alice', Queues.describeQueue, 'of one of another topic, under her name', {
    name: 'billing-s',
  }),
  asking('alice', Queues.alterQueue, 'of one of another topic, under her name', {
    name: 'billing-s',
  }),
  asking('alice', Logs.append, 'to the topic that keeps queues', { topic: '__queues' }),
  asking('alice', Logs.read, 'of the topic that keeps queues', { topic: '__queues' }),
  asking('alice', Admins.trimTopic, 'of the topic that keeps queues', { topic: '__queues' }),
  asking(
    'root',
    Admins.deleteTopic,
    'of the topic that keeps queues',
    { name: '__queues' },
    'REFUSED',
  ),
  asking(
    'root',
    Queues.createQueue,
    'of the topic that keeps queues',
    { name: 'q', topic: '__queues' },
    'REFUSED',
  ),
  scaling("of another's queue", { queue: 'payroll-q' }),
  scaling('of a queue of another topic, under her name', { queue: 'billing-s' }),
  scaling(
    "of another's group, beside her queue",
    { queue: 'billing-q', group: 'payroll' },
    'INVALID_ARGUMENT',
  ),
  scaling('of her queue', { queue: 'billing-q' }, 'ok'),
  ...(['serveMember', 'describeOwned', 'freeOwnedKey'] as const).map((name) =>
    asking('root', InternalQueues[name], 'at the listener of clients', {}, 'UNIMPLEMENTED'),
  ),
];
