/** What a client tells of its records to whoever traces and counts them. */
import type { RecordHeader } from '../wire/records/record-set.ts';
import type { AbortableSettler } from './producer/abortable-settler.ts';
import type { PreparedRecord } from './producer/prepare.ts';

export interface Tracing {
  /** The record as it is sent, with the context of its span in its headers. */
  readonly sent: (
    item: PreparedRecord | Promise<PreparedRecord>,
    settler: AbortableSettler,
  ) => PreparedRecord | Promise<PreparedRecord>;
  /** Records of one partition that are about to be handed out. */
  readonly received: (
    topic: string,
    partition: number,
    records: readonly { readonly headers: readonly RecordHeader[] }[],
  ) => void;
}
