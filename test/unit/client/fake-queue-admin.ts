/** What the fake cluster keeps of queues. */
import type { sendUnaryData } from '@grpc/grpc-js';
import type { ErrorCode } from '../../../base/errors.ts';
import type { QueueMember } from '../../../proto/gen/tidemark/v1/queues.ts';
import {
  type AlterQueueRequest,
  type CreateQueueRequest,
  type DeleteQueueRequest,
  type DescribeQueueRequest,
  type FreeQueueKeyRequest,
  type ListQueuesRequest,
  type Queue,
  type QueueConfig,
  QueuePartition,
  QueueServiceService,
} from '../../../proto/gen/tidemark/v1/queues.ts';

type Done = sendUnaryData<unknown>;

const NOTHING = new Uint8Array(0);
const DEFAULTS: QueueConfig = {
  ...{ leaseMs: 30_000, deliveriesMax: 0, deadLetterTopic: '', keyOrdered: false },
  ...{ parksKeys: false, delayMinMs: 0, delayMaxMs: 3_600_000 },
};

/** A partition of which everything is known, and nothing is left to do. */
export const SETTLED: QueuePartition = { ...QueuePartition.decode(NOTHING), owner: 1 };

export class FakeQueueAdmin {
  readonly queues = new Map<string, Queue>();
  /** How each queue stands. */
  partitions: readonly QueuePartition[] = [SETTLED];
  members: readonly QueueMember[] = [];
  readonly calls: { readonly method: string; readonly request: unknown }[] = [];
  readonly definition = QueueServiceService;
  readonly #fail: (done: Done, code: ErrorCode) => void;

  constructor(fail: (done: Done, code: ErrorCode) => void) {
    this.#fail = fail;
  }

  put(name: string, topic: string, config: Partial<QueueConfig> = {}): Queue {
    const id = new Uint8Array(16).fill(7);
    const queue = { name, queueId: id, topic, topicId: id, config: { ...DEFAULTS, ...config } };
    this.queues.set(name, queue);
    return queue;
  }

  handlers(): Record<string, unknown> {
    const taken = <Request>(
      method: string,
      answer: (request: Request, done: Done) => void,
    ): readonly [string, unknown] => [
      method,
      ({ request }: { request: Request }, done: Done) => {
        this.calls.push({ method, request });
        answer(request, done);
      },
    ];
    const ofQueue = <Request extends { readonly name: string }>(
      method: string,
      answer: (queue: Queue, request: Request) => unknown,
    ) =>
      taken<Request>(method, (request, done) => {
        const queue = this.queues.get(request.name);
        if (queue === undefined) this.#fail(done, 'UNKNOWN_QUEUE');
        else done(null, answer(queue, request));
      });
    return Object.fromEntries<unknown>([
      taken<CreateQueueRequest>('createQueue', ({ name, topic, config }, done) => {
        if (this.queues.has(name)) this.#fail(done, 'QUEUE_EXISTS');
        else done(null, { queue: this.put(name, topic, stated(config)) });
      }),
      taken<ListQueuesRequest>('listQueues', ({ topic }, done) => {
        const all = [...this.queues.values()];
        done(null, { queues: all.filter((queue) => topic === '' || queue.topic === topic) });
      }),
      ofQueue<AlterQueueRequest>('alterQueue', ({ name, topic, config }, request) => ({
        queue: this.put(name, topic, { ...config, ...stated(request.config) }),
      })),
      ofQueue<DeleteQueueRequest>('deleteQueue', ({ name }) => {
        this.queues.delete(name);
        return {};
      }),
      ofQueue<DescribeQueueRequest>('describeQueue', (queue) => ({
        queue,
        partitions: this.partitions,
        members: this.members,
      })),
      ofQueue<FreeQueueKeyRequest>('freeQueueKey', () => ({})),
    ]);
  }
}

function stated(config: QueueConfig | undefined): Partial<QueueConfig> {
  const fields = Object.entries(config ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(fields);
}
