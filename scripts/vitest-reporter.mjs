/**
 * Vitest reporter for scripts/test.mjs: writes what was counted, which tests failed, and why tests
 * were skipped, to the file named by TIDEMARK_TEST_RESULT. Vitest's own JSON reporter leaves the
 * reasons out.
 */
import { writeFileSync } from 'node:fs';

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const result = { passed: 0, failed: 0, skipped: 0, reasons: [], failures: [] };
    const fail = (errors, what) => {
      result.failed += errors.length;
      for (const { message } of errors) result.failures.push(`${what}: ${message}`);
    };
    fail(unhandledErrors, 'outside of tests');
    for (const module of modules) {
      const file = module.relativeModuleId;
      // A file that does not load has no tests that could fail, so its own errors count.
      fail(module.errors(), file);
      for (const suite of module.children.allSuites()) fail(suite.errors(), file);
      for (const test of module.children.allTests()) {
        const { state, note } = test.result();
        result[state === 'pending' ? 'skipped' : state] += 1;
        if (state === 'failed') result.failures.push(`${file} > ${test.fullName}`);
        if (state === 'skipped' || state === 'pending')
          result.reasons.push(`${test.fullName}: ${note ?? 'no reason given'}`);
      }
    }
    writeFileSync(process.env.TIDEMARK_TEST_RESULT, JSON.stringify(result));
  }
}
