import { expect, test } from 'vitest';
import { decide } from '../../../../operator/decide/decide.ts';
import type { Observation, Plan } from '../../../../operator/decide/types.ts';
import { NOW_MS, observation, type Situation } from '../../../fixtures/operator/observations.ts';
import { actionsOf } from '../../../fixtures/operator/plans.ts';

const planFor = (situation: Situation): Plan => decide(observation(situation), NOW_MS);

test('keeps budget and repair going where the spec is at fault, and the budget where it is paused', () => {
  const open = ({ budget }: Observation) => ({ budget: { ...budget!, maxUnavailable: 0 } });
  const faults = ['replicas is 0'];
  const faulty = planFor({ change: (healthy) => ({ ...open(healthy), faults }) });
  expect(actionsOf(faulty)[0]).toEqual({ kind: 'apply-budget', maxUnavailable: 1 });
  const paused = planFor({ spec: { paused: 'All' }, change: open });
  expect(actionsOf(paused)[0]).toEqual({ kind: 'apply-budget', maxUnavailable: 1 });
});
