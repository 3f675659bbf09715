/** Health and reflection, over a real server. */
import { readFileSync } from 'node:fs';

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
} from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { GrpcServer } from '../../../../broker/network/grpc-server.ts';
import { readDescriptors } from '../../../../broker/telemetry/descriptors.ts';
import {
  Health,
  HEALTH_SERVICE,
  HEALTH_SERVICE_NAME,
  healthDescriptors,
} from '../../../../broker/telemetry/health.ts';
import { REFLECTION_SERVICES, reflectionHandler } from '../../../../broker/telemetry/reflection.ts';
import { systemClock } from '../../../../process/system-clock.ts';
import { callUnary } from '../../../../wire/grpc/calls.ts';

const SERVICES = ['tidemark.v1.LogService', 'tidemark.v1.AdminService'];
const LISTED = [...SERVICES, HEALTH_SERVICE_NAME];
const IMAGE = readFileSync(new URL('../../../../proto/tidemark.binpb', import.meta.url));

let isServing = true;
let server: GrpcServer;
let health: Health;
let client: Client;

beforeEach(async () => {
  isServing = true;
  server = new GrpcServer();
  health = new Health({ isServing: () => isServing, services: SERVICES });
  server.add(HEALTH_SERVICE, health.handlers());
  const index = readDescriptors(Buffer.concat([IMAGE, healthDescriptors()]));
  const handler = reflectionHandler(index, LISTED);
  for (const definition of Object.values(REFLECTION_SERVICES)) server.add(definition, handler);
  client = new Client(
    `127.0.0.1:${await server.listen({ host: '127.0.0.1', port: 0 })}`,
    credentials.createInsecure(),
  );
});

afterEach(async () => {
  health.close();
  client.close();
  await server.close(0);
});

describe('Health', () => {
  it.each(['', ...SERVICES])('Check answers for "%s"', async (service) => {
    expect(
      await callUnary(
        client,
        HEALTH_SERVICE.check,
        { service },
        { deadlineMs: 5_000, clock: systemClock },
      ),
    ).toBe(1);
    isServing = false;
    expect(
      await callUnary(
        client,
        HEALTH_SERVICE.check,
        { service },
        { deadlineMs: 5_000, clock: systemClock },
      ),
    ).toBe(2);
  });

  it('Check refuses a service that is not there', async () => {
    await expect(
      callUnary(
        client,
        HEALTH_SERVICE.check,
        { service: 'other' },
        { deadlineMs: 5_000, clock: systemClock },
      ),
    ).rejects.toThrow('No service is named "other"');
  });

  it('Watch tells each change once', async () => {
    const { path, requestSerialize, responseDeserialize } = HEALTH_SERVICE.watch;
    const stream: ClientReadableStream<number> = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service: '' },
      new Metadata(),
    );
    const statuses = (stream as AsyncIterable<number>)[Symbol.asyncIterator]();
    expect((await statuses.next()).value).toBe(1);
    isServing = false;
    expect((await statuses.next()).value).toBe(2);
  });
});

/** Asks one question; returns field numbers and bytes of the answer. */
async function ask(
  version: 'v1' | 'v1alpha',
  field: number,
  value: string,
): Promise<Map<number, Uint8Array>> {
  const { path, responseDeserialize } = REFLECTION_SERVICES[version].serverReflectionInfo;
  const request = Buffer.from(
    new BinaryWriter()
      .uint32(field * 8 + 2)
      .string(value)
      .finish(),
  );
  const stream: ClientDuplexStream<Buffer, Uint8Array> = client.makeBidiStreamRequest(
    path,
    (bytes: Buffer) => bytes,
    responseDeserialize,
    new Metadata(),
  );
  stream.write(request);
  const { value: answer } = (await (stream as AsyncIterable<Uint8Array>)
    [Symbol.asyncIterator]()
    .next()) as { value: Uint8Array };
  const reader = new BinaryReader(answer);
  const parts = new Map<number, Uint8Array>();
  while (reader.pos < reader.len) parts.set(reader.tag()[0], reader.bytes());
  expect(Buffer.from(parts.get(2)!)).toEqual(request);
  return parts;
}

/** Names of the files in a FileDescriptorResponse. */
function fileNames(response: Uint8Array): string[] {
  const reader = new BinaryReader(response);
  const names: string[] = [];
  while (reader.pos < reader.len) {
    reader.tag();
    const file = new BinaryReader(reader.bytes());
    file.tag();
    names.push(file.string());
  }
  return names;
}

describe.each(['v1', 'v1alpha'] as const)('reflection %s', (version) => {
  it('lists services', async () => {
    const list = (await ask(version, 7, '')).get(6)!;
    expect(LISTED.filter((name) => Buffer.from(list).includes(name))).toEqual(LISTED);
  });

  it.each([
    'tidemark.v1.LogService',
    'tidemark.v1.LogService.Append',
    'tidemark.v1.AppendRecord',
    'tidemark.v1.AckLevel',
  ])('finds the file of %s and what it imports', async (symbol) => {
    const files = fileNames((await ask(version, 4, symbol)).get(4)!);
    expect(files).toEqual([
      'tidemark/v1/log.proto',
      'tidemark/v1/errors.proto',
      'tidemark/v1/losses.proto',
      'tidemark/v1/records.proto',
    ]);
  });

  it.each([
    HEALTH_SERVICE_NAME,
    `${HEALTH_SERVICE_NAME}.Check`,
    'grpc.health.v1.HealthCheckResponse.ServingStatus',
  ])('finds the file of %s, which is not of this project', async (symbol) => {
    const files = fileNames((await ask(version, 4, symbol)).get(4)!);
    expect(files).toEqual(['grpc/health/v1/health.proto']);
  });

  it('finds a file by name', async () => {
    expect(fileNames((await ask(version, 3, 'tidemark/v1/errors.proto')).get(4)!)).toEqual([
      'tidemark/v1/errors.proto',
    ]);
  });

  it.each([
    { field: 4, value: 'tidemark.v1.Nothing', code: 5 },
    { field: 5, value: '', code: 5 },
    { field: 6, value: 'x', code: 12 },
  ])('answers an error to field $field "$value"', async ({ field, value, code }) => {
    const error = new BinaryReader((await ask(version, field, value)).get(7)!);
    expect([error.tag()[0], error.int32()]).toEqual([1, code]);
  });
});
