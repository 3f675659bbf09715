/**
 * Asks an address who it is. A refused connection is proof that no process listens there: the
 * fastest sign of a death there is. Speaks HTTP/2 itself, for grpc-js leaves a connection open that
 * the other side accepted and never answered, and a stopped process is probed again and again.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
} from 'node:http2';
import { connect as connectSocket, type Socket } from 'node:net';

import { QuorumServiceService } from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { BrokerError } from '../../base/errors.ts';
import type { Address, NodeInfo } from '../runtime/ports.ts';
import type { BrokerId } from '../../base/units.ts';
import type { InternalTls } from './internal-tls.ts';
import { nodeInfoFromMessage } from './quorum-service.ts';
import { hostPort } from '../../base/host-port.ts';
import { reasonOf } from '../../base/reason.ts';

/** Flag and length before a gRPC message. */
const PREFIX_BYTES = 5;
/** Far more than an answer takes. */
const ANSWER_BYTES_MAX = 4_096;

/**
 * Null when the connection is refused; rejects with UNREACHABLE when nobody answers in time.
 *
 * @param tls null: none
 */
export function probe(
  address: Address,
  deadlineMs: number,
  tls: InternalTls | null = null,
): Promise<NodeInfo | null> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket(address);
    let session: ClientHttp2Session | null = null;
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      session?.destroy();
      socket.destroy();
      settle();
    };
    const fail = (reason: string, cause?: unknown): void =>
      finish(() => reject(unreachable(address, reason, cause)));
    const timer = setTimeout(() => fail(`no answer within ${deadlineMs} ms`), deadlineMs);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (session === null && isRefused(error)) finish(() => resolve(null));
      else fail(error.message, error);
    });
    const ask = (connection: Socket, brokerId: BrokerId | null): void => {
      session = openSession(address, connection);
      session.on('error', (error) => fail(error.message, error));
      session.on('close', () => fail('the connection was closed'));
      identify(session).then(
        (info) => {
          if (brokerId === null || info.brokerId === brokerId) finish(() => resolve(info));
          else fail(`it says broker ${info.brokerId}, its certificate broker ${brokerId}`);
        },
        (error: unknown) => fail(reasonOf(error), error),
      );
    };
    socket.once('connect', () => {
      if (tls === null) {
        ask(socket, null);
        return;
      }
      tls.secure(socket, address.host).then(
        (secure) => ask(secure, tls.brokerAt(secure)),
        (error: unknown) => fail(reasonOf(error), error),
      );
    });
  });
}

function openSession({ port }: Address, socket: Socket): ClientHttp2Session {
  // The name is for the request's authority only: a host that is an IPv6 address would have to be
  // bracketed, and nobody reads it.
  return connectHttp2(`http://probe:${port}`, { createConnection: () => socket });
}

async function identify(session: ClientHttp2Session): Promise<NodeInfo> {
  const headers = {
    ':method': 'POST',
    ':path': QuorumServiceService.identify.path,
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  const stream = session.request(headers);
  stream.end(Buffer.alloc(PREFIX_BYTES));
  let status: unknown = 'absent';
  stream.on('response', (response) => {
    status = response['grpc-status'] ?? status;
  });
  stream.on('trailers', (trailers) => {
    status = trailers['grpc-status'] ?? status;
  });
  const answer = await readAnswer(stream);
  if (Number(status) !== 0)
    throw new BrokerError('UNREACHABLE', `it answered with status ${String(status)}`);
  return nodeInfoFromMessage(
    QuorumServiceService.identify.responseDeserialize(answer.subarray(PREFIX_BYTES)),
  );
}

async function readAnswer(stream: ClientHttp2Stream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES_MAX)
      throw new BrokerError('UNREACHABLE', `its answer has more than ${ANSWER_BYTES_MAX} bytes`);
  }
  return Buffer.concat(chunks);
}

function unreachable({ host, port }: Address, reason: string, cause: unknown): BrokerError {
  const message = `Cannot reach ${hostPort(host, port)}: ${reason}`;
  return new BrokerError('UNREACHABLE', message, {}, cause);
}

/** A name with several addresses fails with all their errors: refused only if each of them was. */
function isRefused(error: NodeJS.ErrnoException): boolean {
  const errors =
    error instanceof AggregateError ? (error.errors as NodeJS.ErrnoException[]) : [error];
  return errors.every(({ code }) => code === 'ECONNREFUSED');
}
