import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PROCESS_ENVIRONMENT } from '../../../scripts/process-environment.mjs';

it('is in the image what it is for programs that the launcher starts', () => {
  const file = join(import.meta.dirname, '..', '..', '..', 'Dockerfile');
  const line = /^ENV NODE_ENV=production (.+)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '';
  expect(Object.fromEntries(line.split(' ').map((pair) => pair.split('=')))).toEqual(
    PROCESS_ENVIRONMENT,
  );
});
