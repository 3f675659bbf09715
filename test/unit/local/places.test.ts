import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { socketOf, takeFolder } from '../../../local/folder.ts';
import { portFaults } from '../../../local/ports.ts';

let folder = '';
let server: Server;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidemark-local-'));
  server = createServer();
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

function listen(where: { port: number; host: string } | { path: string }): Promise<void> {
  return new Promise((resolve) => server.listen(where, resolve));
}

describe('portFaults()', () => {
  it('names the process and program that have a port', async () => {
    await listen({ port: 0, host: '127.0.0.1' });
    const address = server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const faults = await portFaults('127.0.0.1', [port]);
    expect(faults).toHaveLength(1);
    const whose = process.platform === 'linux' ? `process ${process.pid} (` : 'another process';
    expect(faults[0]).toContain(`Cannot listen on 127.0.0.1:${port}: ${whose}`);
    await new Promise((resolve) => server.close(resolve));
    expect(await portFaults('127.0.0.1', [port])).toEqual([]);
  });

  it('says why else', async () => {
    // Documentation's own network: no machine has the address.
    expect(await portFaults('192.0.2.1', [9_641])).toEqual([
      'Cannot listen on 192.0.2.1:9641: EADDRNOTAVAIL',
    ]);
  });
});

describe('takeFolder()', () => {
  it('makes it, and takes it again after a launcher that was killed', async () => {
    const data = join(folder, 'a', 'b');
    await takeFolder(data);
    writeFileSync(socketOf(data), '');
    writeFileSync(join(data, 'local.json'), JSON.stringify({ launcherPid: process.pid }));
    await takeFolder(data);
  });

  it('refuses one whose launcher answers', async () => {
    await listen({ path: socketOf(folder) });
    await expect(takeFolder(folder)).rejects.toThrow(
      `Brokers run in ${folder} already: another process started them`,
    );
    writeFileSync(join(folder, 'local.json'), JSON.stringify({ launcherPid: 42 }));
    await expect(takeFolder(folder)).rejects.toThrow(
      `Brokers run in ${folder} already: process 42 started them`,
    );
  });

  it('says what is in the way', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const place of [file, join(file, 'below')])
      await expect(takeFolder(place)).rejects.toThrow(
        `Cannot use the folder ${place}: a file is in its place, choose another with --data`,
      );
    await expect(takeFolder(join(folder, 'x'.repeat(100)))).rejects.toThrow(/over 100 bytes/);
  });

  it('names the users where a folder is that of another, also one without a name', ({ skip }) => {
    if (process.getuid?.() !== 0) skip('only root may become another user');
    const file = join(import.meta.dirname, '../../../local/folder.ts');
    const code = `const { takeFolder } = await import(${JSON.stringify(file)});
process.setgid(54321); process.setuid(54321);
await takeFolder(${JSON.stringify(folder)}).catch(({ message }) => console.log(message));`;
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', code]);
    expect(ran.stdout.toString()).toBe(
      `Cannot use the folder ${folder}: it belongs to user 0, this is user 54321, choose another with --data\n`,
    );
  });
});
