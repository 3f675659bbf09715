import { describe, expect, it } from 'vitest';
import { StepQueue } from '../../../../broker/runtime/step-queue.ts';

describe('StepQueue', () => {
  it('takes an input at once', () => {
    const taken: number[] = [];
    const queue = new StepQueue<number>((input) => taken.push(input));
    queue.push(1);
    queue.push(2);
    expect(taken).toEqual([1, 2]);
  });

  it('lets what a step causes wait until the step ends, in the order it was made', () => {
    const seen: string[] = [];
    const queue = new StepQueue<string>((input) => {
      seen.push(`${input} begins`);
      if (input === 'a') for (const next of ['b', 'c']) queue.push(next);
      if (input === 'b') queue.push('d');
      seen.push(`${input} ends`);
    });
    queue.push('a');
    expect(seen).toEqual(['a', 'b', 'c', 'd'].flatMap((at) => [`${at} begins`, `${at} ends`]));
  });

  it('drops what comes once it is closed', () => {
    const taken: number[] = [];
    const queue = new StepQueue<number>((input) => taken.push(input));
    queue.close();
    queue.push(1);
    expect({ taken, isClosed: queue.isClosed }).toEqual({ taken: [], isClosed: true });
  });

  it('drops what waits where a step closes it', () => {
    const seen: string[] = [];
    const queue = new StepQueue<number>((input) => {
      queue.push(input + 1);
      queue.close();
      queue.push(input + 2);
      seen.push(`${input} ends`);
    });
    queue.push(1);
    expect(seen).toEqual(['1 ends']);
  });

  it('passes on what a step throws, and takes the next input', () => {
    const taken: number[] = [];
    const queue = new StepQueue<number>((input) => {
      if (input === 1) throw new Error('a step failed');
      taken.push(input);
    });
    expect(() => {
      queue.push(1);
    }).toThrow('a step failed');
    queue.push(2);
    expect(taken).toEqual([2]);
  });
});
