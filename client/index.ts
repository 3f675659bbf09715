/** The client library: everything that programs import. */
export {
  Admin,
  type ExplainOptions,
  type ListedOffset,
  type ListOffsetsOptions,
  type Trimmed,
  type TrimRequest,
} from './admin.ts';
export type {
  ClusterDescription,
  ClusterSettings,
  Cleanup,
  CommitMode,
  Topic,
  TopicChange,
  TopicConfig,
  TopicDefaults,
  TopicRequest,
} from './admin-types.ts';
export type {
  AccessAnswer,
  AccessOperation,
  AccessQuestion,
  AccessRevocation,
  AccessRule,
  KeptAccessRule,
} from './access.ts';
export type { Quota, QuotaLimits, QuotaList } from './quotas.ts';
export type { CallControl } from './abort.ts';
export {
  type AnyTopic,
  bytes,
  type Codec,
  json,
  type StandardIssue,
  type StandardResult,
  type StandardSchema,
  text,
  topic,
  type TopicCodecs,
  type TypedTopic,
} from './codecs.ts';
export { Consumer } from './consumer/consumer.ts';
export type {
  BatchRecord,
  ConsumedRecord,
  ConsumerOptions,
  KeyOf,
  LossOf,
  LossPolicy,
  ParallelContext,
  ParallelOptions,
  PartitionState,
  ConsumerPosition,
  Position,
  ReadOptions,
  RecordBatch,
  ResetPolicy,
  StartFrom,
  UndecodablePolicy,
  ValueOf,
} from './consumer/types.ts';
export {
  type BatchIdentity,
  type Effect,
  type Retry,
  TidemarkError,
  type TidemarkErrorDetails,
} from './errors.ts';
export { GroupConsumer } from './group/group-consumer.ts';
export type {
  AssignedPartition,
  Assignor,
  GroupHooks,
  GroupOptions,
  GroupPartitionName,
  GroupPosition,
  RecordHandler,
  RunOptions,
} from './group/types.ts';
export {
  type CursorCommit,
  type CursorLag,
  type CursorResult,
  Cursors,
  type GroupCursor,
  type GroupDescription,
  type GroupMemberDescription,
  type GroupPartition,
  Groups,
  type GroupSummary,
  type MemberPartition,
  type SeekRequest,
  type SoughtCursor,
} from './groups.ts';
export type { LossRange } from './losses.ts';
export {
  type PlainAppendOptions,
  PlainCalls,
  type PlainPart,
  type PlainReadOptions,
  type PlainRecord,
  type PlainResult,
} from './plain.ts';
export { Producer } from './producer/producer.ts';
export type {
  Acks,
  AppendedBatch,
  AppendOptions,
  Compression,
  DeliveryReport,
  ProducerCounters,
  ProducerOptions,
  ProducerRecord,
  RecordMetadata,
  TypedRecord,
} from './producer/types.ts';
export { QueueJob } from './queue/job.ts';
export type { ReleaseOptions } from './queue/job-options.ts';
export { QueueConsumer } from './queue/queue-consumer.ts';
export {
  type JobHandler,
  type QueueOptions,
  type QueueRunOptions,
  type QueueUndecodablePolicy,
  RejectError,
} from './queue/types.ts';
export {
  type CreateQueueOptions,
  type Queue,
  type QueueBlocked,
  type QueueConfig,
  type QueueDescription,
  type QueueMember,
  type QueuePartition,
  Queues,
} from './queues.ts';
export { type ConnectOptions, connect, Tidemark } from './tidemark.ts';
export type { TokenSource } from './token.ts';
export type { TlsOptions } from './tls.ts';
export type { Bytes, HeaderInput } from './values.ts';
