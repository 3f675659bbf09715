/** A producer that sends each record once, and remembers what it was told of it. */
import type { AckLevel, AppendResult } from '../../broker/replication/types.ts';
import type { Say, Sent } from './picture.ts';

interface Record {
  readonly text: string;
  readonly ack: AckLevel;
  /** Broker that was asked; -1: none. */
  readonly to: number;
  fate: Sent['fate'];
}

export class Producer {
  readonly #say: Say;
  readonly #records: Record[] = [];

  constructor(say: Say) {
    this.#say = say;
  }

  get sent(): Sent[] {
    return this.#records.map(({ text, ack, fate }) => ({ text, ack, fate }));
  }

  /** @returns the number of the request, from 1 on */
  send(text: string, ack: AckLevel, to: number): number {
    this.#records.push({ text, ack, to, fate: 'waits' });
    return this.#records.length;
  }

  /** The broker is gone, and with it the connection that answers would come on. */
  lost(brokerId: number): void {
    for (const record of this.#records) {
      if (record.to !== brokerId || record.fate !== 'waits') continue;
      record.fate = 'unknown';
      this.#tell(`${record.text}, acks=${record.ack}: the connection broke, nobody knows yet`);
    }
  }

  answered(request: number, result: AppendResult): void {
    const record = this.#records[request - 1];
    if (record?.fate !== 'waits') return;
    const { text, ack } = record;
    if (result.ok) {
      record.fate = 'acknowledged';
      const promise =
        ack === 'all' ? 'committed' : ack === 'leader' ? 'written by its leader' : 'sent';
      this.#tell(
        `${text}, acks=${ack}: ${promise}${ack === 'none' ? '' : ` at ${result.baseOffset}`}`,
      );
      return;
    }
    record.fate = result.error.effect === 'unknown' ? 'unknown' : 'refused';
    this.#tell(`${text}, acks=${ack}: ${result.error.code} ${result.error.message}`);
  }

  refused(request: number, reason: string): void {
    const record = this.#records[request - 1];
    if (record === undefined) return;
    record.fate = 'refused';
    this.#tell(`${record.text}, acks=${record.ack}: not sent, ${reason}`);
  }

  #tell(text: string): void {
    this.#say({ kind: 'answer', text: `producer: ${text}`, rule: '' });
  }
}
