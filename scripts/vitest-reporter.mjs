/**
 * Vitest reporter for scripts/test.mjs: writes what was counted, and why tests were skipped, to the
 * file named by TIDEMARK_TEST_RESULT. Vitest's own JSON reporter leaves the reasons out.
 */
import { writeFileSync } from 'node:fs';

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const result = { passed: 0, failed: unhandledErrors.length, skipped: 0, reasons: [] };
    for (const module of modules) {
      // A file that does not load has no tests that could fail, so its own errors count.
      result.failed += module.errors().length;
      for (const suite of module.children.allSuites()) result.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state, note } = test.result();
        result[state === 'pending' ? 'skipped' : state] += 1;
        if (state === 'skipped' || state === 'pending')
          result.reasons.push(`${test.fullName}: ${note ?? 'no reason given'}`);
      }
    }
    writeFileSync(process.env.TIDEMARK_TEST_RESULT, JSON.stringify(result));
  }
}
