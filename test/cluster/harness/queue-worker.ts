/** A process with one member of a queue. Says what it handles before that is accepted. */
import { connect, RejectError, TidemarkError } from '../../../client/index.ts';

/** What the process is to do. */
export interface QueueTask {
  readonly servers: readonly string[];
  readonly queue: string;
}

/** What it says. */
export type QueueNote =
  | { readonly kind: 'handled'; readonly value: string }
  | { readonly kind: 'failed'; readonly reason: string };

const task = JSON.parse(process.argv[2] ?? '{}') as QueueTask;

/** Resolves once it is on its way, so that no kill takes it back. */
function tell(note: QueueNote): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(note, undefined, undefined, () => resolve());
  });
}

/** A settlement that was under way as its owner died may be so, or its record comes again. */
async function failed(error: unknown): Promise<void> {
  if (error instanceof TidemarkError && error.details.effect === 'unknown') return;
  await tell({ kind: 'failed', reason: String(error) });
}

const client = connect({ servers: task.servers });
const ran = client.queue(task.queue).run(
  async ({ value }) => {
    const found = Buffer.from(value ?? []).toString();
    if (found.startsWith('bad')) throw new RejectError('of no use');
    await tell({ kind: 'handled', value: found });
  },
  { concurrency: 8, onError: failed },
);
ran.catch(failed);
process.on('disconnect', () => process.exit(1));
