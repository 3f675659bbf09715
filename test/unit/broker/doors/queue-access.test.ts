/** What calls about queues need, and what is taken out of their answers. */
import { describe, expect, it } from 'vitest';
import type { AccessRule } from '../../../../base/access.ts';
import { accessOf } from '../../../../broker/access/methods.ts';
import { AccessRules } from '../../../../broker/access/rules.ts';
import { visible } from '../../../../broker/doors/answers.ts';
import { refusalOf } from '../../../../broker/doors/requests.ts';
import {
  type DescribeQueueResponse,
  type ListQueuesResponse,
  Queue,
  QueuePartition,
} from '../../../../proto/gen/tidemark/v1/queues.ts';

const ANNA = 'token:anna';
const QUEUE = '/tidemark.v1.QueueService/';
const CONSUME = '/tidemark.v1.ConsumeService/Consume';
const SCALER = '/externalscaler.ExternalScaler/IsActive';

const rule = (
  operations: AccessRule['operations'],
  kind: AccessRule['kind'],
  name: string,
): AccessRule => ({ principal: ANNA, kind, name, operations });
const ON_JOBS = rule(['group'], 'group', 'jobs');
const READS = rule(['read'], 'topic', 'orders');
const BURIES = rule(['append'], 'topic', 'dead');

/** Queue `jobs` hands out `orders`. */
function may(path: string, request: object, ...rules: readonly AccessRule[]): boolean {
  const rights = new AccessRules(rules, []).rightsOf(ANNA);
  const topicOfQueue = (name: string) => (name === 'jobs' ? 'orders' : undefined);
  return refusalOf(accessOf(path)!, request, { rights, topicOfQueue }) === null;
}

describe('calls about queues', () => {
  const toDead = { config: { deadLetterTopic: 'dead' } };
  it.each<[string, string, object, readonly AccessRule[], boolean]>([
    ['CreateQueue', 'a name and a topic', { topic: 'orders' }, [ON_JOBS, READS], true],
    ['CreateQueue', 'no name', { topic: 'orders' }, [READS], false],
    ['CreateQueue', 'no topic', { topic: 'orders' }, [ON_JOBS], false],
    ['CreateQueue', 'dead letters', { topic: 'orders', ...toDead }, [ON_JOBS, READS], false],
    ['CreateQueue', 'its', { topic: 'orders', ...toDead }, [ON_JOBS, READS, BURIES], true],
    ['AlterQueue', 'its topic', {}, [ON_JOBS, READS], true],
    ['AlterQueue', 'not its topic', {}, [ON_JOBS], false],
    ['AlterQueue', 'dead letters', toDead, [ON_JOBS, READS], false],
    ['AlterQueue', 'its', toDead, [ON_JOBS, READS, BURIES], true],
    ['DescribeQueue', 'both', {}, [ON_JOBS, READS], true],
    ['DescribeQueue', 'the name alone', {}, [ON_JOBS], false],
    ['DescribeQueue', 'the topic alone', {}, [READS], false],
    ['FreeQueueKey', 'the name', {}, [ON_JOBS], true],
    ['FreeQueueKey', 'to describe alone', {}, [rule(['describe'], 'group', 'jobs')], false],
    ['DeleteQueue', 'the name', {}, [ON_JOBS], false],
    ['DeleteQueue', 'to delete it', {}, [rule(['delete'], 'group', 'jobs')], true],
    ['ListQueues', 'nothing', {}, [], true],
  ])('%s by whoever has %s', (method, _, request, rules, isAllowed) => {
    expect(may(`${QUEUE}${method}`, { name: 'jobs', ...request }, ...rules)).toBe(isAllowed);
  });

  it('take records of whoever may read the topic, named or not', () => {
    const open = { group: 'jobs', topics: [] };
    expect(may(CONSUME, open, ON_JOBS)).toBe(false);
    expect(may(CONSUME, open, ON_JOBS, READS)).toBe(true);
    expect(may(CONSUME, { ...open, topics: ['secret'] }, ON_JOBS, READS)).toBe(false);
    // A group has no topic but those that it names.
    expect(may(CONSUME, { ...open, group: 'billing' }, rule(['group'], 'group', 'billing'))).toBe(
      true,
    );
  });

  it('are asked by KEDA in the name of the queue', () => {
    const object = { scalerMetadata: { queue: 'jobs', group: '' } };
    expect(may(SCALER, object, ON_JOBS)).toBe(true);
    expect(may(SCALER, object, rule(['group'], 'group', 'billing'))).toBe(false);
  });
});

describe('answers about queues', () => {
  const seenWith = (path: string, answer: unknown, ...rules: readonly AccessRule[]) => {
    const rights = new AccessRules(rules, []).rightsOf(ANNA);
    return visible(`${QUEUE}${path}`, answer, (...asked) => rights.may(...asked));
  };

  it('list what may be described, name and topic', () => {
    const queue = Queue.decode(new Uint8Array(0));
    const answer: ListQueuesResponse = {
      queues: [
        { ...queue, name: 'jobs', topic: 'orders' },
        { ...queue, name: 'jobs', topic: 'secret' },
        { ...queue, name: 'payroll', topic: 'orders' },
      ],
    };
    expect(seenWith('ListQueues', answer, ON_JOBS, READS)).toMatchObject({
      queues: [{ name: 'jobs', topic: 'orders' }],
    });
  });

  it('show a key to whoever may read its record', () => {
    const key = Buffer.from('customer-7');
    const none = new Uint8Array(0);
    const blocked = { offset: 7, key, kind: 'parked', memberId: '' };
    const answer: DescribeQueueResponse = {
      queue: { ...Queue.decode(none), name: 'jobs', topic: 'orders' },
      partitions: [{ ...QueuePartition.decode(none), blocked }],
      members: [],
    };
    expect(seenWith('DescribeQueue', answer, ON_JOBS, READS)).toEqual(answer);
    const describes = rule(['describe'], 'topic', 'orders');
    expect(seenWith('DescribeQueue', answer, ON_JOBS, describes)).toMatchObject({
      partitions: [{ partition: 0, blocked: { offset: 7, key: undefined, kind: 'parked' } }],
    });
  });
});
