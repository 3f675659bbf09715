import { describe, expect, it } from 'vitest';
import { scriptsOf } from '../../../../scripts/site.mjs';
import { storiesOf, TITLES } from '../../../../site/model/stories.ts';

const STORIES = storiesOf(Object.keys(scriptsOf()));

describe('storiesOf', () => {
  it('has every story under its title, in the order in which they are read', () => {
    const told = STORIES.filter(({ kind }) => kind === 'stories');
    expect(told.map(({ name, title }) => [name, title])).toEqual(TITLES);
    expect(STORIES.slice(0, told.length)).toEqual(told);
  });

  it('names other transcripts by their files', () => {
    expect(STORIES).toContainEqual({ name: 'raft/figure-8', title: 'Figure 8', kind: 'raft' });
    const name = 'replication/trim-is-a-record';
    expect(STORIES).toContainEqual({ name, title: 'Trim is a record', kind: 'replication' });
  });
});
