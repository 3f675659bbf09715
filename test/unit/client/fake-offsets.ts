/** Where the logs of the fake cluster begin and end, as its brokers answer. */
import type { sendUnaryData } from '@grpc/grpc-js';
import type { ListOffsetsRequest } from '../../../proto/gen/tidemark/v1/log.ts';

interface Log {
  readonly logStart: number;
  readonly end: number;
  readonly leaderEpoch: number;
}

export class FakeOffsets {
  readonly #logs: () => readonly Log[];
  /** Questions that were asked. */
  asked = 0;
  /** They are answered by {@link release}. */
  isHeld = false;
  readonly #held: (() => void)[] = [];

  constructor(logs: () => readonly Log[]) {
    this.#logs = logs;
  }

  answer({ partitions, start }: ListOffsetsRequest, done: sendUnaryData<unknown>): void {
    const logs = this.#logs();
    const wanted = partitions.length === 0 ? [...logs.keys()] : partitions;
    const offsets = wanted.map((partition) => {
      const { logStart, end, leaderEpoch } = logs[partition]!;
      const offset = start?.point?.$case === 'latest' ? end : logStart;
      return { partition, offset, logStart, highWaterMark: end, leaderEpoch, error: undefined };
    });
    this.asked += 1;
    const answer = (): void => done(null, { offsets });
    if (this.isHeld) this.#held.push(answer);
    else answer();
  }

  release(): void {
    this.isHeld = false;
    for (const answer of this.#held.splice(0)) answer();
  }
}
