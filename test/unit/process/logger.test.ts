import { describe, expect, it } from 'vitest';

import { createLogger } from '../../../process/logger.ts';

describe('createLogger()', () => {
  it('writes one JSON object per line, above its level', () => {
    const lines: string[] = [];
    const logger = createLogger('info', { broker: 3 }, { write: (line) => void lines.push(line) });
    logger.debug('quiet');
    logger.warn({ topic: 'events' }, 'loud');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        level: 'warn',
        time: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/) as string,
        broker: 3,
        topic: 'events',
        msg: 'loud',
      },
    ]);
  });
});
