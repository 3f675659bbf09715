import { describe, expect, it } from 'vitest';
import { scriptsOf } from '../../../../scripts/site.mjs';
import { blocksOf, play } from '../../../../site/stage/script.ts';
import { type Kind, stageOf } from '../../../../site/stage/stages.ts';

describe('blocksOf', () => {
  it('tells remarks, commands and what came of them apart', () => {
    const [first, second] = blocksOf('# One.\n# Two.\nrun 3\nstatus\n----\n3 a\n\n# Three.\n');
    expect(first).toEqual({
      remarks: ['One.', 'Two.'],
      commands: ['run 3', 'status'],
      head: '# One.\n# Two.\nrun 3\nstatus',
      expected: ['3 a'],
    });
    expect(second).toMatchObject({ remarks: ['Three.'], commands: [], expected: [] });
  });
});

describe('every script that the site has', () => {
  it.for(Object.entries(scriptsOf()))('%s has frames for each of its blocks', ([path, text]) => {
    const blocks = blocksOf(text);
    const { frames } = play(blocks, stageOf(path.split('/')[0] as Kind, 1));
    const shown = new Set(frames.map(({ block }) => block));
    const acting = blocks.flatMap(({ commands }, at) => (commands.length > 0 ? [at] : []));
    expect(acting.filter((at) => !shown.has(at))).toEqual([]);
    expect(frames.every(({ atMs }, at) => atMs >= (frames[at - 1]?.atMs ?? 0))).toBe(true);
  });
});
