/**
 * Takes a producer id and epoch for a caller. A name is taken from whom this broker sees it with,
 * and from nobody else: of two callers at once each is answered with an epoch of its own, and an
 * attempt that reaches the controller late, after its answer or after the next caller's, takes the
 * name from nobody (KIP-360 compares in the same way).
 */
import { BrokerError } from '../../base/errors.ts';
import type { InitProducerRequest } from '../metadata/controller-types.ts';
import type { MetadataImage } from '../metadata/types.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { imageWithin } from './decisions.ts';

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface ProducerCall {
  readonly name: string;
  /** What the caller has held; absent: it takes the name from anybody. */
  readonly expected?: ProducerIdentity | undefined;
  /** For whom; absent: nobody was asked for a name, or it is for this broker. */
  readonly principal?: string;
}

/**
 * Rejects with PRODUCER_FENCED where the name has moved on from what the caller has held, and with
 * OUTCOME_UNKNOWN where `deadlineMs` pass.
 */
export async function initProducer(
  broker: BrokerApi,
  { name, expected, ...behalf }: ProducerCall,
  deadlineMs: number,
): Promise<ProducerIdentity> {
  if (name === '') return await take(broker, { name, ...behalf }, deadlineMs);
  const { clock } = broker;
  const endMs = clock.monotonicMs() + deadlineMs;
  for (;;) {
    const seen = identityOf(broker.image(), name);
    try {
      const request = { name, expected: expected ?? seen, ...behalf };
      return await take(broker, request, Math.max(1, endMs - clock.monotonicMs()));
    } catch (error) {
      const isOvertaken = error instanceof BrokerError && error.code === 'PRODUCER_FENCED';
      if (!isOvertaken || expected !== undefined) throw error;
    }
    const hasMoved = ({ namedProducers }: MetadataImage): boolean => {
      const now = namedProducers.get(name);
      return now?.producerId !== seen?.producerId || now?.producerEpoch !== seen?.producerEpoch;
    };
    const leftMs = Math.max(1, endMs - clock.monotonicMs());
    if (hasMoved(await imageWithin(broker, hasMoved, leftMs))) continue;
    const text = `Cannot tell who holds the name "${name}": metadata here is behind`;
    throw new BrokerError('OUTCOME_UNKNOWN', text);
  }
}

function identityOf({ namedProducers }: MetadataImage, name: string): ProducerIdentity | null {
  const known = namedProducers.get(name);
  return known === undefined
    ? null
    : { producerId: known.producerId, producerEpoch: known.producerEpoch };
}

async function take(
  broker: BrokerApi,
  request: Omit<InitProducerRequest, 'kind'>,
  deadlineMs: number,
): Promise<ProducerIdentity> {
  const reply = await broker.decide({ kind: 'init-producer', ...request }, deadlineMs);
  if (reply.kind !== 'init-producer')
    throw new BrokerError('INTERNAL', `Answer to "init-producer" is "${reply.kind}"`);
  return { producerId: reply.producerId, producerEpoch: reply.producerEpoch };
}
