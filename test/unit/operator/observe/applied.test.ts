import { expect, test } from 'vitest';
import { Applications } from '../../../../operator/observe/applied.ts';

test('what is kept otherwise is applied less and less often, and told', () => {
  const applications = new Applications();
  let nowMs = 0;
  let applied = 0;
  for (; nowMs < 3_600_000; nowMs += 100) {
    if (applications.standing('Service/tm', 'wanted', ['spec.x'], nowMs).isSettled) continue;
    applications.applied('Service/tm', 'wanted', ['spec.x'], nowMs);
    applied += 1;
  }
  expect(applied).toBeLessThan(25);
  expect(applications.standing('Service/tm', 'wanted', ['spec.x'], nowMs).mutated).toEqual([
    'spec.x',
  ]);
});

test('another wish is applied at once, and one that came true is forgotten after a while', () => {
  const applications = new Applications();
  applications.applied('Service/tm', 'first', ['spec.x'], 0);
  expect(applications.standing('Service/tm', 'second', ['spec.x'], 1)).toEqual({
    isSettled: false,
    mutated: [],
  });
  applications.standing('Service/tm', 'first', [], 400_000);
  expect(applications.standing('Service/tm', 'first', ['spec.x'], 400_001).isSettled).toBe(false);
});
