/**
 * The descriptor image (a google.protobuf.FileDescriptorSet) as reflection needs it: files by name,
 * and by the symbols that they define.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** One .proto file. */
export interface ProtoFile {
  readonly name: string;
  readonly dependencies: readonly string[];
  /** Full names of services, in order. */
  readonly services: readonly string[];
  /** Its FileDescriptorProto. */
  readonly bytes: Uint8Array;
}

/** Files by name and by full name of everything in them. */
export interface ProtoIndex {
  readonly byName: ReadonlyMap<string, ProtoFile>;
  readonly bySymbol: ReadonlyMap<string, ProtoFile>;
}

// Field numbers of google/protobuf/descriptor.proto.
const SET_FILE = 1;
const FILE = {
  name: 1,
  package: 2,
  dependency: 3,
  message: 4,
  enum: 5,
  service: 6,
  extension: 7,
} as const;
const MESSAGE = { name: 1, nested: 3, enum: 4, field: 2 } as const;
const NAME = 1;
const SERVICE_METHOD = 2;

/** Reads an image. Throws on anything that is not one. */
export function readDescriptors(image: Uint8Array): ProtoIndex {
  const byName = new Map<string, ProtoFile>();
  const bySymbol = new Map<string, ProtoFile>();
  for (const bytes of fields(image).get(SET_FILE) ?? []) {
    const parts = fields(bytes);
    const prefix = text(parts, FILE.package);
    const serviceParts = (parts.get(FILE.service) ?? []).map(fields);
    const services = serviceParts.map((service) => qualified(prefix, text(service, NAME)));
    const file = {
      name: text(parts, FILE.name),
      dependencies: (parts.get(FILE.dependency) ?? []).map(decode),
      services,
      bytes,
    };
    byName.set(file.name, file);
    const symbols = [
      ...services,
      ...serviceParts.flatMap((service, index) =>
        (service.get(SERVICE_METHOD) ?? []).map(
          (method) => `${services[index] ?? ''}.${text(fields(method), NAME)}`,
        ),
      ),
      ...(parts.get(FILE.enum) ?? []).map((each) => qualified(prefix, text(fields(each), NAME))),
      ...(parts.get(FILE.extension) ?? []).map((each) =>
        qualified(prefix, text(fields(each), NAME)),
      ),
      ...(parts.get(FILE.message) ?? []).flatMap((each) => messageSymbols(prefix, each)),
    ];
    for (const symbol of symbols) bySymbol.set(symbol, file);
  }
  return { byName, bySymbol };
}

function messageSymbols(prefix: string, message: Uint8Array): string[] {
  const parts = fields(message);
  const name = qualified(prefix, text(parts, MESSAGE.name));
  const inner = [...(parts.get(MESSAGE.enum) ?? []), ...(parts.get(MESSAGE.field) ?? [])].map(
    (each) => qualified(name, text(fields(each), NAME)),
  );
  return [
    name,
    ...inner,
    ...(parts.get(MESSAGE.nested) ?? []).flatMap((each) => messageSymbols(name, each)),
  ];
}

/** Length-delimited fields of a message, by number. */
function fields(message: Uint8Array): Map<number, Uint8Array[]> {
  const found = new Map<number, Uint8Array[]>();
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType);
      continue;
    }
    const value = reader.bytes();
    const values = found.get(number);
    if (values === undefined) found.set(number, [value]);
    else values.push(value);
  }
  return found;
}

function text(parts: ReadonlyMap<number, readonly Uint8Array[]>, field: number): string {
  const bytes = parts.get(field)?.[0];
  return bytes === undefined ? '' : decode(bytes);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}

function qualified(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`;
}
