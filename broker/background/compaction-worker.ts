/**
 * A thread that runs one pass of compaction: decodes, hashes and rewrites what it is sent. It has
 * no file, no clock and no socket. Ends with whoever started it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { BrokerError } from '../../base/errors.ts';
import { reasonOf } from '../../base/reason.ts';
import { CompactionJob } from '../compaction/job.ts';
import { recordAccess } from './record-access.ts';
import type { WorkerAnswer, WorkerCall, WorkerJob } from './worker-calls.ts';

const port = parentPort;
if (port === null) throw new Error('compaction-worker.ts is started as a worker thread');
const job = new CompactionJob({ ...(workerData as WorkerJob), access: recordAccess });

port.on('message', ({ name, input }: WorkerCall) => {
  port.postMessage(answerTo(name as keyof CompactionJob, input));
});

function answerTo(name: keyof CompactionJob, input: readonly unknown[]): WorkerAnswer {
  try {
    const methods = job as unknown as Record<string, (...values: readonly unknown[]) => unknown>;
    return { kind: 'value', value: methods[name]?.(...input) };
  } catch (error) {
    const code = error instanceof BrokerError ? error.code : null;
    return { kind: 'error', code, message: reasonOf(error) };
  }
}
