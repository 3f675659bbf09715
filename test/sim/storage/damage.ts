/** What disks, people and other programs do to the files of one partition. */
import type { Random } from '../../../base/random.ts';
import type { SimVolume } from '../kit/sim-volume.ts';

export const DAMAGES = [
  'flipped bit',
  'zeroed page',
  'cut file',
  'lost first segment',
  'lost middle segment',
  'lost last segment',
  'lost folder',
  'garbled index',
  'stray segment',
  'swapped segments',
] as const;

export type DamageKind = (typeof DAMAGES)[number];

/** Does it. Returns what was done, in words. */
export function damage(
  volume: SimVolume,
  folder: string,
  kind: DamageKind,
  random: Random,
): string {
  const paths = volume.files().filter((path) => path.startsWith(`${folder}/`));
  const logs = paths.filter((path) => /[/]\d{20}[.]log$/.test(path));
  const log = logs.length === 0 ? null : random.pick(logs);
  if (log === null) return 'nothing, there is no segment';
  switch (kind) {
    case 'flipped bit':
      return `bit of byte ${volume.flipBit(log)} of ${log}`;
    case 'zeroed page':
      volume.damage(log, (bytes) => bytes.fill(0, random.below(bytes.length + 1)));
      return `zeros in ${log}`;
    case 'cut file':
      volume.damage(log, (bytes) => bytes.subarray(0, random.below(bytes.length + 1)));
      return `cut ${log}`;
    case 'lost first segment':
      volume.lose(logs[0]!);
      return `lost ${logs[0]}`;
    case 'lost middle segment':
      volume.lose(logs[Math.floor(logs.length / 2)]!);
      return `lost ${logs[Math.floor(logs.length / 2)]}`;
    case 'lost last segment':
      volume.lose(logs.at(-1)!);
      return `lost ${logs.at(-1)}`;
    case 'lost folder':
      volume.lose(folder);
      return `lost ${folder}`;
    case 'garbled index':
      for (const path of paths.filter((other) => /index$/.test(other))) volume.flipBit(path);
      return 'a bit of each index';
    case 'stray segment':
      return addStray(volume, folder, random);
    case 'swapped segments':
      return swap(volume, logs, random);
  }
}

function addStray(volume: SimVolume, folder: string, random: Random): string {
  const path = `${folder}/${String(random.below(200)).padStart(20, '0')}.log`;
  if (volume.contentOf(path) !== null) return 'nothing, the name is taken';
  volume.release(volume.openFile(path, true));
  return `an empty ${path}`;
}

function swap(volume: SimVolume, logs: readonly string[], random: Random): string {
  const [one, other] = [random.pick(logs), random.pick(logs)];
  const [bytes, otherBytes] = [volume.contentOf(one)!, volume.contentOf(other)!];
  volume.damage(one, () => otherBytes);
  volume.damage(other, () => bytes);
  return `${one} and ${other} swapped`;
}
