/** What every call has in common that the controller decides: its answer, and the moment when it shows in this broker's metadata. */
import { BrokerError } from '../base/errors.ts';
import type { ControllerReply, ControllerRequest } from '../metadata/controller-types.ts';
import type { MetadataImage, TopicState } from '../metadata/types.ts';
import type { BrokerApi } from '../runtime/api.ts';

/**
 * Asks the controller, and resolves with its answer once this broker's metadata shows what was decided, or what has replaced it since. Throws the
 * controller's refusal, and BROKER_NOT_READY at the deadline: it happened, but does not show here yet.
 */
export async function decide<Kind extends ControllerReply['kind']>(
  broker: BrokerApi,
  request: ControllerRequest & { readonly kind: Kind },
  deadlineMs: number,
): Promise<Extract<ControllerReply, { readonly kind: Kind }>> {
  const endMs = performance.now() + deadlineMs;
  const { metadataIndex = 0, ...reply } = await broker.decide(request, deadlineMs);
  if (reply.kind !== request.kind)
    throw new BrokerError('INTERNAL', `Answer to "${request.kind}" is "${reply.kind}"`);
  const leftMs = Math.max(0, endMs - performance.now());
  // By the index: what was decided may have been undone by somebody else before this broker hears of either.
  const { index } = await imageWithin(broker, (image) => image.index >= metadataIndex, leftMs);
  if (index >= metadataIndex) return reply as Extract<ControllerReply, { readonly kind: Kind }>;
  throw new BrokerError(
    'BROKER_NOT_READY',
    `The change is committed, but broker ${broker.brokerId} has not seen it within ${Math.round(deadlineMs)} ms`,
  );
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
      clearTimeout(timer);
      cancel();
      resolve(broker.image());
    };
    const timer = setTimeout(finish, waitMs);
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
