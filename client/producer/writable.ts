/** A producer as a Web stream. Must not know how records travel. */
import type { CallControl } from '../abort.ts';
import type { ProducerRecord } from './types.ts';

/** What a stream needs of a producer. */
interface Sink {
  send(record: ProducerRecord, control: CallControl): Promise<unknown>;
  ready(control: CallControl): Promise<void>;
  flush(control: CallControl): Promise<void>;
}

/** Takes records as there is room, and fails with the first that does; closing it flushes. */
export function writableOf(producer: Sink, control: CallControl): WritableStream<ProducerRecord> {
  let failure: { readonly error: unknown } | undefined;
  return new WritableStream<ProducerRecord>({
    write: async (record, controller) => {
      producer.send(record, control).catch((error: unknown) => {
        failure ??= { error };
        controller.error(error);
      });
      await producer.ready(control);
    },
    close: async () => {
      await producer.flush(control);
      if (failure !== undefined) throw failure.error;
    },
  });
}
