import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scriptsOf } from '../../../../scripts/site.mjs';
import { piecesOf, rulesOf } from '../../../../site/model/rules.ts';
import { blocksOf, play } from '../../../../site/stage/script.ts';
import { stageOf } from '../../../../site/stage/stages.ts';
import { anchorsIn } from '../../../fixtures/citations.ts';
import { ROOT } from '../../../fixtures/sources.ts';

const MARKDOWN = readFileSync(join(ROOT, 'docs/rules.md'), 'utf8');
const RULES = rulesOf(MARKDOWN);

describe('rulesOf', () => {
  it('has each rule under the name by which it is cited', () => {
    for (let number = 1; number <= 22; number += 1)
      expect(RULES.get(`rule ${number}`)?.title).toMatch(new RegExp(`^Rule ${number}: `));
    expect(RULES.get('P7')?.text[0]).toContain('registers');
    expect(RULES.get('sync-set-and-q')?.title).toBe('Sync set and q');
  });

  it('names anchors that are there', () => {
    const anchors = anchorsIn(MARKDOWN);
    const lost = [...RULES.values()].filter(({ anchor }) => !anchors.has(anchor));
    expect(lost.map(({ title }) => title)).toEqual([]);
  });
});

describe('piecesOf', () => {
  it('cuts a text where it cites rules', () => {
    expect(piecesOf('By rules 10, 12 and 13 (P7), not by rule 1.')).toEqual([
      { text: 'By ', rule: '' },
      { text: 'rules 10', rule: 'rule 10' },
      { text: ', ', rule: '' },
      { text: '12', rule: 'rule 12' },
      { text: ' and ', rule: '' },
      { text: '13', rule: 'rule 13' },
      { text: ' (', rule: '' },
      { text: 'P7', rule: 'P7' },
      { text: '), not by ', rule: '' },
      { text: 'rule 1', rule: 'rule 1' },
      { text: '.', rule: '' },
    ]);
  });

  it('names a heading by its words', () => {
    expect(piecesOf('docs/rules.md#restart-classes')).toEqual([
      { text: 'restart classes', rule: 'restart-classes' },
    ]);
  });

  it('loses no letter', () => {
    const texts = Object.values(scriptsOf()).flatMap((text) =>
      blocksOf(text).map(({ remarks }) => remarks.join(' ')),
    );
    for (const text of texts)
      expect(
        piecesOf(text)
          .map((piece) => piece.text)
          .join(''),
      ).toBe(
        text.replaceAll(/docs\/rules\.md#([a-z-]+)/g, (_, anchor: string) =>
          anchor.replaceAll('-', ' '),
        ),
      );
  });
});

describe('stories', () => {
  const stories = Object.entries(scriptsOf()).filter(([path]) => path.startsWith('stories/'));

  it.for(stories)('%s cites only rules that there are, in what is said and decided', ([, text]) => {
    const blocks = blocksOf(text);
    const said = blocks.flatMap(({ remarks }) => piecesOf(remarks.join(' ')));
    const { frames } = play(blocks, stageOf('stories', 1));
    const lines = frames.flatMap((frame) => frame.lines);
    const cited = [...said, ...lines].map(({ rule }) => rule).filter((rule) => rule !== '');
    expect(cited.filter((rule) => !RULES.has(rule))).toEqual([]);
    const decisions = lines.filter(({ kind }) => kind === 'decision');
    expect(decisions.filter(({ rule }) => rule === '')).toEqual([]);
  });
});
