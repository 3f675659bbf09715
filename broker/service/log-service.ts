/** LogService: checks requests, then leaves the work to the sessions and to the appender. */
import { Metadata, type ServerDuplexStream, type ServerWritableStream } from '@grpc/grpc-js';

import {
  type AppendRequest,
  type FetchRequest,
  type InitProducerRequest,
  type ListOffsetsRequest,
  LogServiceService,
  type LogServiceServer,
  type PartitionOffset,
  type ReadRequest,
  type ReadResponse,
} from '../../proto/gen/tidemark/v1/log.ts';
import { errorFromMessage } from '../../proto/grpc/errors.ts';
import { type FetchParts, serializeFetch } from '../../proto/grpc/frame-messages.ts';
import { BrokerError } from '../base/errors.ts';
import { integerField, textField, topicNameField } from '../wire/fields.ts';
import {
  expected,
  failCall,
  onMessages,
  type ReportDefect,
  unaryHandler,
  wellFormed,
} from '../wire/handlers.ts';
import type { Appender } from './appender.ts';
import { type Cluster, isForwarded, remainingMs } from './cluster.ts';
import { FetchSession } from './fetch-session.ts';
import { clusterOffsets, localOffsets, pointField } from './offsets.ts';
import { type ProduceCall, ProduceSession } from './produce-session.ts';
import { type ReadRange, ReadSession } from './read-session.ts';
import type { Traffic } from './traffic.ts';

export interface LogServiceParts {
  readonly cluster: Cluster;
  readonly appender: Appender;
  readonly traffic: Traffic;
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
  const { cluster, appender, traffic, report } = parts;
  return {
    append: unaryHandler(
      (request: AppendRequest, call) => appender.append(request, remainingMs(call)),
      report,
    ),
    read: (call: ReadCall) => void startRead(call, parts),
    listOffsets: unaryHandler(async (request: ListOffsetsRequest, call) => {
      const topic = cluster.topic(topicNameField('topic', request.topic));
      const partitions = cluster.partitions(topic, request.partitions);
      const question = { topic, partitions, point: pointField(request.start) };
      if (isForwarded(call)) return { offsets: await localOffsets(cluster, question, report) };
      return { offsets: await clusterOffsets(cluster, question, remainingMs(call), report) };
    }, report),
    initProducer: unaryHandler(async ({ name }: InitProducerRequest, call) => {
      const reply = await cluster.broker.decide(
        { kind: 'init-producer', name: textField('name', name) },
        remainingMs(call),
      );
      if (reply.kind !== 'init-producer')
        throw new BrokerError('INTERNAL', `Answer to "init-producer" is "${reply.kind}"`);
      return { producerId: reply.producerId, producerEpoch: reply.producerEpoch };
    }, report),
    produce: (call: ProduceCall) => {
      new ProduceSession(call, cluster.broker, traffic, report);
    },
    fetch: (call: FetchCall) => startFetch(call, parts),
  };
}

function startFetch(call: FetchCall, { cluster, traffic, report }: LogServiceParts): void {
  const send = (response: FetchParts): boolean => {
    const hasRoom = call.write(response);
    // A reader that does not read is not listened to either: what it asks for could not be answered.
    if (!hasRoom) call.pause();
    return hasRoom;
  };
  const session = new FetchSession(cluster.broker, { send }, traffic, report);
  call.sendMetadata(new Metadata());
  onMessages(call, (request: FetchRequest) => session.take(request), report);
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
  call.on('error', () => session?.close());
  call.on('drain', () => session?.onDrain());
  call.on('cancelled', () => {
    isCancelled = true;
    session?.close();
  });
  try {
    const request = wellFormed(call.request);
    const topic = parts.cluster.topic(topicNameField('topic', request.topic));
    const ranges = await readRanges(request, call, parts);
    if (isCancelled) return;
    call.sendMetadata(new Metadata());
    session = new ReadSession({
      ...parts,
      topic,
      ranges,
      recordsMax: request.maxRecords,
      send: (response) => call.write(response),
      finish: (error) => (error === null ? call.end() : failCall(call, error)),
    });
  } catch (error) {
    failCall(call, expected(error, parts.report));
  }
}

/** Where each partition begins and ends: by its cursor, else by the start point, up to the latest offset of now unless the reader follows. */
async function readRanges(
  request: ReadRequest,
  call: ReadCall,
  { cluster, report }: LogServiceParts,
): Promise<ReadRange[]> {
  const topic = cluster.topic(request.topic);
  const partitions = cluster.partitions(topic, request.partitions);
  const cursors = new Map(request.cursors.map((cursor) => [cursor.partition, cursor]));
  for (const partition of cursors.keys()) {
    if (!partitions.includes(partition))
      throw new BrokerError(
        'INVALID_ARGUMENT',
        `cursors names partition ${partition}, must be one of those read`,
      );
  }
  integerField('cursors length', request.cursors.length, cursors.size, cursors.size);
  const uncharted = partitions.filter((partition) => !cursors.has(partition));
  const deadlineMs = remainingMs(call);
  // A high-water mark may be behind, at a leader that is new or was replaced unheard: an end is what the leader can vouch for as the latest.
  const ending = request.follow ? [] : partitions;
  const [starts, ends] = await Promise.all([
    clusterOffsets(
      cluster,
      { topic, partitions: uncharted, point: pointField(request.start) },
      deadlineMs,
      report,
    ),
    clusterOffsets(
      cluster,
      { topic, partitions: ending, point: { $case: 'latest', value: true } },
      deadlineMs,
      report,
    ),
  ]);
  const startOf = offsetsOf(starts);
  const endOf = offsetsOf(ends);
  return partitions.map((partition) => {
    const cursor = cursors.get(partition);
    return {
      partition,
      offset: cursor?.offset ?? startOf.get(partition) ?? 0,
      leaderEpoch: cursor?.leaderEpoch ?? 0,
      endOffset: request.follow ? null : (endOf.get(partition) ?? 0),
    };
  });
}

function offsetsOf(answers: readonly PartitionOffset[]): Map<number, number> {
  return new Map(
    answers.map(({ partition, offset = 0, error }) => {
      if (error !== undefined) throw errorFromMessage(error);
      return [partition, offset];
    }),
  );
}
