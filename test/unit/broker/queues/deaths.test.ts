/** How one owner gets a dead letter into its target, whatever its tasks come to. */
import { describe, expect, it } from 'vitest';
import { Deaths } from '../../../../broker/queues/deaths.ts';
import type { LetterResult, LetterTask } from '../../../../broker/queues/types.ts';
import { Entry } from '../../../../broker/queues/window.ts';

const TARGET = { topicId: 'letters', partition: 1, from: 40, epoch: 3 };

/** One record that dies, to a target that is committed. */
class Bench {
  readonly deaths = new Deaths();
  nowMs = 0;

  constructor(target: typeof TARGET | null = TARGET) {
    const value = { cause: 'rejected', reason: 'no such customer', target } as const;
    this.deaths.add(new Entry(7, 2, 'dying', 1), value, 0);
  }

  /** The task that is next, in short, once a pause is over. */
  next(): string {
    this.nowMs += 60_000;
    const task = this.deaths.next(this.nowMs);
    this.#task = task;
    if (task === null) return 'nothing';
    if (task.kind === 'locate') return 'locate';
    const { from, epoch } = task.kind === 'append' ? task.end : task.from;
    return `${task.kind} at ${String(from)} of epoch ${String(epoch)}`;
  }

  /** What follows on a result. */
  after(result: LetterResult): string {
    this.deaths.take(this.#task?.taskId ?? 0, result, this.nowMs);
    return this.next();
  }

  get end(): string | null {
    return this.deaths.ended()[0]?.end ?? null;
  }

  #task: LetterTask | null = null;
}

const found = (offsets: number[], from: number, epoch: number): LetterResult => ({
  ...{ kind: 'searched', offsets, end: { from, epoch } },
});

describe('Deaths', () => {
  it('appends where the target ended when it was chosen, and nothing before that is committed', () => {
    const bench = new Bench(null);

    expect(bench.next()).toBe('locate');
    expect(bench.after({ kind: 'located', target: TARGET })).toBe('nothing');
    bench.deaths.committed([], bench.deaths.chosen());
    expect(bench.next()).toBe('append at 40 of epoch 3');
    expect(bench.after({ kind: 'appended', offsets: [7] })).toBe('nothing');
    expect(bench.end).toBe('buried');
  });

  it.each<[string, LetterResult]>([
    ['failed', { kind: 'failed' }],
    ['found another end', { kind: 'taken' }],
  ])('searches once an append %s, and appends again where it is not found', (_, result) => {
    const bench = new Bench();
    bench.next();

    expect(bench.after(result)).toBe('search at 40 of epoch 3');
    expect(bench.after(found([], 55, 4))).toBe('append at 55 of epoch 4');
    expect(bench.after({ kind: 'taken' })).toBe('search at 55 of epoch 4');
    expect(bench.after(found([7], 60, 4))).toBe('nothing');
    expect(bench.end).toBe('buried');
  });

  it('searches from the begin again once what it searched was cut off', () => {
    const bench = new Bench();
    bench.next();
    bench.after({ kind: 'taken' });
    bench.after(found([], 55, 4));

    expect(bench.after({ kind: 'failed' })).toBe('search at 55 of epoch 4');
    // A frame of an earlier owner may find the target as it expects it by now.
    expect(bench.after({ kind: 'cut' })).toBe('search at 40 of epoch 3');
    expect(bench.after(found([7], 41, 5))).toBe('nothing');
    expect(bench.end).toBe('buried');
  });

  it('chooses another target once the begin was cut off, or the target is gone', () => {
    for (const result of [{ kind: 'cut' }, { kind: 'target-gone' }] as const) {
      const bench = new Bench();
      bench.next();
      bench.after({ kind: 'failed' });

      expect(bench.after(result)).toBe('locate');
    }
  });

  it('gives up what cannot be read any more, once it knows that nobody appended it', () => {
    for (const [offsets, end] of [
      [[], 'missing'],
      [[7], 'buried'],
    ] as const) {
      const bench = new Bench();
      bench.next();

      expect(bench.after({ kind: 'missing', offsets: [7] })).toBe('search at 40 of epoch 3');
      expect(bench.after(found([...offsets], 55, 4))).toBe('nothing');
      expect(bench.end).toBe(end);
    }
  });

  it('takes no answer for a record that an election cut off meanwhile', () => {
    const bench = new Bench();
    bench.next();
    bench.deaths.cut(7);
    const value = { cause: 'rejected', reason: '', target: null } as const;
    bench.deaths.add(new Entry(7, 9, 'dying', 1), value, 0);

    expect(bench.after({ kind: 'appended', offsets: [7] })).toBe('locate');
    expect(bench.end).toBeNull();
  });
});
