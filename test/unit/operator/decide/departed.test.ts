import { describe, expect, test } from 'vitest';
import type { LogTopic } from '../../../../operator/api/types.ts';
import { decide } from '../../../../operator/decide/decide.ts';
import { departing } from '../../../../operator/decide/departed.ts';
import type { Observation } from '../../../../operator/decide/types.ts';
import {
  CLUSTER_ID,
  logTopic,
  observation,
  topic,
} from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

const ORDERS = { topic: 'orders', topicId: 'id-of-orders' };

/** What is deleted, and what the status says is still to be. */
function planFor(
  noted: boolean,
  change: Partial<Observation> = {},
): { deleted: string[]; noted: unknown } {
  const seen = observation({
    topics: [topic('orders', [[0, 1, 2]])],
    status: { clusterId: CLUSTER_ID, ...(noted ? { topicsToDelete: [ORDERS] } : {}) },
    change: () => change,
  });
  const actions = actionsOf(decide(seen, 0));
  const written = actions.find((action) => action.kind === 'write-status');
  return {
    deleted: actions.flatMap((action) => (action.kind === 'delete-topic' ? [action.name] : [])),
    noted: written?.kind === 'write-status' ? written.status.topicsToDelete : 'as before',
  };
}

describe('a topic whose LogTopic is gone', () => {
  test('is noted first, and deleted from there', () => {
    expect(planFor(false, { departed: [ORDERS] })).toEqual({ deleted: [], noted: [ORDERS] });
    expect(planFor(true)).toMatchObject({ deleted: ['orders'] });
  });

  test('is forgotten once it is gone', () => {
    const { metadata } = observation();
    expect(planFor(true, { metadata: { ...metadata!, topics: [] } })).toMatchObject({
      deleted: [],
      noted: undefined,
    });
  });

  test('stays where another one has its name', () => {
    const { metadata } = observation();
    const topics = [{ ...topic('orders', [[0, 1, 2]]), topicId: 'another' }];
    expect(planFor(true, { metadata: { ...metadata!, topics } })).toMatchObject({
      deleted: [],
      noted: undefined,
    });
  });

  test('stays where somebody applied a LogTopic for it again', () => {
    expect(planFor(true, { logTopics: [logTopic('orders')] })).toMatchObject({
      deleted: [],
      noted: undefined,
    });
  });

  test('waits for the brokers, and through a pause', () => {
    expect(planFor(true, { metadata: null }).deleted).toEqual([]);
    const { cluster } = observation({
      spec: { paused: 'All' },
      status: { clusterId: CLUSTER_ID, topicsToDelete: [ORDERS] },
    });
    const { deleted, noted } = planFor(true, { cluster });
    expect({ deleted, noted }).toEqual({ deleted: [], noted: [ORDERS] });
  });

  test.each([
    { spec: { deletionPolicy: 'Delete' }, status: { topicId: 'id-of-orders' }, expected: ORDERS },
    { spec: { deletionPolicy: 'Retain' }, status: { topicId: 'id-of-orders' }, expected: null },
    { spec: { deletionPolicy: 'Delete' }, status: {}, expected: null },
    {
      spec: { deletionPolicy: 'Delete', topicName: 'o.2' },
      status: { topicId: 'x' },
      expected: { topic: 'o.2', topicId: 'x' },
    },
  ])(
    'goes with it where it wants that and has one: $spec $status',
    ({ spec, status, expected }) => {
      const resource = { metadata: { name: 'orders' }, spec, status } as unknown as LogTopic;
      expect(departing(resource)).toEqual(expected);
    },
  );
});
