/** Checks the folder of the metadata log: its file, what each frame says, and the snapshot. */
import { crc32 } from 'node:zlib';
import type { Entry } from '../../raft/types.ts';
import { readFile } from '../file-system.ts';
import type { FileSystem } from '../file-system.ts';
import { decodeHead, decodeSnapshot, decodeWrites, requireFollows } from '../quorum-content.ts';
import type { Head, LogWrite } from '../quorum-content.ts';
import { FRAMES_AT, readQuorumFile } from '../quorum-file.ts';
import type { QuorumFrame } from '../quorum-file.ts';
import type { Findings } from './findings.ts';
import { namesIn } from './read-only.ts';
import { reasonOf } from '../../../base/reason.ts';

export interface QuorumReport {
  readonly term: number;
  /** Index of the last entry. */
  readonly lastIndex: number;
  readonly snapshotIndex: number;
  readonly frames: number;
}

/** Reads everything in `folder`; null where nothing can be said of it. Never rejects. */
export async function checkQuorum(
  files: FileSystem,
  folder: string,
  findings: Findings,
): Promise<QuorumReport | null> {
  const shown = 'quorum/log';
  try {
    const names = await namesIn(files, folder);
    const bytes = names === null ? null : await readFile(files, `${folder}/log`);
    if (names === null || bytes === null) {
      findings.fault(shown, null, 'no file', 'the metadata log');
      return null;
    }
    const content = readQuorumFile(bytes);
    if (content.kind === 'damaged') {
      findings.fault(shown, content.position, content.reason, 'every frame that was synced');
      return null;
    }
    if (content.isTailDirty)
      findings.note(shown, 'a torn frame behind the last one', 'zeros; nobody was told of it');
    const state = replay(content.frames, findings);
    if (state === null) return null;
    await checkSnapshots(files, folder, { names, snapshot: state.snapshot, findings });
    return {
      term: state.term,
      lastIndex: state.lastIndex,
      snapshotIndex: state.snapshot?.index ?? 0,
      frames: content.frames.length,
    };
  } catch (error) {
    findings.fault(shown, null, reasonOf(error), 'a file that can be read');
    return null;
  }
}

interface Replayed {
  readonly term: number;
  readonly lastIndex: number;
  readonly snapshot: Head['snapshot'];
}

/** What the frames come to; null where one of them makes no sense. */
function replay(frames: readonly QuorumFrame[], findings: Findings): Replayed | null {
  let position = FRAMES_AT;
  try {
    const [first, ...rest] = frames;
    const { hardState, snapshot, entries: begun } = decodeHead(first?.payload ?? '');
    const state = { term: hardState.term, snapshot, entries: [...begun] };
    position = first?.endPosition ?? FRAMES_AT;
    for (const { payload, endPosition } of rest) {
      for (const write of decodeWrites(payload)) apply(state, write);
      position = endPosition;
    }
    const { term, entries } = state;
    return { term, lastIndex: (snapshot?.index ?? 0) + entries.length, snapshot };
  } catch (error) {
    findings.fault('quorum/log', position, reasonOf(error), 'what a broker of this build writes');
    return null;
  }
}

interface State {
  term: number;
  readonly snapshot: Head['snapshot'];
  readonly entries: Entry[];
}

function apply(state: State, write: LogWrite): void {
  const { snapshot, entries } = state;
  if (write.kind === 'hard-state') state.term = write.hardState.term;
  if (write.kind !== 'append') return;
  requireFollows(snapshot, entries, write);
  entries.length = write.firstIndex - (snapshot?.index ?? 0) - 1;
  for (const entry of write.entries) entries.push(entry);
}

async function checkSnapshots(
  files: FileSystem,
  folder: string,
  found: {
    readonly names: readonly string[];
    readonly snapshot: Head['snapshot'];
    readonly findings: Findings;
  },
): Promise<void> {
  const { names, snapshot, findings } = found;
  const present = snapshot === null ? null : `snapshot-${snapshot.index}-${snapshot.term}`;
  for (const name of names) {
    if (name === 'log' || name === present) continue;
    const isLeft = name.startsWith('snapshot-') || name.endsWith('.tmp');
    if (isLeft) findings.note(`quorum/${name}`, 'an older or unfinished file', 'nothing');
    else findings.fault(`quorum/${name}`, null, 'a stray file', 'only files of the metadata log');
  }
  if (snapshot === null || present === null) return;
  const shown = `quorum/${present}`;
  const bytes = await readFile(files, `${folder}/${present}`);
  if (bytes === null) {
    findings.fault(shown, null, 'no file', 'the snapshot that the log builds on');
    return;
  }
  const body = bytes.subarray(9);
  const head = Buffer.from(bytes.subarray(0, 9)).toString();
  const checksum = crc32(body).toString(16).padStart(8, '0');
  if (head !== `${checksum}\n`) {
    findings.fault(shown, 0, `the checksum "${head.trim()}"`, `"${checksum}", that of its bytes`);
    return;
  }
  try {
    decodeSnapshot(Buffer.from(body).toString(), snapshot);
  } catch (error) {
    findings.fault(shown, 9, reasonOf(error), 'a snapshot of this build');
  }
}
