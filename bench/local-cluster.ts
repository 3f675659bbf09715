/**
 * Three brokers as `npm start` runs them, and the `tidemark` command against them: benchmarks
 * measure what a user gets, from outside.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
/** Runs a program as it is built from the present sources. */
const PROGRAM = ['scripts/program.mjs'];
const READY_DEADLINE_MS = 60_000;

/** A broker process, as the launcher reports it. */
export interface BrokerStatus {
  readonly brokerId: number;
  readonly state: string;
  readonly pid: number | null;
}

export class LocalCluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'tidemark-bench-'));
  readonly servers: string;
  readonly #launcher: ChildProcess;
  /**
   * Seconds from the start of the command to the moment when all three serve, as the launcher says.
   */
  readonly ready: Promise<number>;

  constructor(port: number) {
    this.servers = [0, 1, 2].map((index) => `127.0.0.1:${port + index}`).join(',');
    // Beside one that runs already, with the ports of `npm start`.
    const args = [
      ...[...PROGRAM, 'local/main.ts', '--data', this.folder, '--port', String(port)],
      ...['--internal-port', String(port + 50), '--http-port', String(port + 100)],
    ];
    const startedMs = performance.now();
    this.#launcher = spawn(process.execPath, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.ready = new Promise((done, fail) => {
      const timer = setTimeout(() => {
        fail(new Error(`the brokers were not ready within ${READY_DEADLINE_MS} ms`));
      }, READY_DEADLINE_MS);
      this.#launcher.stdout?.on('data', (chunk: Buffer) => {
        if (!chunk.includes('brokers ready')) return;
        clearTimeout(timer);
        done((performance.now() - startedMs) / 1000);
      });
    });
  }

  /** Runs `tidemark` with JSON output. Rejects when it exits otherwise than with 0. */
  async tidemark<Result>(...args: readonly string[]): Promise<Result> {
    const words = [...PROGRAM, 'client/cli/main.ts', ...args, '--output', 'json'];
    const child = spawn(process.execPath, words, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TIDEMARK_SERVER: this.servers },
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    const code = await new Promise<number | null>((done) => child.once('close', done));
    if (code !== 0)
      throw new Error(
        `tidemark ${args.join(' ')} exited with ${code}: ${Buffer.concat(err).toString()}`,
      );
    return JSON.parse(Buffer.concat(out).toString()) as Result;
  }

  async local(...args: readonly string[]): Promise<BrokerStatus[]> {
    return await this.tidemark<BrokerStatus[]>('local', ...args, '--data', this.folder);
  }

  /** Resident memory of each broker, in MB of 10^6 bytes, by id. */
  async memoryMegabytes(): Promise<number[]> {
    const brokers = await this.local('status');
    return brokers.map(({ pid }) => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return (Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024) / 1e6;
    });
  }

  /** Broker that leads partition 0 of a topic. */
  async leaderOf(topic: string): Promise<number> {
    const found = await this.tidemark<{ partitions: { leader: number }[] }>(
      'topic',
      'describe',
      topic,
    );
    return found.partitions[0]?.leader ?? -1;
  }

  async close(): Promise<void> {
    const ended = new Promise((done) => this.#launcher.once('exit', done));
    this.#launcher.kill('SIGTERM');
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
