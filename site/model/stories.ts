/** Stories in the order in which they are read, and what each is about. Pure. */
import { capital } from '../../base/sentence.ts';
import type { Kind } from '../stage/stages.ts';

export interface Story {
  /** Of its file below test/scenario, without the ending; stories themselves have no folder. */
  readonly name: string;
  readonly title: string;
  readonly kind: Kind;
}

/** By name of their files in test/scenario/stories. */
export const TITLES: readonly (readonly [name: string, title: string])[] = [
  ['commit', 'One log, three copies, one mark'],
  ['leader-fails', 'The leader fails'],
  ['follower-fails', 'A follower fails'],
  ['follower-cut-off', 'A follower is cut off, and back'],
  ['leader-cut-off', 'A leader is cut off, and does not know'],
  ['in-sync-beside-quorum', 'In-sync beside quorum, with a slow follower'],
  ['acks', 'What each acknowledgement promises'],
  ['unclean-election', 'An unclean election, and what it reports'],
  ['restart-classes', 'What power loss does to each restart'],
  ['two-logs-against-one', 'Two logs against one'],
];

/** @param names of all scripts, as `stories/commit` or `raft/figure-8` */
export function storiesOf(names: readonly string[]): Story[] {
  const order = TITLES.map(([name]) => `stories/${name}`);
  const rank = (name: string): number => (order.includes(name) ? order.indexOf(name) : 1_000);
  return [...names]
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map((path) => {
      const [kind = '', file = ''] = path.split('/');
      const title =
        TITLES.find(([name]) => name === file)?.[1] ?? capital(file.replaceAll('-', ' '));
      return { name: kind === 'stories' ? file : path, title, kind: kind as Kind };
    });
}
