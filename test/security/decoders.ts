/**
 * Every decoder of what comes from the wire or a disk, beside golden bytes. A decoder that meets
 * bytes that are none says so with an error of its own, or returns; anything else is a defect.
 */
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { AssertionError } from '../../base/assert.ts';
import { BrokerError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { requestFromMessage } from '../../broker/messages/controller-codec.ts';
import { checkedDefinition, wellFormed } from '../../broker/messages/handlers.ts';
import { exchangeFromMessage } from '../../broker/messages/raft-codec.ts';
import { decodeImage, decodeRecords } from '../../broker/metadata/codec.ts';
import { decodeRecord as decodeQueueRecord } from '../../broker/queues/records.ts';
import { ProducerTable } from '../../broker/replication/producers.ts';
import { decodeHead, decodeWrites } from '../../broker/storage/quorum-content.ts';
import { encodeQuorumFrame, FRAMES_AT, readQuorumFile } from '../../broker/storage/quorum-file.ts';
import { HEALTH_SERVICE } from '../../broker/telemetry/health.ts';
import { REFLECTION_SERVICES } from '../../broker/telemetry/reflection.ts';
import {
  DecideRequest,
  ExchangeRequest,
  QuorumServiceService,
} from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { ReplicationServiceService } from '../../proto/gen/tidemark/internal/v1/replication.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { checkFrame, splitFrames } from '../../wire/batch/frame.ts';
import { decodeBatch } from '../../wire/records/batch.ts';
import { frames } from '../fixtures/frames.ts';
import { Shapes, shapeless } from './hostile-messages.ts';

export interface Decoder {
  readonly name: string;
  readonly golden: readonly Uint8Array[];
  /** May throw a {@link BrokerError}, or what `refusals` names. */
  readonly decode: (bytes: Uint8Array) => unknown;
}

const IMAGE = readFileSync(new URL('../../proto/tidemark.binpb', import.meta.url));
const QUEUE_DELTA = {
  ...{ v: 1, cut: -1, next: 1_042, history: [[900, 4]], base: 0, epochs: [[1_023, 4]] },
  runs: '+sfW1@2L1*4+2D3',
};
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const BATCHES = frames(0, 4).map(({ bytes }) => bytes);

/** Every method of every service, then what is inside of messages and files. */
export function decoders(): Decoder[] {
  const shapes = new Shapes(IMAGE);
  const golden = (path: string): Uint8Array[] =>
    [...shapes.of(path, 1, 'topic'), ...shapeless()].map(({ bytes }) => bytes);
  const services = [
    LogServiceService,
    AdminServiceService,
    QuorumServiceService,
    ReplicationServiceService,
    HEALTH_SERVICE,
    ...Object.values(REFLECTION_SERVICES),
  ];
  const methods = services.flatMap((service) =>
    Object.values(checkedDefinition(service as never) as typeof QuorumServiceService),
  );
  const head = {
    hardState: { term: 3, vote: null },
    snapshot: null,
    entries: [{ index: 1, term: 2, kind: 'data', data: '[]' }],
    incarnation: { brokerEpoch: 1, starts: 1 },
  };
  const writes = [{ id: 1, kind: 'append', firstIndex: 2, entries: head.entries }];
  const batch = { producerEpoch: 0, baseSequence: 0, recordCount: 1, baseOffset: 0, lastOffset: 0 };
  return [
    ...methods.map(({ path, requestDeserialize }) => ({
      name: path,
      golden: golden(path),
      decode: (bytes: Uint8Array) => wellFormed<unknown>(requestDeserialize(Buffer.from(bytes))),
    })),
    {
      name: 'raft message',
      golden: golden(QuorumServiceService.exchange.path),
      decode: (bytes) => exchangeFromMessage(decoded(() => ExchangeRequest.decode(bytes))),
    },
    {
      name: 'request to the controller',
      golden: golden(QuorumServiceService.decide.path),
      decode: (bytes) => requestFromMessage(decoded(() => DecideRequest.decode(bytes))),
    },
    { name: 'frame', golden: BATCHES, decode: (bytes) => checkFrame(bytes, 0, crc32) },
    { name: 'frames', golden: BATCHES, decode: (bytes) => splitFrames(bytes, 8) },
    { name: 'batch', golden: BATCHES, decode: (bytes) => decodeBatch(bytes, 0, crc32) },
    {
      name: 'metadata entry',
      golden: [bytesOf([{ kind: 'broker-fenced', brokerId: 1, brokerEpoch: 2 }])],
      decode: (bytes) => decodeRecords(text(bytes)),
    },
    {
      name: 'metadata snapshot',
      golden: [bytesOf({ version: 1 })],
      decode: (bytes) => decodeImage(text(bytes)),
    },
    {
      name: 'head of the quorum log',
      golden: [bytesOf(head)],
      decode: (bytes) => decodeHead(text(bytes)),
    },
    {
      name: 'writes of the quorum log',
      golden: [bytesOf(writes)],
      decode: (bytes) => decodeWrites(text(bytes)),
    },
    {
      name: 'quorum log',
      golden: [
        Buffer.concat([
          Buffer.alloc(FRAMES_AT),
          encodeQuorumFrame(1, '{}'),
          encodeQuorumFrame(2, '[]'),
        ]),
      ],
      decode: (bytes) => readQuorumFile(bytes),
    },
    {
      name: 'change of a queue',
      golden: [bytesOf(QUEUE_DELTA)],
      decode: (bytes) =>
        decodeQueueRecord({ key: '["delta","jobs","orders",3]', value: text(bytes) }),
    },
    {
      name: 'producers',
      golden: [bytesOf([[7, [batch]]])],
      decode: (bytes) => new ProducerTable({ producersMax: 10, nowMs: 0 }).restore(text(bytes)),
    },
  ];
}

/** Decodes one mutation. Throws what is no refusal. */
export function fuzz({ name, golden, decode }: Decoder, random: Random): void {
  const bytes = mutated(golden, random);
  try {
    decode(bytes);
  } catch (error) {
    if (error instanceof BrokerError && !(error instanceof AssertionError)) return;
    throw new Error(`${name} breaks at ${Buffer.from(bytes).toString('hex').slice(0, 4_000)}`, {
      cause: error,
    });
  }
}

/** Protobuf's own refusals, as the guard answers them. */
function decoded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new BrokerError('INVALID_ARGUMENT', String(error));
  }
}

function mutated(golden: readonly Uint8Array[], random: Random): Uint8Array {
  let bytes = Buffer.from(golden[between(random, 0, golden.length - 1)] ?? []);
  for (let left = between(random, 1, 6); left > 0; left -= 1)
    bytes = changed(bytes, golden, random);
  return bytes;
}

const WORDS = [0, 1, 0x7f, 0x80, 0xff];

function changed(
  bytes: Buffer<ArrayBuffer>,
  golden: readonly Uint8Array[],
  random: Random,
): Buffer<ArrayBuffer> {
  const at = between(random, 0, bytes.length);
  const next = Buffer.from(bytes);
  switch (between(random, 0, 5)) {
    case 0:
      return next.subarray(0, at);
    case 1:
      if (at < next.length) next[at] = (next[at] ?? 0) ^ (1 << between(random, 0, 7));
      return next;
    case 2:
      if (at < next.length) next[at] = WORDS[between(random, 0, WORDS.length - 1)] ?? 0;
      return next;
    case 3: {
      const piece = Buffer.alloc(between(random, 1, 12), between(random, 0, 255));
      return Buffer.concat([next.subarray(0, at), piece, next.subarray(at)]);
    }
    case 4:
      return Buffer.concat([next.subarray(0, at), next.subarray(at + between(random, 1, 8))]);
    default: {
      const other = golden[between(random, 0, golden.length - 1)] ?? new Uint8Array(0);
      return Buffer.concat([
        next.subarray(0, at),
        other.subarray(between(random, 0, other.length)),
      ]);
    }
  }
}

/** A whole number of both bounds, inclusive. */
function between(random: Random, min: number, max: number): number {
  return min + random.below(max - min + 1);
}
