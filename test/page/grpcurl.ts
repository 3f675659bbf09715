/**
 * What grpcurl does with the options that the page copies, for machines that have none: JSON by the
 * descriptors that brokers serve by reflection, one call, each answer as JSON.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  createFileRegistry,
  fromBinary,
  fromJsonString,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials } from '@grpc/grpc-js';

// Its options have one dash.
const { values, positionals } = parseArgs({
  args: process.argv.slice(2).map((word) => word.replace(/^-(plaintext)$/, '--$1')),
  options: { plaintext: { type: 'boolean' }, data: { type: 'string', short: 'd' } },
  allowPositionals: true,
});
const [address = '', symbol = ''] = positionals;
if (values.plaintext !== true) throw new Error('only -plaintext');
const [service = '', name = ''] = symbol.split('/');
const file = join(import.meta.dirname, '..', '..', 'proto', 'tidemark.binpb');
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(file)));
const method = registry.getService(service)?.methods.find((one) => one.name === name);
if (method === undefined) throw new Error(`there is no method ${symbol}`);

const client = new Client(address, credentials.createInsecure());
const request = fromJsonString(method.input, values.data ?? '{}', { registry });
const call = client.makeServerStreamRequest(
  `/${service}/${name}`,
  () => Buffer.from(toBinary(method.input, request)),
  (bytes) => toJsonString(method.output, fromBinary(method.output, bytes), { registry }),
  null,
);
call.on('data', (text: string) => console.log(text));
call.once('error', (error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
call.once('end', () => client.close());
