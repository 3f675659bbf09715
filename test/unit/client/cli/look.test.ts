import { describe, expect, it } from 'vitest';
import { look } from '../../../../client/cli/look.ts';
import { type Admin, TidemarkError } from '../../../../client/index.ts';

/** Long enough that a test which waits for it fails. */
const PATIENCE_MS = 60_000;

/** Brokers 1 and 2; `describe` answers for the second. */
function admin(
  describeSecond: (signal: AbortSignal) => Promise<unknown>,
  isFenced: (look: number) => boolean = () => false,
) {
  let looks = 0;
  const fake = {
    describeCluster: () => {
      looks += 1;
      const brokers = [1, 2].map((brokerId) => ({
        brokerId,
        fenced: brokerId === 2 && isFenced(looks),
      }));
      return Promise.resolve({ brokers, controller: 1, losses: [], looks });
    },
    listTopics: () => Promise.resolve([]),
    describeBroker: (brokerId: number, { signal }: { signal: AbortSignal }) =>
      brokerId === 2 ? describeSecond(signal) : Promise.resolve({ brokerId }),
  };
  return { admin: fake as unknown as Admin, looks: () => looks };
}

function silent(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')));
  });
}

describe('look()', () => {
  it('asks for metadata once where every broker answers', async () => {
    const { admin: asked, looks } = admin(() => Promise.resolve({ brokerId: 2 }));
    const { reports } = await look(asked, PATIENCE_MS);
    expect([...reports.keys()]).toEqual([1, 2]);
    expect(looks()).toBe(1);
  });

  it('waits no longer for a broker that is fenced meanwhile, and tells what became of it', async () => {
    const { admin: asked } = admin(silent, (count) => count > 1);
    const { reports, brokers } = await look(asked, PATIENCE_MS);
    expect([...reports.keys()]).toEqual([1]);
    expect(brokers.map(({ fenced }) => fenced)).toEqual([false, true]);
  });

  it('takes a broker that says nothing in time for silent', async () => {
    const { admin: asked } = admin(silent);
    const { reports, brokers } = await look(asked, 10);
    expect([...reports.keys()]).toEqual([1]);
    expect(brokers).toHaveLength(2);
  });

  it.for(['PERMISSION_DENIED', 'UNAUTHENTICATED'] as const)(
    'does not take a refusal for silence: %s',
    async (code) => {
      const refusal = new TidemarkError(code, 'may not');
      const { admin: asked } = admin(() => Promise.reject(refusal));
      await expect(look(asked, PATIENCE_MS)).rejects.toBe(refusal);
    },
  );
});
