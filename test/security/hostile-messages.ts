/**
 * Messages that no honest client sends, for any method: bytes that are none, and messages of the
 * method's own shape whose every field is at an extreme. Seeded by nothing: always the same ones.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { fromBinary } from '@bufbuild/protobuf';
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';

export interface Hostile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const DEPTH_MAX = 6;
const GROUPS = 20_000;
const FIELDS = 20;

/** Of no shape. */
export function shapeless(): Hostile[] {
  const fields = Array.from({ length: FIELDS }, (_, index) => index + 1);
  const every = (write: (writer: BinaryWriter, field: number) => unknown): Uint8Array => {
    const writer = new BinaryWriter();
    for (const field of fields) write(writer, field);
    return writer.finish();
  };
  const bytes = [0x00, 0x07, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x80, 0xff];
  let nested: Uint8Array = new Uint8Array(0);
  for (let depth = 0; depth < 2_000; depth += 1)
    nested = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(nested).finish();
  const bad = Buffer.from([0xff, 0xfe, 0xc3, 0x28]);
  return [
    { name: 'nothing', bytes: new Uint8Array(0) },
    ...bytes.map((byte) => ({ name: `byte ${byte}`, bytes: Uint8Array.of(byte) })),
    ...fields.map((field) => ({
      name: `field ${field} that is cut off`,
      bytes: new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(100).finish(),
    })),
    ...fields.map((field) => ({
      name: `field ${field} of two bytes`,
      bytes: new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(0).finish(),
    })),
    ...[2 ** 31 - 1, 2 ** 32 - 1].map((length) => ({
      name: `a length of ${length}`,
      bytes: new BinaryWriter().tag(1, WireType.LengthDelimited).uint32(length).finish(),
    })),
    { name: 'an endless number', bytes: new Uint8Array(64).fill(0xff) },
    { name: 'deep messages', bytes: nested },
    { name: 'deep groups', bytes: new Uint8Array(GROUPS).fill(0x0b) },
    { name: 'groups of a field that is unknown', bytes: new Uint8Array(GROUPS).fill(0x7b) },
    { name: 'ends of groups', bytes: new Uint8Array(64).fill(0x0c) },
    {
      name: 'wrong UTF-8 everywhere',
      bytes: every((writer, field) => writer.tag(field, WireType.LengthDelimited).bytes(bad)),
    },
    {
      name: 'numbers everywhere',
      bytes: every((writer, field) => writer.tag(field, WireType.Varint).int64(-1)),
    },
    {
      name: 'a long text everywhere',
      bytes: every((writer, field) =>
        writer.tag(field, WireType.LengthDelimited).string('x'.repeat(20_000)),
      ),
    },
  ];
}

/** What a field of each kind is given. */
interface Fill {
  readonly name: string;
  readonly integer: bigint;
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly repeats: number;
}

const UUID = '11111111-2222-4333-8444-555555555555';
const NO_BYTES = new Uint8Array(0);

/** Fills for a broker of this id and topic: extremes, and words that pass the first checks. */
function fills(brokerId: number, topic: string): Fill[] {
  const sixteen = new Uint8Array(16).fill(7);
  return [
    { name: 'zeros', integer: 0n, text: '', bytes: NO_BYTES, repeats: 1 },
    { name: 'ones', integer: 1n, text: 'x', bytes: sixteen, repeats: 2 },
    { name: 'an insider', integer: BigInt(brokerId), text: UUID, bytes: sixteen, repeats: 1 },
    { name: 'the topic', integer: 2n, text: topic, bytes: sixteen, repeats: 1 },
    { name: '2^31 - 1', integer: 2n ** 31n - 1n, text: UUID, bytes: sixteen, repeats: 1 },
    { name: '2^32 - 1', integer: 2n ** 32n - 1n, text: topic, bytes: sixteen, repeats: 1 },
    { name: '2^53 - 1', integer: 2n ** 53n - 1n, text: UUID, bytes: sixteen, repeats: 1 },
    { name: '2^50', integer: 2n ** 50n, text: UUID, bytes: sixteen, repeats: 3 },
    { name: '2^64 - 1', integer: 2n ** 64n - 1n, text: '{"a":[', bytes: NO_BYTES, repeats: 1 },
    { name: 'controls', integer: 3n, text: '\u0000\u202e\n', bytes: sixteen, repeats: 40 },
  ];
}

/** Messages by the full names of their types, from a set of descriptors. */
export class Shapes {
  readonly #messages = new Map<string, DescriptorProto>();
  readonly #inputs = new Map<string, string>();

  constructor(image: Uint8Array) {
    for (const file of fromBinary(FileDescriptorSetSchema, image).file) {
      for (const message of file.messageType) this.#note(`.${file.package}`, message);
      for (const service of file.service)
        for (const { name, inputType } of service.method)
          this.#inputs.set(`/${file.package}.${service.name}/${name}`, inputType);
    }
  }

  /** Messages of the shape that the method of this path takes. */
  of(path: string, brokerId: number, topic: string): Hostile[] {
    const type = this.#inputs.get(path);
    if (type === undefined) return [];
    const choices = Math.max(1, this.#choices(type, 0));
    return fills(brokerId, topic).flatMap((fill) =>
      Array.from({ length: choices }, (_, choice) => ({
        name: `${fill.name}, choice ${choice}`,
        bytes: this.#write(type, fill, choice, 0),
      })),
    );
  }

  #note(prefix: string, message: DescriptorProto): void {
    const name = `${prefix}.${message.name}`;
    this.#messages.set(name, message);
    for (const nested of message.nestedType) this.#note(name, nested);
  }

  /** The largest number of alternatives of any oneof in the message. */
  #choices(type: string, depth: number): number {
    const message = this.#messages.get(type);
    if (message === undefined || depth > DEPTH_MAX) return 0;
    const own = message.oneofDecl.map(
      (_, index) => message.field.filter((field) => isChoice(field, index)).length,
    );
    const below = message.field.map(({ typeName }) => this.#choices(typeName, depth + 1));
    return Math.max(0, ...own, ...below);
  }

  #write(type: string, fill: Fill, choice: number, depth: number): Uint8Array {
    const writer = new BinaryWriter();
    const message = this.#messages.get(type);
    if (message === undefined || depth > DEPTH_MAX) return writer.finish();
    for (const field of message.field) {
      const rivals = message.field.filter(
        (other) => isChoice(field, field.oneofIndex) && isChoice(other, field.oneofIndex),
      );
      if (rivals.length > 0 && rivals[choice % rivals.length] !== field) continue;
      const times = field.label === Label.REPEATED ? fill.repeats : 1;
      for (let time = 0; time < times; time += 1)
        this.#writeField(writer, field, fill, choice, depth);
    }
    return writer.finish();
  }

  #writeField(
    writer: BinaryWriter,
    { number, type, typeName }: FieldDescriptorProto,
    fill: Fill,
    choice: number,
    depth: number,
  ): void {
    switch (type) {
      case Type.MESSAGE: {
        const bytes = this.#write(typeName, fill, choice, depth + 1);
        writer.tag(number, WireType.LengthDelimited).bytes(bytes);
        return;
      }
      case Type.STRING:
        writer.tag(number, WireType.LengthDelimited).string(fill.text);
        return;
      case Type.BYTES:
        writer.tag(number, WireType.LengthDelimited).bytes(fill.bytes);
        return;
      case Type.FIXED64:
      case Type.SFIXED64:
        writer.tag(number, WireType.Bit64).fixed64(fill.integer);
        return;
      case Type.FIXED32:
      case Type.SFIXED32:
        writer.tag(number, WireType.Bit32).fixed32(Number(fill.integer & 0xffff_ffffn));
        return;
      case Type.DOUBLE:
        writer.tag(number, WireType.Bit64).double(Number.NaN);
        return;
      case Type.FLOAT:
      case Type.GROUP:
        return;
      case Type.BOOL:
      case Type.ENUM:
      case Type.INT32:
      case Type.INT64:
      case Type.SINT32:
      case Type.SINT64:
      case Type.UINT32:
      case Type.UINT64:
        writer.tag(number, WireType.Varint).uint64(fill.integer);
    }
  }
}

/** Of a oneof that is not made up for an optional field. */
function isChoice(field: FieldDescriptorProto, index: number): boolean {
  return field.oneofIndex === index && !field.proto3Optional && isSet(field, 'oneofIndex');
}

/** Proto2 keeps defaults on the prototype: what is set is the message's own. */
function isSet(field: FieldDescriptorProto, name: keyof FieldDescriptorProto): boolean {
  return Object.hasOwn(field, name);
}
