/**
 * Whether the index files of a segment say what the segment says. The index is built again while
 * the segment is read: it follows from the frames, byte for byte.
 */
import type { Offset } from '../../../base/units.ts';
import { endOffsetOf } from '../../../wire/batch/frame.ts';
import type { BatchHeader } from '../../../wire/batch/frame.ts';
import { SparseIndex } from '../sparse-index.ts';
import type { Findings } from './findings.ts';

export interface IndexFiles {
  /** Paths to tell. */
  readonly offsetsFile: string;
  readonly timesFile: string;
  /** Bytes, or null where there is no file. */
  readonly offsets: Uint8Array | null;
  readonly times: Uint8Array | null;
}

export class IndexCheck {
  readonly #files: IndexFiles;
  readonly #findings: Findings;
  readonly #built: SparseIndex;
  readonly #saved: SparseIndex | null;
  #isCompared = false;

  /** `segmentBytes`: of the log file. */
  constructor(files: IndexFiles, baseOffset: Offset, segmentBytes: number, findings: Findings) {
    this.#files = files;
    this.#findings = findings;
    this.#built = new SparseIndex(baseOffset);
    const { offsets, times } = files;
    this.#saved =
      offsets === null || times === null
        ? null
        : SparseIndex.decode(baseOffset, segmentBytes, offsets, times);
  }

  /** The next frame. */
  take(header: BatchHeader, position: number): void {
    this.#built.add({ ...header, endOffset: endOffsetOf(header) }, position);
    if (this.#built.summary.coveredBytes === this.#saved?.summary.coveredBytes) this.#compare();
  }

  /** After the last frame. `isSealed`: another segment follows, so there should be an index. */
  finish(isSealed: boolean, isSegmentWhole: boolean): void {
    const { offsetsFile, timesFile, offsets, times } = this.#files;
    if (offsets === null && times === null) {
      if (isSealed) this.#findings.note(offsetsFile, 'no index', 'one; a reader builds it again');
      return;
    }
    if (offsets === null || times === null) {
      const missing = offsets === null ? offsetsFile : timesFile;
      this.#findings.note(missing, 'no file', 'the other half of the index; it is built again');
      return;
    }
    if (this.#saved === null) {
      const expected = 'a whole index of this segment; it is built again';
      this.#findings.fault(
        offsetsFile,
        null,
        'its checksum or content, or its pair, fails',
        expected,
      );
    } else if (!this.#isCompared && isSegmentWhole && this.#saved.summary.coveredBytes > 0) {
      const found = `it covers ${this.#saved.summary.coveredBytes} bytes`;
      this.#findings.fault(offsetsFile, null, found, 'a place where a batch ends');
    }
  }

  #compare(): void {
    this.#isCompared = true;
    const { offsetsFile, timesFile, offsets, times } = this.#files;
    const built = this.#built.encode();
    this.#compareFile(offsetsFile, offsets, built.offsets);
    this.#compareFile(timesFile, times, built.times);
  }

  #compareFile(file: string, found: Uint8Array | null, built: Uint8Array): void {
    const at = built.findIndex((byte, index) => byte !== found?.[index]);
    if (at < 0 && found?.length === built.length) return;
    const position = at < 0 ? built.length : at;
    this.#findings.fault(file, position, 'another index', 'the one that follows from the batches');
  }
}
