import { describe, expect, it } from 'vitest';
import { classify } from '../../../../broker/storage/session.ts';
import type { CleanFlag, Session } from '../../../../broker/storage/session.ts';
import { META, MOUNT } from './fixture.ts';

const NOW = { bootId: 'boot', mount: MOUNT, podUid: 'pod' };
const SESSION: Session = {
  clusterId: META.clusterId,
  directoryId: META.directoryId,
  brokerEpoch: 7,
  ...NOW,
};
const CLEAN: CleanFlag = { directoryId: META.directoryId, brokerEpoch: 7 };

describe('classify', () => {
  it.each([
    ['new', 'not formatted', { meta: null, session: null, cleanFlag: null }],
    ['lossy', 'no session file', { session: null }],
    ['lossy', 'no session file', { session: null, cleanFlag: CLEAN }],
    ['warm', 'epoch 7', {}],
    ['clean', 'epoch 7', { cleanFlag: CLEAN }],
    [
      'clean',
      'epoch 7',
      {
        cleanFlag: CLEAN,
        now: { bootId: 'later boot', mount: { ...MOUNT, device: 9 }, podUid: 'later pod' },
      },
    ],
    ['warm', 'epoch 7', { cleanFlag: { ...CLEAN, brokerEpoch: 6 } }],
    ['warm', 'epoch 7', { cleanFlag: { ...CLEAN, directoryId: 'other' } }],
    ['lossy', 'of boot boot, this is boot other', { now: { ...NOW, bootId: 'other' } }],
    ['lossy', 'of pod "pod", this is pod "other"', { now: { ...NOW, podUid: 'other' } }],
    ['lossy', 'device was 1 and is 9', { now: { ...NOW, mount: { ...MOUNT, device: 9 } } }],
    ['lossy', 'fileSystemType was', { now: { ...NOW, mount: { ...MOUNT, fileSystemType: 9 } } }],
    ['lossy', 'metaInode was', { now: { ...NOW, mount: { ...MOUNT, metaInode: 9 } } }],
    ['lossy', 'metaChangedMs was', { now: { ...NOW, mount: { ...MOUNT, metaChangedMs: 9 } } }],
    [
      'lossy',
      'of directory other',
      { session: { ...SESSION, directoryId: 'other' }, cleanFlag: CLEAN },
    ],
    [
      'lossy',
      'of cluster "other"',
      { session: { ...SESSION, clusterId: 'other' }, cleanFlag: CLEAN },
    ],
    ['lossy', 'the checkpoint is absent', { checkpoint: 'absent' as const, cleanFlag: CLEAN }],
    ['lossy', 'the checkpoint is damaged', { checkpoint: 'damaged' as const }],
  ])('says %s because %s', (restartClass, reason, found) => {
    const usual = {
      meta: META,
      session: SESSION,
      cleanFlag: null,
      checkpoint: 'whole',
      now: NOW,
    } as const;
    const verdict = classify({ ...usual, ...found });
    expect(verdict.restartClass).toBe(restartClass);
    expect(verdict.reason).toContain(reason);
  });
});
