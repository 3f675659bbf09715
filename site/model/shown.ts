/** The run that an address names, played to its end, with what there is to say of it. Pure. */
import type { Frame } from '../stage/picture.ts';
import { type Block, blocksOf, play, type Run } from '../stage/script.ts';
import { stageOf } from '../stage/stages.ts';
import { playWorld, worldOf } from '../stage/worlds.ts';
import { type Address, CHANCE_OF_TRANSCRIPTS } from './address.ts';
import type { Story } from './stories.ts';

export interface Shown {
  readonly title: string;
  /** Where its text is, from the root; empty: it has none. */
  readonly file: string;
  readonly frames: readonly Frame[];
  /** What is said with each block, in paragraphs. */
  readonly captions: readonly string[];
  /** Commands of each block. */
  readonly commands: readonly (readonly string[])[];
  /** It takes deeds, and another chance. */
  readonly isOpen: boolean;
  readonly hasTime: boolean;
  /** How it ended, said at its last frame. */
  readonly verdict: string;
  readonly isSound: boolean;
}

/** @param scripts by path, as `stories/commit` */
export function shownOf(
  address: Address,
  stories: readonly Story[],
  scripts: Readonly<Record<string, string>>,
): Shown {
  if (address.seed !== '') return ofSeed(address.seed);
  const story = stories.find(({ name }) => name === address.story);
  if (story === undefined) return nothing(`there is no story "${address.story}"`);
  const path = story.kind === 'stories' ? `stories/${story.name}` : story.name;
  const blocks = blocksOf(scripts[path] ?? '');
  // Deeds stand in the address, where anybody can write.
  const run = attempt(() => play(blocks, stageOf(story.kind, address.chance), address.deeds));
  if (typeof run === 'string') return nothing(run);
  const { frames, said } = run;
  const isAsWritten = address.chance === CHANCE_OF_TRANSCRIPTS && address.deeds.length === 0;
  const isSame = blocks.every(
    ({ expected }, at) => ((said[at] ?? []).join('\n') || 'ok') === (expected.join('\n') || 'ok'),
  );
  const file = `test/scenario/${path}.txt`;
  return {
    title: story.title,
    file,
    frames,
    captions: blocks.map(captionOf),
    commands: blocks.map(({ commands }) => commands),
    isOpen: story.kind === 'stories' && !blocks.some(isRaftBeside),
    hasTime: story.kind === 'stories',
    verdict: !isAsWritten
      ? 'No transcript tells this run: it is yours.'
      : isSame
        ? `Line for line what ${file} says, which the tests compare as well.`
        : `This is not what ${file} says.`,
    isSound: !isAsWritten || isSame,
  };
}

function attempt(run: () => Run): Run | string {
  try {
    return run();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function isRaftBeside({ commands }: Block): boolean {
  return commands.some((command) => command.startsWith('beside raft'));
}

function captionOf({ remarks }: Block): string {
  return remarks.join(' ');
}

function ofSeed(seed: string): Shown {
  const spec = worldOf(seed);
  if (spec === null)
    return nothing(`"${seed}" names no world: replication:7 and metadata:3 do, see docs/site.md`);
  const { frames, settings, violation } = playWorld(spec);
  return {
    title: `Seed ${spec.seed} of the ${spec.world} simulator`,
    file: '',
    frames,
    captions: [settings],
    commands: [[]],
    isOpen: false,
    hasTime: spec.world === 'replication',
    verdict:
      violation === null
        ? 'Every invariant held after every step, and the cluster healed.'
        : `Violated: ${violation}`,
    isSound: violation === null,
  };
}

function nothing(reason: string): Shown {
  return {
    title: 'Nothing to show',
    file: '',
    frames: [],
    captions: [],
    commands: [],
    isOpen: false,
    hasTime: false,
    verdict: reason,
    isSound: false,
  };
}
