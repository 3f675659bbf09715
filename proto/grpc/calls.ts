/** Calls to another process, with failures as BrokerError. */
import { type Client, Metadata, type MethodDefinition } from '@grpc/grpc-js';

import { errorFromStatus } from './errors.ts';

/** Options of one call. */
export interface CallOptions {
  readonly deadlineMs: number;
  readonly metadata?: Metadata;
}

/** One request, one answer. Rejects with a BrokerError: what the other side answered, or BROKER_NOT_READY when it could not be reached. */
export function callUnary<Request, Response>(
  client: Client,
  method: Pick<
    MethodDefinition<Request, Response>,
    'path' | 'requestSerialize' | 'responseDeserialize'
  >,
  request: Request,
  { deadlineMs, metadata = new Metadata() }: CallOptions,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + deadlineMs },
      (failure, response) => {
        if (failure !== null) reject(errorFromStatus(failure));
        else resolve(response as Response);
      },
    );
  });
}
