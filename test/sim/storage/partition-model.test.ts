/** What the model of a partition lets a start find, where a seed would have to be lucky. */
import { describe, expect, it } from 'vitest';
import { frames } from '../../fixtures/frames.ts';
import type { TestFrame } from '../../fixtures/frames.ts';
import { PartitionModel } from './partition-model.ts';
import type { Change, FoundLog } from './partition-model.ts';

/** A sound log without a snapshot. */
function logOf(start: number, startEpoch: number, content: readonly TestFrame[]): FoundLog {
  const end = start + content.length;
  return {
    start,
    startEpoch,
    frames: content,
    end,
    epochs: content.length === 0 ? [] : [{ epoch: 1, startOffset: start }],
    highWaterMark: start,
    syncedOffset: end,
    damageFrom: null,
    snapshot: null,
    headers: content.map(({ header }) => header),
  };
}

function carryOut(model: PartitionModel, change: Change, isSoft = false): void {
  model.ask(change);
  expect(model.answer(change, isSoft)).toBeNull();
}

describe('PartitionModel.find', () => {
  const all = frames(0, 6);

  /** Two retirements that were put off, and an append in between. */
  function putOff(): PartitionModel {
    const model = new PartitionModel();
    carryOut(model, { kind: 'append', frames: all.slice(0, 3) });
    carryOut(model, { kind: 'retire', offset: 2, epoch: 1 }, true);
    carryOut(model, { kind: 'append', frames: all.slice(3) });
    carryOut(model, { kind: 'retire', offset: 5, epoch: 1 }, true);
    return model;
  }

  it.each([
    { start: 0, startEpoch: 0 },
    { start: 2, startEpoch: 1 },
    { start: 5, startEpoch: 1 },
  ])('takes a log from $start on after retirements that were put off', ({ start, startEpoch }) => {
    expect(putOff().find(logOf(start, startEpoch, all.slice(start)), 'kept')).toBeNull();
  });

  it('misses what was appended since, and what never was a log start', () => {
    expect(putOff().find(logOf(0, 0, all.slice(0, 3)), 'kept')).not.toBeNull();
    expect(putOff().find(logOf(1, 1, all.slice(1)), 'kept')).not.toBeNull();
  });

  it('takes nothing back after a retirement or a reset that was not put off', () => {
    const retired = putOff();
    carryOut(retired, { kind: 'retire', offset: 6, epoch: 1 });
    expect(retired.find(logOf(5, 1, all.slice(5)), 'kept')).not.toBeNull();
    const reset = putOff();
    carryOut(reset, { kind: 'reset', offset: 9, epoch: 1 }, true);
    expect(reset.find(logOf(5, 1, all.slice(5)), 'kept')).not.toBeNull();
  });

  it('takes a log that is being deleted as it was, or new', () => {
    const deleting = (): PartitionModel => {
      const model = new PartitionModel();
      carryOut(model, { kind: 'reset', offset: 0, epoch: 3 });
      model.isDeleting = true;
      return model;
    };
    expect(deleting().find(logOf(0, 3, []), 'kept')).toBeNull();
    expect(deleting().find(logOf(0, 0, []), 'kept')).toBeNull();
    expect(deleting().find(logOf(0, 2, []), 'kept')).not.toBeNull();
  });
});
