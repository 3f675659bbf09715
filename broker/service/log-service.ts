/** LogService: checks requests, then leaves the work to the sessions and to the appender. */
import { initProducer } from './init-producer.ts';
import { Metadata, type ServerDuplexStream, type ServerWritableStream } from '@grpc/grpc-js';

import {
  type AppendRequest,
  type FetchRequest,
  type InitProducerRequest,
  type ListOffsetsRequest,
  LogServiceService,
  type LogServiceServer,
  type ReadRequest,
  type ReadResponse,
} from '../../proto/gen/tidemark/v1/log.ts';
import { type FetchParts, serializeFetch } from '../../wire/grpc/frame-messages.ts';
import type { FairShares } from '../access/fair-shares.ts';
import { textField, topicNameField } from '../messages/fields.ts';
import { heldOf } from '../messages/held.ts';
import { expected, failCall, type ReportDefect, unaryHandler } from '../messages/handlers.ts';
import type { Appender } from './appender.ts';
import { remainingMs } from '../messages/deadline.ts';
import { onBehalfOf, principalOf } from '../messages/principal.ts';
import { type Cluster, handedOn, isForwarded } from './cluster.ts';
import { FetchSession } from './fetch-session.ts';
import { clusterOffsets, localOffsets, pointField } from './offsets.ts';
import { type ProduceCall, ProduceSession } from './produce-session.ts';
import { readRanges } from './read-ranges.ts';
import { ReadSession } from './read-session.ts';
import type { Traffic } from './traffic.ts';

export interface LogServiceParts {
  readonly cluster: Cluster;
  readonly appender: Appender;
  readonly traffic: Traffic;
  readonly shares: FairShares;
  readonly report: ReportDefect;
}

/** The service's definition, with frames serialized where they lie. */
export const LOG_SERVICE = {
  ...LogServiceService,
  fetch: { ...LogServiceService.fetch, responseSerialize: serializeFetch },
};

type FetchCall = ServerDuplexStream<FetchRequest, FetchParts>;
type ReadCall = ServerWritableStream<ReadRequest, ReadResponse>;

/** Handlers of LogService, by the names of {@link LOG_SERVICE}. */
export function logService(
  parts: LogServiceParts,
): Omit<LogServiceServer, 'fetch'> & { readonly fetch: (call: FetchCall) => void } {
  const { cluster, appender, traffic, shares, report } = parts;
  return {
    append: unaryHandler(
      (request: AppendRequest, call) => appender.append(request, handedOn(call, cluster.clock)),
      report,
    ),
    read: (call: ReadCall) => void startRead(call, parts),
    listOffsets: unaryHandler(async (request: ListOffsetsRequest, call) => {
      const topic = cluster.topic(topicNameField('topic', request.topic));
      const partitions = cluster.partitions(topic, request.partitions);
      const point = pointField(request.start);
      const question = { topic, partitions, point, principal: principalOf(call) };
      if (isForwarded(call)) return { offsets: await localOffsets(cluster, question, report) };
      return {
        offsets: await clusterOffsets(cluster, question, remainingMs(call, cluster.clock), report),
      };
    }, report),
    initProducer: unaryHandler(
      ({ name, expected }: InitProducerRequest, call) =>
        initProducer(
          cluster.broker,
          { name: textField('name', name), expected, ...onBehalfOf(call) },
          remainingMs(call, cluster.clock),
        ),
      report,
    ),
    produce: (call: ProduceCall) => {
      new ProduceSession(call, { broker: cluster.broker, traffic, shares, report });
    },
    fetch: (call: FetchCall) => startFetch(call, parts),
  };
}

function startFetch(call: FetchCall, { cluster, traffic, report }: LogServiceParts): void {
  const send = (response: FetchParts): boolean => {
    const hasRoom = call.write(response);
    // A reader that does not read is not listened to either: what it asks for could not be
    // answered.
    if (!hasRoom) call.pause();
    return hasRoom;
  };
  const session = new FetchSession(cluster.broker, { send }, traffic, report);
  call.sendMetadata(new Metadata());
  call.on('data', (request: FetchRequest) => session.take(request));
  call.on('drain', () => {
    call.resume();
    session.onDrain();
  });
  call.on('end', () => {
    session.close();
    call.end();
  });
  call.on('error', () => session.close());
  call.on('cancelled', () => session.close());
}

async function startRead(call: ReadCall, parts: LogServiceParts): Promise<void> {
  let session: ReadSession | null = null;
  let isCancelled = false;
  call.on('error', () => {
    isCancelled = true;
    session?.close();
  });
  call.on('drain', () => session?.onDrain());
  call.on('cancelled', () => {
    isCancelled = true;
    session?.close();
  });
  try {
    const { request } = call;
    const topic = parts.cluster.topic(topicNameField('topic', request.topic));
    const principal = principalOf(call);
    const deadlineMs = remainingMs(call, parts.cluster.clock);
    const ranges = await readRanges(request, deadlineMs, { ...parts, principal });
    if (isCancelled) return;
    call.sendMetadata(new Metadata());
    session = new ReadSession({
      ...parts,
      principal,
      topic,
      ranges,
      recordsMax: request.maxRecords,
      held: heldOf(call),
      send: (response) => call.write(response),
      finish: (error) => (error === null ? call.end() : failCall(call, error)),
    });
  } catch (error) {
    failCall(call, expected(error, parts.report));
  }
}
