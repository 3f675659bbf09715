/**
 * grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): the broker as a
 * whole, under the empty name, and each of its services, SERVING in phase `serving` alone. Its
 * three small messages are written here by hand, for they will never change.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import {
  type MethodDefinition,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  status as Status,
} from '@grpc/grpc-js';

export const HEALTH_SERVICE_NAME = 'grpc.health.v1.Health';

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
/**
 * Watches look at the phase this often: a change of phase is news to a balancer, not an event of
 * the data path.
 */
const WATCH_PERIOD_MS = 200;

export interface HealthOptions {
  readonly isServing: () => boolean;
  /** Full names of the services, beside the empty one. */
  readonly services: readonly string[];
}

/** An object, for grpc-js takes an empty string for no message at all. */
export interface HealthRequest {
  readonly service: string;
}

type Watcher = ServerWritableStream<HealthRequest, number>;

/** Definition for the server: requests are names of services, responses their status. */
export const HEALTH_SERVICE = {
  check: method('Check', false),
  watch: method('Watch', true),
};

/** The service and its messages as a FileDescriptorSet, for reflection. */
export function healthDescriptors(): Uint8Array {
  const field = { number: 1, label: Label.OPTIONAL };
  const types = {
    inputType: '.grpc.health.v1.HealthCheckRequest',
    outputType: '.grpc.health.v1.HealthCheckResponse',
  };
  const statuses = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
  const file = {
    name: 'grpc/health/v1/health.proto',
    package: 'grpc.health.v1',
    syntax: 'proto3',
    messageType: [
      {
        name: 'HealthCheckRequest',
        field: [{ ...field, name: 'service', jsonName: 'service', type: Type.STRING }],
      },
      {
        name: 'HealthCheckResponse',
        field: [
          {
            ...field,
            name: 'status',
            jsonName: 'status',
            type: Type.ENUM,
            typeName: '.grpc.health.v1.HealthCheckResponse.ServingStatus',
          },
        ],
        enumType: [
          { name: 'ServingStatus', value: statuses.map((name, number) => ({ name, number })) },
        ],
      },
    ],
    service: [
      {
        name: 'Health',
        method: [
          { name: 'Check', ...types },
          { name: 'Watch', ...types, serverStreaming: true },
        ],
      },
    ],
  };
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file] }));
}

export class Health {
  readonly #isServing: () => boolean;
  readonly #names: ReadonlySet<string>;
  readonly #watchers = new Map<Watcher, number>();
  #timer: NodeJS.Timeout | null = null;

  constructor({ isServing, services }: HealthOptions) {
    this.#isServing = isServing;
    this.#names = new Set(['', ...services]);
  }

  /** Handlers, by the names of {@link HEALTH_SERVICE}. */
  handlers() {
    return {
      check: (
        call: ServerUnaryCall<HealthRequest, number>,
        answer: sendUnaryData<number>,
      ): void => {
        const status = this.#statusOf(call.request.service);
        if (status === SERVICE_UNKNOWN)
          answer({
            code: Status.NOT_FOUND,
            details: `No service is named "${call.request.service}"`,
          });
        else answer(null, status);
      },
      watch: (call: Watcher): void => this.#watch(call),
    };
  }

  /** Ends all watches. */
  close(): void {
    for (const call of this.#watchers.keys()) call.end();
    this.#watchers.clear();
    this.#rest();
  }

  #statusOf(service: string): number {
    if (!this.#names.has(service)) return SERVICE_UNKNOWN;
    return this.#isServing() ? SERVING : NOT_SERVING;
  }

  #watch(call: Watcher): void {
    const status = this.#statusOf(call.request.service);
    this.#watchers.set(call, status);
    call.write(status);
    call.on('error', () => this.#leave(call));
    call.on('cancelled', () => this.#leave(call));
    this.#timer ??= setInterval(() => this.#look(), WATCH_PERIOD_MS).unref();
  }

  #look(): void {
    for (const [call, told] of this.#watchers) {
      const status = this.#statusOf(call.request.service);
      if (status === told) continue;
      this.#watchers.set(call, status);
      call.write(status);
    }
  }

  #leave(call: Watcher): void {
    this.#watchers.delete(call);
    this.#rest();
  }

  #rest(): void {
    if (this.#watchers.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}

function method(name: string, isStream: boolean): MethodDefinition<HealthRequest, number> {
  return {
    path: `/${HEALTH_SERVICE_NAME}/${name}`,
    requestStream: false,
    responseStream: isStream,
    requestSerialize: ({ service }) =>
      toBuffer(service === '' ? new BinaryWriter() : new BinaryWriter().uint32(10).string(service)),
    requestDeserialize: (bytes) => {
      const reader = new BinaryReader(bytes);
      let service = '';
      while (reader.pos < reader.len) {
        const tag = reader.uint32();
        if (tag === 10) service = reader.string();
        else reader.skip(tag & 7);
      }
      return { service };
    },
    responseSerialize: (value) => toBuffer(new BinaryWriter().uint32(8).int32(value)),
    responseDeserialize: (bytes) => {
      const reader = new BinaryReader(bytes);
      let value = 0;
      while (reader.pos < reader.len) {
        const tag = reader.uint32();
        if (tag === 8) value = reader.int32();
        else reader.skip(tag & 7);
      }
      return value;
    },
  };
}

function toBuffer(writer: BinaryWriter): Buffer {
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
