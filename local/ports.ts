/** Ports that brokers are to listen on: free, or who has them. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, isAbsolute } from 'node:path';
import { printable } from '../base/printable.ts';

/** Of a command line, as much as tells programs apart. */
const COMMAND_LENGTH_MAX = 60;
/** State of a socket that listens, in /proc/net/tcp. */
const LISTENING = '0A';

/** Resolves to a sentence for each port that cannot be listened on. */
export async function portFaults(host: string, ports: readonly number[]): Promise<string[]> {
  const faults = await Promise.all(
    ports.map(async (port) => {
      const code = await tryListen(host, port);
      if (code === '') return [];
      if (code !== 'EADDRINUSE') return [`Cannot listen on ${host}:${port}: ${code}`];
      return [`Cannot listen on ${host}:${port}: ${holderOf(port)} has it`];
    }),
  );
  return faults.flat();
}

/** Resolves to why it cannot be listened on; empty where it can. */
function tryListen(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port }, () => server.close(() => resolve('')));
  });
}

/** Process and program, where Linux tells whose the port is. */
function holderOf(port: number): string {
  try {
    const sockets = new Set(['tcp', 'tcp6'].flatMap((name) => orNone(() => listeners(name, port))));
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (!socketsOf(pid).some((inode) => sockets.has(inode))) continue;
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      const shown = printable(words.map(withoutFolder).join(' ').trim());
      const isLong = shown.length > COMMAND_LENGTH_MAX;
      return `process ${pid} (${isLong ? `${shown.slice(0, COMMAND_LENGTH_MAX)}…` : shown})`;
    }
  } catch {
    // No Linux, or a process that ended meanwhile.
  }
  return 'another process';
}

/** Long folders would leave no room for the arguments, which tell one broker from the next. */
function withoutFolder(word: string): string {
  return isAbsolute(word) ? basename(word) : word;
}

/** Inodes of the sockets that listen on a port. */
function listeners(name: string, port: number): string[] {
  const [, ...lines] = readFileSync(`/proc/net/${name}`, 'utf8').trim().split('\n');
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, address = '', , state]) =>
        state === LISTENING && Number.parseInt(address.split(':')[1] ?? '', 16) === port,
    )
    .map((fields) => fields[9] ?? '');
}

/** Inodes of a process's sockets; none where it is another user's. */
function socketsOf(pid: string): string[] {
  return orNone(() => readdirSync(`/proc/${pid}/fd`)).flatMap((fd) =>
    // It may have been closed since.
    orNone(() => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.slice(1) ?? []),
  );
}

function orNone(read: () => string[]): string[] {
  try {
    return read();
  } catch {
    return [];
  }
}
