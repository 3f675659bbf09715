import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { lockDirectory } from '../../../../broker/storage/directory-lock.ts';
import { temporaryFolder } from './fixture.ts';

describe('lockDirectory', () => {
  it('keeps a second opener of the same process out until it is released, and leaves one empty file', () => {
    const dataDir = temporaryFolder();
    const release = lockDirectory(dataDir);
    expect(() => lockDirectory(dataDir)).toThrow(expect.objectContaining({ code: 'REFUSED' }));
    release();
    lockDirectory(dataDir)();
    expect(readdirSync(dataDir)).toEqual(['lock']);
  });

  it('keeps another process out, and lets it in after the holder was killed', async () => {
    const dataDir = temporaryFolder();
    const module = join(import.meta.dirname, '../../../../broker/storage/directory-lock.ts');
    const script = `import(${JSON.stringify(module)}).then(({ lockDirectory }) => { globalThis.release = lockDirectory(${JSON.stringify(dataDir)}); console.log('locked'); setInterval(() => {}, 1000); })`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    expect(() => lockDirectory(dataDir)).toThrow(expect.objectContaining({ code: 'REFUSED' }));
    child.kill('SIGKILL');
    await once(child, 'exit');
    lockDirectory(dataDir)();
  });
});
