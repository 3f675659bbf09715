/** What a message moves, in bytes as quotas count them: frames, or records as clients hold them. */
import type { ConsumeRequest, ConsumeResponse } from '../../proto/gen/tidemark/v1/consume.ts';
import type { CommitCursorsRequest } from '../../proto/gen/tidemark/v1/groups.ts';
import type {
  AppendRequest,
  ProduceRequest,
  ReadResponse,
} from '../../proto/gen/tidemark/v1/log.ts';
import type { FetchParts } from '../../wire/grpc/frame-messages.ts';

/** What a record adds to a frame beside its contents, about. */
const RECORD_BYTES = 16;

interface SizedRecord {
  readonly key?: Uint8Array | undefined;
  readonly value: Uint8Array;
  readonly headers: readonly { readonly key: string; readonly value?: Uint8Array | undefined }[];
}

export function appendedBytes({ records }: Pick<AppendRequest, 'records'>): number {
  return sum(records, bytesOf);
}

/** What each cursor takes in the log of groups. */
const CURSOR_BYTES = 150;

export function committedBytes({
  group,
  cursors,
}: Pick<CommitCursorsRequest, 'group' | 'cursors'>): number {
  return sum(cursors, ({ topic }) => CURSOR_BYTES + group.length + topic.length);
}

/** What a record that is settled takes in the log of queues, about: several share a change. */
const SETTLED_BYTES = 50;

/** Written for a member's acknowledgement: it is a commit by another way. */
export function acknowledgedBytes({ message }: ConsumeRequest): number {
  if (message?.$case !== 'acknowledge') return 0;
  const { cursors, records } = message.value;
  return CURSOR_BYTES * cursors.length + SETTLED_BYTES * records.length;
}

export function producedBytes({ batches }: Pick<ProduceRequest, 'batches'>): number {
  return sum(batches, ({ frame }) => frame.length);
}

export function fetchedBytes({ partitions }: FetchParts): number {
  return sum(partitions, ({ frames }) => sum(frames, ({ length }) => length));
}

export function consumedBytes({ message }: ConsumeResponse): number {
  return message?.$case === 'records' ? sum(message.value.records, bytesOf) : 0;
}

export function readBytes({ records }: Pick<ReadResponse, 'records'>): number {
  return sum(records, bytesOf);
}

function bytesOf({ key, value, headers }: SizedRecord): number {
  const ofHeaders = sum(headers, (header) => header.key.length + (header.value?.length ?? 0));
  return RECORD_BYTES + (key?.length ?? 0) + value.length + ofHeaders;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((bytes, item) => bytes + of(item), 0);
}
