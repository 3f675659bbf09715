/** Threads of compaction, and what becomes of one that does not answer. */
import type { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { COMPACTION_SILENCE_MS_MAX } from '../../../../base/limits.ts';
import { WorkerBackground } from '../../../../broker/background/worker.ts';
import type { CompactionWork } from '../../../../broker/runtime/ports.ts';
import { FakeClock } from '../runtime/fake-clock.ts';

const ORDER = { upTo: 9, tombstonesBelow: 0, producersBelow: 0 };
const TARGET = { topicIdBytes: new Uint8Array(16), partition: 0 };

const ANSWER = "parentPort.postMessage({ kind: 'value', value: false });";

/** A thread that does so with every message. */
function begin(onMessage: string): {
  readonly clock: FakeClock;
  readonly work: CompactionWork;
  readonly ended: Promise<number>;
} {
  const source = `import { parentPort } from 'node:worker_threads';
    parentPort.on('message', () => { ${onMessage} });`;
  const program = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const clock = new FakeClock();
  const ended = new Promise<number>((resolve) => {
    process.once('worker', (worker: Worker) => worker.once('exit', resolve));
  });
  const background = new WorkerBackground({ memoryBytes: 1 << 20, program, clock });
  const work = background.compaction(ORDER, TARGET);
  return { clock, work, ended };
}

it('ends a thread that does not answer, and tells whoever waits for it', async () => {
  const { clock, work, ended } = begin(
    `if (globalThis.isSecond) for (;;); globalThis.isSecond = true; ${ANSWER}`,
  );
  expect(await work.endScan()).toBe(false);
  const answer = work.endScan();
  clock.advance(COMPACTION_SILENCE_MS_MAX);
  await expect(answer).rejects.toMatchObject({
    code: 'INTERNAL',
    message: 'Cannot compact: its thread has not answered for 60 s',
  });
  expect(await ended).toBe(1);
  await expect(work.endScan()).rejects.toMatchObject({ code: 'INTERNAL' });
});

it('lets a thread that answers take as long as it takes, and rest for as long', async () => {
  const { clock, work, ended } = begin(ANSWER);
  for (let call = 0; call < 3; call += 1) {
    clock.advance(COMPACTION_SILENCE_MS_MAX * 2);
    const answer = work.endScan();
    clock.advance(COMPACTION_SILENCE_MS_MAX - 1_000);
    expect(await answer).toBe(false);
  }
  work.close();
  expect(await ended).toBe(1);
});
