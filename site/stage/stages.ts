/** Kinds of scripts, and what carries each of them out. */
import { PartitionScript } from './partition-script.ts';
import { RaftScript } from './raft-script.ts';
import type { Block, Run, Script } from './script.ts';
import { Theatre } from './theatre.ts';

/** By folder of test/scenario. */
export type Kind = 'stories' | 'replication' | 'raft';

/** @param seed of all chance; only stories have any */
export function stageOf(kind: Kind, seed: number): Script {
  if (kind === 'stories') return new Theatre(seed);
  return kind === 'raft' ? new RaftScript() : new PartitionScript();
}

/** The text of a script with what came of it now: a transcript. */
export function transcriptOf(kind: Kind, blocks: readonly Block[], { said }: Run): string {
  const written = blocks.map(({ head, commands }, at) => {
    const lines = said[at] ?? [];
    if (kind !== 'raft') return [head, '----', ...lines].join('\n');
    return commands.length === 0 ? head : [head, '----', lines.join('\n') || 'ok'].join('\n');
  });
  return `${written.join('\n\n')}\n`;
}
