/**
 * Which files of a partition's folder make up its log. A name says where a segment begins; where it
 * ends, its contents say. The log is the chain of segments that each begin where the one before
 * ends, from the log start on. What else lies in the folder is a leftover below the log start, or a
 * stray: a file that somebody put there must not end the log in front of it.
 */
import type { StampTarget } from '../../wire/batch/frame.ts';
import type { Offset } from '../../base/units.ts';
import type { MergedRange, PartitionCheckpoint } from './checkpoint.ts';
import { isUnfinished, Segment, segmentBaseOf } from './segment.ts';
import type { Volume } from './volume.ts';

export interface ChainRequest {
  readonly volume: Volume;
  readonly folder: string;
  readonly target: StampTarget;
  readonly checkpoint: PartitionCheckpoint | null;
}

/**
 * What the files are. Each segment's end is that of its contents, as far as they can be followed.
 */
export interface SegmentChain {
  readonly startOffset: Offset;
  /** Contiguous, oldest first. */
  readonly segments: Segment[];
  /** Of an interrupted retirement, reset or merge: to be removed. */
  readonly leftovers: readonly Segment[];
  /** Nothing of them belongs to the log. */
  readonly strays: readonly { readonly segment: Segment; readonly reason: string }[];
  /** Paths of files that were to take the place of segments, and did not. */
  readonly unfinished: readonly string[];
  /** Behind a gap: they may hold what was acknowledged. */
  readonly lost: readonly Segment[];
  /** A part of the log is missing. */
  readonly damage: { readonly fromOffset: Offset; readonly reason: string } | null;
}

/**
 * The segment that a file was merged into, as the journal says and the segments bear out; null: it
 * was into none.
 */
export function mergedInto<Whole extends Pick<Segment, 'baseOffset' | 'endOffset'>>(
  { baseOffset }: Pick<Segment, 'baseOffset'>,
  segments: readonly Whole[],
  range: MergedRange | undefined,
): Whole | null {
  if (range === undefined) return null;
  if (baseOffset <= range.baseOffset || baseOffset >= range.endOffset) return null;
  const whole = segments.find((segment) => segment.baseOffset === range.baseOffset);
  return whole !== undefined && whole.endOffset >= range.endOffset ? whole : null;
}

/** Sorts the files of a folder. Changes none. Rejects as the file system does. */
export async function findChain(request: ChainRequest): Promise<SegmentChain> {
  const { checkpoint } = request;
  const { folder, volume } = request;
  const names = await volume.files.list(folder);
  const files = await listSegments(request, names);
  const unfinished = names.filter(isUnfinished).map((name) => `${folder}/${name}`);
  if (checkpoint?.isResetting === true) {
    // Nothing was appended since, so none of them counts.
    const startOffset = checkpoint.writtenOffset;
    const none = { segments: [], strays: [], lost: [], damage: null };
    return { startOffset, leftovers: files, unfinished, ...none };
  }
  const startOffset = checkpoint?.startOffset ?? 0;
  const chain = new Chain(files, startOffset, checkpoint?.merging);
  await chain.build();
  const { segments, leftovers, strays, behind } = chain;
  return {
    startOffset: Math.max(startOffset, segments[0]?.baseOffset ?? startOffset),
    segments,
    leftovers,
    strays,
    unfinished,
    lost: behind,
    damage: damageOf(chain, checkpoint, files.length),
  };
}

function damageOf(
  { segments, behind, startOffset }: Chain,
  checkpoint: PartitionCheckpoint | null,
  fileCount: number,
): SegmentChain['damage'] {
  const firstBase = segments[0]?.baseOffset ?? startOffset;
  // Retirement and reset journal the new start before files go, so the files in front went by
  // themselves. What is left stays: it is no evidence, but it may be all there is (P11).
  const missedFrom = checkpoint?.logStartOffset ?? startOffset;
  if (firstBase > missedFrom)
    return { fromOffset: missedFrom, reason: `segments before offset ${firstBase} are missing` };
  const next = behind[0];
  const endOffset = segments.at(-1)?.endOffset ?? startOffset;
  if (next !== undefined) {
    const reason = `the segment ends at ${endOffset} and the next one begins at ${next.baseOffset}`;
    return { fromOffset: endOffset, reason };
  }
  // A log with a line has a file from its first moment on.
  return checkpoint !== null && fileCount === 0
    ? { fromOffset: startOffset, reason: 'all its files are missing' }
    : null;
}

async function listSegments(
  { volume, folder, target }: ChainRequest,
  names: readonly string[],
): Promise<Segment[]> {
  const bases = names
    .map(segmentBaseOf)
    .filter((base) => base !== null)
    .sort((a, b) => a - b);
  const segments: Segment[] = [];
  for (const baseOffset of bases) {
    const segment = new Segment({ volume, folder, target, baseOffset });
    segment.bytes = (await volume.files.stat(segment.path)).bytes;
    segments.push(segment);
  }
  return segments;
}

class Chain {
  readonly segments: Segment[] = [];
  readonly leftovers: Segment[] = [];
  readonly strays: { readonly segment: Segment; readonly reason: string }[] = [];
  /** Not empty, and beyond the end of the chain. */
  readonly behind: Segment[] = [];
  readonly startOffset: Offset;
  readonly #files: readonly Segment[];
  readonly #merging: MergedRange | undefined;

  constructor(files: readonly Segment[], startOffset: Offset, merging: MergedRange | undefined) {
    this.#files = files;
    this.startOffset = startOffset;
    this.#merging = merging;
  }

  async build(): Promise<void> {
    const first = await this.#first();
    let next = first;
    while (next !== null) {
      this.segments.push(next);
      const { endOffset } = next;
      const previous = next;
      next = this.#files.find((file) => file !== previous && file.baseOffset === endOffset) ?? null;
      if (next !== null) await this.#measure(next);
    }
    const endOffset = this.segments.at(-1)?.endOffset ?? this.startOffset;
    for (const file of this.#files) {
      if (this.segments.includes(file) || this.leftovers.includes(file)) continue;
      if (mergedInto(file, this.segments, this.#merging) !== null) this.leftovers.push(file);
      else if (file.bytes === 0) this.strays.push({ segment: file, reason: 'it is empty' });
      else if (file.baseOffset < endOffset)
        this.strays.push({ segment: file, reason: 'the log holds these offsets elsewhere' });
      else this.behind.push(file);
    }
  }

  /**
   * The segment that holds the log start, or begins or ends there. Those below it are leftovers.
   */
  async #first(): Promise<Segment | null> {
    const below: Segment[] = [];
    let first: Segment | null = null;
    for (const file of this.#files) {
      if (file.baseOffset > this.startOffset) break;
      await this.#measure(file);
      below.push(file);
      if (first === null || this.#isBetterFirst(file, first)) first = file;
    }
    if (first !== null && first.endOffset < this.startOffset) first = null;
    for (const file of below) {
      if (file !== first && file.endOffset <= this.startOffset) this.leftovers.push(file);
    }
    if (first !== null) return first;
    // The beginning is missing.
    const above = this.#files.filter((file) => file.baseOffset > this.startOffset);
    const next = above.find((file) => file.bytes > 0) ?? above[0] ?? null;
    if (next !== null) await this.#measure(next);
    return next;
  }

  /**
   * The one that reaches further; among those that end at the log start, the one that begins there.
   */
  #isBetterFirst(file: Segment, first: Segment): boolean {
    // What was not followed, since it is the last, comes after what is known to hold the log start.
    if (!Number.isFinite(file.endOffset)) return first.endOffset <= this.startOffset;
    if (file.endOffset < this.startOffset) return false;
    return file.endOffset === this.startOffset
      ? first.endOffset <= this.startOffset
      : file.endOffset > first.endOffset;
  }

  /**
   * Settles where a file's frames end. Where its index says what the next name says, they agree.
   * Else its frames are followed; where they break off, the next name is believed, and the scan or
   * a read finds the damage.
   */
  async #measure(file: Segment): Promise<void> {
    const next = this.#files[this.#files.indexOf(file) + 1];
    file.endOffset = file.baseOffset;
    if (file.bytes === 0) return;
    if (next !== undefined && (await file.savedEnd()) === next.baseOffset) {
      file.endOffset = next.baseOffset;
      return;
    }
    // The last file is scanned in any case.
    if (next === undefined) {
      file.endOffset = Number.POSITIVE_INFINITY;
      return;
    }
    const stop = await file.scan(
      { position: 0, offset: file.baseOffset, epoch: 0, endPosition: file.bytes },
      'headers',
      () => true,
    );
    const isBroken = stop.kind !== 'end' && stop.offset < next.baseOffset && next.bytes > 0;
    file.endOffset = isBroken ? next.baseOffset : stop.offset;
  }
}
