/** A call, as far as quotas use one, that keeps what is done to it. */
import { EventEmitter } from 'node:events';
import { Metadata } from '@grpc/grpc-js';
import type { ThrottledCall } from '../../../../broker/doors/stream-hold.ts';

export class FakeStream extends EventEmitter implements ThrottledCall {
  readonly metadata: Metadata;
  readonly written: unknown[] = [];
  isPaused = false;
  writableNeedDrain = false;
  deadline = Infinity;

  constructor(metadata = new Metadata()) {
    super();
    this.metadata = metadata;
  }

  getDeadline(): number {
    return this.deadline;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  write(message: unknown): boolean {
    this.written.push(message);
    return !this.writableNeedDrain;
  }
}
