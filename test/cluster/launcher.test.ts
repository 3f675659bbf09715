/**
 * `npm start` as a person uses it, with the `tidemark` command beside it: output for scripts, exit
 * codes, data that survives.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Command, type CommandResult, command, ROOT, tidemark } from './harness/child.ts';
import { freePorts } from './harness/ports.ts';
import { waitFor } from './harness/wait.ts';

interface LocalBroker {
  readonly brokerId: number;
  readonly state: string;
  readonly pid: number | null;
}

describe('npm start', () => {
  const data = mkdtempSync(join(tmpdir(), 'tidemark-start-'));
  let port = 0;
  let internalPort = 0;
  let httpPort = 0;
  let launcher: Command | undefined;
  beforeAll(async () => {
    port = await freePorts(3);
    internalPort = await freePorts(3);
    httpPort = await freePorts(3);
    launcher = await start();
  });
  afterAll(async () => {
    for (const { pid } of await status().catch(() => [])) killIfRunning(pid);
    await launcher?.kill();
    rmSync(data, { recursive: true, force: true });
  });

  function ports(): string[] {
    return ['--port', `${port}`, '--internal-port', `${internalPort}`];
  }

  /**
   * What the script `start` of package.json runs, without npm around it: a signal is for the
   * program itself, as from a supervisor.
   */
  async function start(): Promise<Command> {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: { start: string };
    };
    const [, ...script] = scripts.start.split(' ');
    const own = [
      '--data',
      data,
      ...ports(),
      '--http-port',
      `${httpPort}`,
      ...['--session-timeout-ms', '4000'],
    ];
    const started = command(process.execPath, [...script, ...own]);
    await waitFor(
      'the launcher to be ready',
      () => {
        if (started.isOver()) throw new Error('the launcher ended');
        return started.printed().includes('brokers ready') ? true : undefined;
      },
      { context: started.printed },
    );
    return started;
  }

  function run(...args: string[]): Promise<CommandResult> {
    return runWith(undefined, ...args);
  }

  function runWith(input: string | undefined, ...args: string[]): Promise<CommandResult> {
    const servers = [0, 1, 2].map((index) => `127.0.0.1:${port + index}`).join(',');
    const bytes = input === undefined ? undefined : Buffer.from(input);
    return tidemark([...args, '--server', servers], bytes).result;
  }

  async function local(...args: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await tidemark([
      'local',
      ...args,
      '--data',
      data,
      '-o',
      'json',
    ]).result;
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout.toString());
  }

  async function status(): Promise<LocalBroker[]> {
    return (await local('status')) as LocalBroker[];
  }

  function stateOf(brokerId: number, state: string): Promise<LocalBroker> {
    return waitFor(`broker ${brokerId} to be ${state}`, async (note) => {
      const brokers = await status();
      note(brokers);
      return brokers.find((broker) => broker.brokerId === brokerId && broker.state === state);
    });
  }

  async function inService(): Promise<void> {
    await waitFor('all brokers in service', async (note) => {
      const { stdout } = await run('cluster', 'describe', '--output', 'json');
      const described = JSON.parse(stdout.toString()) as {
        brokers: { fenced: boolean; voter: boolean }[];
      };
      note(described.brokers);
      const serving = described.brokers.filter(({ fenced }) => !fenced);
      return serving.length === 3 ? true : undefined;
    });
  }

  it('says how commands find it and where its metrics are, and hands options on', async () => {
    const servers = [0, 1, 2].map((index) => `127.0.0.1:${port + index}`).join(',');
    await waitFor('the line to export', () =>
      launcher?.printed().includes(`\nexport TIDEMARK_SERVER=${servers}\n`) === true
        ? true
        : undefined,
    );
    expect(launcher?.printed()).toContain(`http://127.0.0.1:${httpPort}/metrics`);
    for (const index of [0, 1, 2]) {
      const page = await (await fetch(`http://127.0.0.1:${httpPort + index}/metrics`)).text();
      expect(page).toContain('# HELP tidemark_');
    }
    const { stdout } = await run('cluster', 'describe', '--output', 'json');
    const { brokers } = JSON.parse(stdout.toString()) as {
      brokers: { report: { options: object[] } }[];
    };
    for (const { report } of brokers)
      expect(report.options).toContainEqual(
        expect.objectContaining({ name: 'session-timeout-ms', value: '4000' }),
      );
  });

  it('is refused a second time, with the process that has the folder or the port', async () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      scripts: { start: string };
    };
    const [, ...script] = scripts.start.split(' ');
    const again = (...args: string[]): Promise<CommandResult> =>
      command(process.execPath, [...script, ...args]).result;
    const { launcherPid } = JSON.parse(readFileSync(join(data, 'local.json'), 'utf8')) as {
      launcherPid: number;
    };
    const folder = await again('--data', data, '--port', `${await freePorts(3)}`);
    expect(folder).toMatchObject({
      code: 1,
      stderr: `Brokers run in ${data} already: process ${launcherPid} started them\n`,
    });
    const other = mkdtempSync(join(tmpdir(), 'tidemark-start-'));
    try {
      const taken = ['--data', other, ...ports(), '--brokers', '1', '--http-port', '0'];
      const { code, stderr } = await again(...taken);
      const [first] = await status();
      expect(code).toBe(1);
      for (const each of [port, internalPort])
        expect(stderr).toContain(`Cannot listen on 127.0.0.1:${each}: process ${first?.pid} (`);
      expect(stderr).toContain('(node program.mjs broker/main.ts --id 1 ');
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('takes a topic and records, and gives them back', async () => {
    const created = await run('topic', 'create', 'orders', '--partitions', '2', '-o', 'json');
    expect(created, created.stderr).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(created.stdout.toString())).toMatchObject({ name: 'orders' });
    const appended = await runWith('a 1\nb 2\na 3\n', 'append', 'orders', '--key-by', '^\\S+');
    expect(appended, appended.stderr).toMatchObject({ code: 0 });
    const read = await run('read', 'orders', '--output', 'json');
    expect(read, read.stderr).toMatchObject({ code: 0 });
    const records = read.stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; value: string });
    expect(records.filter(({ key }) => key === 'a').map(({ value }) => value)).toEqual([
      'a 1',
      'a 3',
    ]);
    expect(records.filter(({ key }) => key === 'b').map(({ value }) => value)).toEqual(['b 2']);
  });

  it('shows offsets and every replica, and reads a range', async () => {
    const looked = await run('topic', 'offsets', 'orders', '--at', '2020-01-01', '-o', 'json');
    const offsets = JSON.parse(looked.stdout.toString()) as Record<string, number>[];
    expect(offsets.map(({ logStart }) => logStart)).toEqual([0, 0]);
    const ends = offsets.map(({ highWaterMark }) => highWaterMark ?? 0);
    const described = await run('topic', 'describe', 'orders', '--all', '-o', 'json');
    const { replicas } = JSON.parse(described.stdout.toString()) as {
      replicas: { partition: number; logEnd: number; role: string }[];
    };
    expect(replicas).toHaveLength(6);
    for (const { partition, logEnd, role } of replicas)
      if (role === 'leader') expect(logEnd).toBe(ends[partition]);
    const all = (await run('read', 'orders', '--to', `${Math.max(...ends)}`)).stdout.toString();
    expect(all.split('\n')).toHaveLength(4);
    const one = await run('read', 'orders', '--filter', 'key=b', '--to', '2100-01-01');
    expect(one.stdout.toString()).toBe('b 2\n');
    expect((await run('read', 'orders', '--to', '2020-01-01')).stdout.toString()).toBe('');
  });

  it.for([
    { name: 'an unknown topic', args: ['topic', 'describe', 'nothing'], exitCode: 2 },
    { name: 'a topic that exists', args: ['topic', 'create', 'orders'], exitCode: 2 },
    { name: 'an unknown option', args: ['topic', 'list', '--nothing'], exitCode: 2 },
    {
      name: 'a stop that would take the quorum',
      args: ['cluster', 'check-disruption', '1', '2'],
      exitCode: 1,
    },
    { name: 'a stop that is safe', args: ['cluster', 'check-disruption', '3'], exitCode: 0 },
  ])('lets the command end with $exitCode for $name', async ({ args, exitCode }) => {
    await inService();
    const { code, stdout, stderr } = await run(...args);
    expect(code, `${stdout.toString()}${stderr}`).toBe(exitCode);
  });

  it('lets the command end with 1 where nobody listens', async () => {
    const free = await freePorts(1);
    const { code, stderr } = await tidemark(['topic', 'list', '--server', `127.0.0.1:${free}`])
      .result;
    expect(code).toBe(1);
    expect(stderr).toContain(`127.0.0.1:${free}`);
  });

  it('kills, pauses, stops and starts single brokers', async () => {
    const first = await stateOf(2, 'running');
    await local('kill', '2');
    await stateOf(2, 'down');
    expect(first.pid === null || isRunning(first.pid)).toBe(false);
    await local('start', '2');
    const second = await stateOf(2, 'running');
    expect(second.pid).not.toBe(first.pid);
    await inService();
    await local('kill', '2', '--pause');
    expect(await stateOf(2, 'paused')).toMatchObject({ pid: second.pid });
    await local('start', '2');
    expect(await stateOf(2, 'running')).toMatchObject({ pid: second.pid });
    await local('kill', '2', '--stop');
    await stateOf(2, 'down');
    await local('start', '2');
    await stateOf(2, 'running');
    await inService();
  });

  it('stops in order on Ctrl-C, and has its data when it is started again', async () => {
    const pids = (await status()).map(({ pid }) => pid);
    launcher?.signal('SIGINT');
    const ended = await launcher?.result;
    expect(ended).toMatchObject({ code: 0, signal: null });
    expect(pids.filter((pid) => pid !== null && isRunning(pid))).toEqual([]);
    expect(existsSync(join(data, 'local.json'))).toBe(false);
    const { code, stderr } = await tidemark(['local', 'status', '--data', data]).result;
    expect(code).toBe(2);
    expect(stderr).toContain('npm start');
    launcher = await start();
    await inService();
    const described = await run('cluster', 'describe', '--output', 'json');
    const { brokers } = JSON.parse(described.stdout.toString()) as {
      brokers: { restartClass: string }[];
    };
    expect(brokers.map(({ restartClass }) => restartClass)).toEqual(['clean', 'clean', 'clean']);
    const read = await run('read', 'orders', '--format', 'raw');
    expect(read.stdout.toString().split('\n').toSorted()).toEqual(['', 'a 1', 'a 3', 'b 2']);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function killIfRunning(pid: number | null): void {
  if (pid !== null && isRunning(pid)) process.kill(pid, 'SIGKILL');
}

describe('npm start -- --secure', () => {
  const data = mkdtempSync(join(tmpdir(), 'tidemark-start-'));
  let launcher: Command | undefined;
  afterAll(async () => {
    await launcher?.kill();
    rmSync(data, { recursive: true, force: true });
  });

  it('has TLS everywhere, and prints how to come in', async () => {
    const program = join(ROOT, 'local', 'main.ts');
    const port = await freePorts(6);
    const server = `127.0.0.1:${port}`;
    const ports = ['--port', `${port}`, '--internal-port', `${port + 3}`, '--http-port', '0'];
    launcher = command(process.execPath, [program, '--data', data, ...ports, '--secure']);
    const ca = join(data, 'tls', 'ca.crt');
    await waitFor('the line to export', () =>
      launcher?.printed().includes(` TIDEMARK_TLS_CA='${ca}'\n`) === true ? true : undefined,
    );
    const describe = ['cluster', 'describe', '--server', server];
    const { code, stdout } = await tidemark([...describe, '--tls-ca', ca]).result;
    expect({ code, brokers: stdout.toString().match(/rack-\d/g) }).toMatchObject({
      code: 0,
      brokers: ['rack-1', 'rack-2', 'rack-3'],
    });
    launcher.signal('SIGINT');
    expect(await launcher.result).toMatchObject({ code: 0 });
  });
});

describe('npm start whose brokers cannot start', () => {
  const data = mkdtempSync(join(tmpdir(), 'tidemark-start-'));
  afterAll(() => rmSync(data, { recursive: true, force: true }));

  it('ends, and says where the reason stands', async () => {
    const program = join(ROOT, 'local', 'main.ts');
    const port = await freePorts(6);
    const ports = ['--port', `${port}`, '--internal-port', `${port + 3}`, '--http-port', '0'];
    const args = [program, '--data', data, ...ports, '--', '--session-timeout-ms', '0'];
    const { code, stderr } = await command(process.execPath, args).result;
    expect(stderr).toContain(
      `every broker ended before the cluster was ready: see ${join(data, 'logs')}`,
    );
    expect(code).toBe(1);
    expect(readFileSync(join(data, 'logs', 'broker-1.log'), 'utf8')).toContain(
      'session-timeout-ms is',
    );
    expect(existsSync(join(data, 'local.json'))).toBe(false);
  });
});
