/**
 * What every call has in common that the controller decides: its answer, and the moment when it
 * shows in this broker's metadata.
 */
import { BrokerError } from '../../base/errors.ts';
import type {
  AskedRequest,
  ControllerReply,
  Decision,
  Judged,
} from '../metadata/controller-types.ts';
import type { MetadataImage, TopicState } from '../metadata/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { topicIdField } from '../messages/fields.ts';

/** How long this broker's metadata may take to show what made a request late. */
const CATCH_UP_MS = 1_000;

/**
 * Asks the controller, and resolves with its answer once this broker's metadata shows what was
 * decided, or what has replaced it since. Throws the controller's refusal, and OUTCOME_UNKNOWN at
 * the deadline: it happened, but does not show here yet.
 */
export async function decide<Kind extends AskedRequest['kind']>(
  broker: BrokerApi,
  request: AskedRequest & { readonly kind: Kind },
  deadlineMs: number,
  meant?: MeantTopic,
): Promise<Extract<ControllerReply, { readonly kind: Kind }>> {
  const { clock } = broker;
  const endMs = clock.monotonicMs() + deadlineMs;
  const { metadataIndex = 0, ...reply } = await ask(broker, request, endMs, meant);
  if (reply.kind !== request.kind)
    throw new BrokerError('INTERNAL', `Answer to "${request.kind}" is "${reply.kind}"`);
  const leftMs = Math.max(0, endMs - clock.monotonicMs());
  // By the index: what was decided may have been undone by somebody else before this broker hears
  // of either.
  const { index } = await imageWithin(broker, (image) => image.index >= metadataIndex, leftMs);
  if (index >= metadataIndex) return reply as Extract<ControllerReply, { readonly kind: Kind }>;
  throw new BrokerError(
    'OUTCOME_UNKNOWN',
    `The change is committed, but broker ${broker.brokerId} has not seen it within ${Math.round(deadlineMs)} ms`,
  );
}

/**
 * Says what this broker goes by, so that an attempt which arrives late changes nothing. While the
 * call lives it means what its names stand for now: refused for certain as late, it is judged
 * again.
 */
async function ask(
  broker: BrokerApi,
  request: AskedRequest,
  endMs: number,
  meant: MeantTopic | undefined,
): Promise<Decision> {
  const { clock } = broker;
  for (;;) {
    if (meant !== undefined) requireTopic(broker.image(), meant);
    const judged = judgedBy(broker.image(), request);
    const leftMs = Math.max(1, endMs - clock.monotonicMs());
    try {
      return await broker.decide({ ...request, judged }, leftMs);
    } catch (error) {
      const isLate =
        error instanceof BrokerError && error.code === 'CONFLICT' && error.effect === 'none';
      if (!isLate) throw error;
      const waitMs = Math.min(CATCH_UP_MS, endMs - clock.monotonicMs());
      const hasMoved = ({ index }: MetadataImage): boolean => index > judged.metadataIndex;
      if (waitMs <= 0 || !hasMoved(await imageWithin(broker, hasMoved, waitMs))) throw error;
    }
  }
}

/** A topic by its name, and by its id where the caller states one. */
export interface MeantTopic {
  readonly name: string;
  readonly topicId: Uint8Array | undefined;
}

/**
 * Throws UNKNOWN_TOPIC where another topic has the name by now: the caller's call may have been on
 * its way for long, and its name means nothing then.
 */
export function requireTopic(image: MetadataImage, { name, topicId }: MeantTopic): void {
  if (topicId === undefined) return;
  const id = topicIdField('topic_id', topicId);
  const topic = topicNamed(image, name);
  if (topic === undefined || topic.topicId === id) return;
  throw new BrokerError(
    'UNKNOWN_TOPIC',
    `Topic "${name}" has id ${topic.topicId} now, ${id} was deleted: nothing was changed`,
  );
}

function judgedBy(image: MetadataImage, request: AskedRequest): Judged {
  const name = 'topic' in request ? request.topic : 'name' in request ? request.name : '';
  const topic = topicNamed(image, name);
  const partition = 'partition' in request ? request.partition : -1;
  return {
    metadataIndex: image.index,
    topicId: topic?.topicId ?? '',
    leaderEpoch: topic?.partitions[partition]?.leaderEpoch ?? 0,
  };
}

/** Resolves with the first image for which `holds`, or with the present one after `waitMs`. */
export function imageWithin(
  broker: BrokerApi,
  holds: (image: MetadataImage) => boolean,
  waitMs: number,
): Promise<MetadataImage> {
  if (holds(broker.image())) return Promise.resolve(broker.image());
  return new Promise((resolve) => {
    const finish = (): void => {
      cancelTimer();
      cancel();
      resolve(broker.image());
    };
    const cancelTimer = broker.clock.after(waitMs, finish);
    const cancel = broker.watchImage(() => {
      if (holds(broker.image())) finish();
    });
  });
}

/** The topic of this name, if there is one. */
export function topicNamed(image: MetadataImage, name: string): TopicState | undefined {
  const topicId = image.topicIdsByName.get(name);
  return topicId === undefined ? undefined : image.topics.get(topicId);
}
