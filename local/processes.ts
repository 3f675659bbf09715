/**
 * Brokers as processes of this machine: started, killed, paused, continued. A broker that ends by
 * itself with EXIT_COMES_BACK is started again, as a supervisor would; one that a person killed
 * stays down until it is started by hand.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT_COMES_BACK, EXIT_FAULT } from '../process/exit-codes.ts';
import { LogFile } from './log-file.ts';

/** How one broker is to be run. */
export interface BrokerSpec {
  readonly brokerId: number;
  readonly host: string;
  readonly port: number;
  /** Where other brokers reach it. */
  readonly internalPort: number;
  readonly rack: string;
  /** Of metrics and probes; 0: none. */
  readonly httpPort: number;
}

export type ProcessState = 'running' | 'paused' | 'stopping' | 'down';

/** What `tidemark local status` shows. */
export interface ProcessStatus extends BrokerSpec {
  readonly state: ProcessState;
  readonly pid: number | null;
}

export interface ProcessesOptions {
  readonly dataDir: string;
  /** What Node is started with, before a broker's options. */
  readonly command: readonly string[];
  readonly specs: readonly BrokerSpec[];
  readonly clusterId: string;
  readonly extraArguments: readonly string[];
  /** Of one broker. */
  readonly argumentsOf?: (brokerId: number) => readonly string[];
  /** A person should know: a broker started, ended or was signalled. */
  readonly onEvent: (text: string) => void;
  /** The last one ended by a fault of its own, and none is to be started again. */
  readonly onAllFailed: () => void;
}

/** Pause before a broker that left by itself is started again. */
const RESTART_MS = 500;

interface Running {
  readonly child: ChildProcess;
  state: 'running' | 'paused' | 'stopping';
}

/** Signals that `kill` accepts. */
export type KillSignal = 'SIGKILL' | 'SIGSTOP' | 'SIGTERM';

export class Processes {
  readonly #options: ProcessesOptions;
  readonly #running = new Map<number, Running>();
  /** Ended with EXIT_COMES_BACK, to be started after a pause. */
  readonly #returning = new Set<number>();
  #isClosing = false;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    mkdirSync(join(options.dataDir, 'logs'), { recursive: true });
  }

  status(): ProcessStatus[] {
    return this.#options.specs.map((spec) => {
      const running = this.#running.get(spec.brokerId);
      return { ...spec, state: running?.state ?? 'down', pid: running?.child.pid ?? null };
    });
  }

  /**
   * Starts a broker that is down, or continues one that is paused. @throws Error with a sentence
   * for a person
   */
  start(brokerId: number): void {
    const spec = this.#spec(brokerId);
    const running = this.#running.get(brokerId);
    if (running?.state === 'paused') {
      running.child.kill('SIGCONT');
      running.state = 'running';
      this.#options.onEvent(`broker ${brokerId} continues (process ${running.child.pid})`);
      return;
    }
    if (running !== undefined) throw new Error(`broker ${brokerId} is ${running.state} already`);
    this.#spawn(spec);
  }

  /** @throws Error with a sentence for a person */
  kill(brokerId: number, signal: KillSignal): void {
    this.#spec(brokerId);
    const running = this.#running.get(brokerId);
    if (running === undefined) throw new Error(`broker ${brokerId} is not running`);
    running.child.kill(signal);
    if (signal === 'SIGSTOP') running.state = 'paused';
    if (signal === 'SIGTERM') {
      // A paused process takes SIGTERM only once it runs again.
      running.child.kill('SIGCONT');
      running.state = 'stopping';
    }
    this.#options.onEvent(`broker ${brokerId} was sent ${signal}`);
  }

  /** Orderly stop of all. Resolves when every process has ended. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const ends = [...this.#running.values()].map(
      ({ child }) =>
        new Promise<void>((resolve) =>
          child.once('exit', () => {
            resolve();
          }),
        ),
    );
    for (const { child } of this.#running.values()) {
      child.kill('SIGTERM');
      child.kill('SIGCONT');
    }
    await Promise.all(ends);
  }

  /** Ends all at once, as a power switch would. */
  killAll(): void {
    this.#isClosing = true;
    for (const { child } of this.#running.values()) child.kill('SIGKILL');
  }

  #spec(brokerId: number): BrokerSpec {
    const spec = this.#options.specs.find((candidate) => candidate.brokerId === brokerId);
    if (spec !== undefined) return spec;
    const ids = this.#options.specs.map((candidate) => candidate.brokerId).join(', ');
    throw new Error(`there is no broker ${brokerId} here: brokers are ${ids}`);
  }

  #spawn(spec: BrokerSpec): void {
    const { dataDir, command, specs, clusterId, extraArguments, onEvent } = this.#options;
    const seeds = specs.map(({ host, internalPort }) => `${host}:${internalPort}`).join(',');
    const log = new LogFile(join(dataDir, 'logs', `broker-${spec.brokerId}.log`), onEvent);
    const child = spawn(
      process.execPath,
      [
        ...command,
        ...['--id', String(spec.brokerId), '--data', join(dataDir, `broker-${spec.brokerId}`)],
        ...[
          '--listen',
          `${spec.host}:${spec.port}`,
          '--internal-listen',
          `${spec.host}:${spec.internalPort}`,
          '--rack',
          spec.rack,
          '--seeds',
          seeds,
          '--cluster-id',
          clusterId,
          '--http-port',
          String(spec.httpPort),
        ],
        ...(this.#options.argumentsOf?.(spec.brokerId) ?? []),
        ...extraArguments,
      ],
      // A group of its own: Ctrl-C reaches the launcher alone, which then stops the brokers in
      // order. The channel tells them when it is gone.
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], detached: true },
    );
    for (const output of [child.stdout, child.stderr])
      output?.on('data', (bytes: Buffer) => log.write(bytes));
    child.once('close', () => log.close());
    this.#running.set(spec.brokerId, { child, state: 'running' });
    child.once('exit', (code, signal) => {
      this.#ended(spec, child, { code, signal });
    });
    this.#options.onEvent(`broker ${spec.brokerId} started (process ${child.pid ?? '?'})`);
  }

  #ended(
    spec: BrokerSpec,
    child: ChildProcess,
    end: { readonly code: number | null; readonly signal: NodeJS.Signals | null },
  ): void {
    if (this.#running.get(spec.brokerId)?.child === child) this.#running.delete(spec.brokerId);
    if (this.#isClosing) return;
    this.#options.onEvent(
      `broker ${spec.brokerId} ended (${end.signal ?? `exit code ${end.code}`})`,
    );
    if (end.code !== EXIT_COMES_BACK) {
      const isLast = this.#running.size === 0 && this.#returning.size === 0;
      if (isLast && end.code === EXIT_FAULT) this.#options.onAllFailed();
      return;
    }
    this.#returning.add(spec.brokerId);
    setTimeout(() => {
      this.#returning.delete(spec.brokerId);
      if (!this.#isClosing && !this.#running.has(spec.brokerId)) this.#spawn(spec);
    }, RESTART_MS);
  }
}
