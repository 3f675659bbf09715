/** The client library: everything that programs import. */
export { Admin } from './admin.ts';
export { Consumer } from './consumer/consumer.ts';
export type {
  ConsumedRecord,
  ConsumerOptions,
  Position,
  RecordBatch,
  ResetPolicy,
  StartFrom,
} from './consumer/types.ts';
export { type Retry, TidemarkError, type TidemarkErrorDetails } from './errors.ts';
export { Producer } from './producer/producer.ts';
export type {
  Acks,
  Compression,
  DeliveryReport,
  ProducerCounters,
  ProducerOptions,
  ProducerRecord,
  RecordMetadata,
} from './producer/types.ts';
export { type ConnectOptions, connect, Tidemark } from './tidemark.ts';
