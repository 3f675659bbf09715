/** Calls to another process, with failures as BrokerError. */
import { Metadata, type MethodDefinition } from '@grpc/grpc-js';

import type { Clock } from '../../base/clock.ts';
import type { Channel } from './channel.ts';
import { errorFromStatus } from './errors.ts';

/** Options of one call. */
export interface CallOptions {
  readonly deadlineMs: number;
  readonly metadata?: Metadata;
  /** Turns the time that is left into the moment that gRPC wants. */
  readonly clock: Pick<Clock, 'wallMs'>;
}

/**
 * One request, one answer. Rejects with a BrokerError: what the other side answered, or UNREACHABLE
 * when no answer came.
 */
export function callUnary<Request, Response>(
  channel: Pick<Channel, 'makeUnaryRequest'>,
  method: Pick<
    MethodDefinition<Request, Response>,
    'path' | 'requestSerialize' | 'responseDeserialize'
  >,
  request: Request,
  { deadlineMs, metadata = new Metadata(), clock }: CallOptions,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    channel.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      { deadline: clock.wallMs() + deadlineMs },
      (failure, response) => {
        if (failure !== null) reject(errorFromStatus(failure));
        else resolve(response as Response);
      },
    );
  });
}
