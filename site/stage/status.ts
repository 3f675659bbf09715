/** Pictures in words, as transcripts have them. */
import type { Cell, Line, Panel } from './picture.ts';

/** A line as a transcript has it. */
export function lineText({ atMs, text, rule }: Line): string {
  return `${atMs === null ? '' : `${atMs} `}${text}${rule === '' ? '' : ` (${rule})`}`;
}

/** A log as a transcript has it: `[0:1! 1:1]`, offset and epoch, `!` for a control batch. */
export function logText(cells: readonly Cell[]): string {
  return `[${cells
    .filter(({ isWritten }) => isWritten)
    .map(({ at, epoch, isControl }) => `${at}:${epoch}${isControl ? '!' : ''}`)
    .join(' ')}]`;
}

/** A panel as a transcript has it: a line for the row, and one for each broker. */
export function statusOf({ title, row, brokers }: Panel): string[] {
  const head = title === '' ? '' : `${title}: `;
  const lines = brokers.map(({ id, role, epoch, logs }) => {
    const told = logs
      .map(
        (log) =>
          `${log.title}${log.title === '' ? '' : ' '}mark=${log.mark} log ${logText(log.cells)}`,
      )
      .join(' ');
    return `${head}${id} ${role} epoch=${epoch} ${told}`;
  });
  if (row === null) return lines;
  const { leader, leaderEpoch, syncSet, quorum, suspects, losses } = row;
  return [
    `${head}leader=${leader} epoch=${leaderEpoch} S=(${syncSet.join()}) q=${quorum} suspects=(${suspects.join()})`,
    ...losses,
    ...lines,
  ];
}
