/** A property of fast-check as a test. */
import fc from 'fast-check';
import { test as vitestTest } from 'vitest';

export { fc };

export function test<T>(
  title: string,
  arbitrary: fc.Arbitrary<T>,
  holds: (value: T) => void,
): void {
  vitestTest(title, () => {
    fc.assert(fc.property(arbitrary, holds), { numRuns: 200 });
  });
}
