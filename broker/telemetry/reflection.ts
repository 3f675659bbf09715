/**
 * Server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), v1 and
 * v1alpha, which differ in name only: lets grpcurl and its kind call a broker without the .proto
 * files. Messages are read and written by hand; field numbers are those of reflection.proto.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { type MethodDefinition, type ServerDuplexStream, status as Status } from '@grpc/grpc-js';

import type { ProtoFile, ProtoIndex } from './descriptors.ts';

/** What is asked: one of four things, or one that this server does not know. */
interface Question {
  readonly kind: 'file' | 'symbol' | 'extension' | 'list' | 'unknown';
  readonly value: string;
  /** As it came, for the answer must repeat it. */
  readonly original: Uint8Array;
}

type Call = ServerDuplexStream<Question, Uint8Array>;

/** Both versions, for the server. */
export const REFLECTION_SERVICES = {
  v1: { serverReflectionInfo: method('grpc.reflection.v1') },
  v1alpha: { serverReflectionInfo: method('grpc.reflection.v1alpha') },
};

/** Handler for both versions. `services`: full names to list. */
export function reflectionHandler(
  index: ProtoIndex,
  services: readonly string[],
): { readonly serverReflectionInfo: (call: Call) => void } {
  return {
    serverReflectionInfo: (call) => {
      call.on('data', (question: Question) => {
        if (!call.write(answer(index, services, question))) call.pause();
      });
      call.on('drain', () => call.resume());
      call.on('end', () => call.end());
      call.on('error', () => undefined);
    },
  };
}

function answer(
  index: ProtoIndex,
  services: readonly string[],
  { kind, value, original }: Question,
): Uint8Array {
  const writer = new BinaryWriter().uint32(18).bytes(original);
  if (kind === 'list') {
    writer.uint32(50).fork();
    for (const name of services) writer.uint32(10).fork().uint32(10).string(name).join();
    return writer.join().finish();
  }
  const file =
    kind === 'file'
      ? index.byName.get(value)
      : kind === 'symbol'
        ? index.bySymbol.get(value)
        : undefined;
  if (file !== undefined) {
    writer.uint32(34).fork();
    for (const { bytes } of withDependencies(index, file)) writer.uint32(10).bytes(bytes);
    return writer.join().finish();
  }
  const [code, message] =
    kind === 'unknown'
      ? [Status.UNIMPLEMENTED, 'unknown kind of request']
      : [Status.NOT_FOUND, `no ${kind} "${value}"`];
  return writer.uint32(58).fork().uint32(8).int32(code).uint32(18).string(message).join().finish();
}

/** The file first, then everything it imports. */
function withDependencies(index: ProtoIndex, file: ProtoFile): Iterable<ProtoFile> {
  const found = new Set([file]);
  for (const each of found) {
    for (const name of each.dependencies) {
      const dependency = index.byName.get(name);
      if (dependency !== undefined) found.add(dependency);
    }
  }
  return found;
}

function method(packageName: string): MethodDefinition<Question, Uint8Array> {
  return {
    path: `/${packageName}.ServerReflection/ServerReflectionInfo`,
    requestStream: true,
    responseStream: true,
    requestSerialize: ({ original }) => toBuffer(original),
    requestDeserialize: readQuestion,
    responseSerialize: toBuffer,
    responseDeserialize: (bytes) => bytes,
  };
}

function readQuestion(bytes: Buffer): Question {
  const reader = new BinaryReader(bytes);
  let question: Question = { kind: 'unknown', value: '', original: bytes };
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 26) question = { kind: 'file', value: reader.string(), original: bytes };
    else if (tag === 34) question = { kind: 'symbol', value: reader.string(), original: bytes };
    else if (tag === 58) question = { kind: 'list', value: reader.string(), original: bytes };
    else reader.skip(tag & 7);
    if (tag === 42) question = { kind: 'extension', value: '', original: bytes };
  }
  return question;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
