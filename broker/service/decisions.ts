/** What every call has in common that the controller decides: its answer, and the moment when it shows in this broker's metadata. */
import { BrokerError } from '../base/errors.ts';
import type { ControllerReply, ControllerRequest } from '../metadata/controller-types.ts';
import type { MetadataImage, TopicState } from '../metadata/types.ts';
import type { BrokerApi } from '../runtime/api.ts';

/** Asks the controller. Throws its refusal. */
export async function decide<Kind extends ControllerReply['kind']>(
  broker: BrokerApi,
  request: ControllerRequest & { readonly kind: Kind },
  deadlineMs: number,
): Promise<Extract<ControllerReply, { readonly kind: Kind }>> {
  const reply = await broker.decide(request, deadlineMs);
  if (reply.kind === request.kind)
    return reply as Extract<ControllerReply, { readonly kind: Kind }>;
  throw new BrokerError('INTERNAL', `Answer to "${request.kind}" is "${reply.kind}"`);
}

/** Resolves with the first image that shows a committed change. Rejects with BROKER_NOT_READY at the deadline: it happened, but does not show here yet. */
export async function imageShows(
  broker: BrokerApi,
  shows: (image: MetadataImage) => boolean,
  deadlineMs: number,
): Promise<MetadataImage> {
  const image = await imageWithin(broker, shows, deadlineMs);
  if (shows(image)) return image;
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
