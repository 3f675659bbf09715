/** One broker: the same directory, address and rack over all its processes. */
import { join } from 'node:path';
import { Child, type Ending, tail } from './child.ts';

/** What stays the same over a broker's restarts. */
export interface BrokerPlace {
  readonly brokerId: number;
  /** What it is called: a name or an address. Default: 127.0.0.1. */
  readonly host?: string;
  readonly port: number;
  readonly httpPort: number;
  readonly internalPort: number;
  readonly dataDir: string;
  readonly logFile: string;
  /** Options of `broker/main.ts`. */
  readonly args: readonly string[];
  /** Beside the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** A shell's line that each of its processes runs first. */
  readonly before?: string | undefined;
}

export class BrokerProcess {
  readonly brokerId: number;
  readonly dataDir: string;
  /** Of clients. */
  readonly address: string;
  /** Of brokers. */
  readonly internalAddress: string;
  /** Further options of the processes to come; they override those of its place. */
  options: readonly string[] = [];
  readonly #place: BrokerPlace;
  #child: Child | undefined;

  constructor(place: BrokerPlace) {
    this.#place = place;
    this.brokerId = place.brokerId;
    this.dataDir = place.dataDir;
    const host = place.host ?? '127.0.0.1';
    this.address = `${host}:${place.port}`;
    this.internalAddress = `${host}:${place.internalPort}`;
  }

  /** Of the latest process; 0: none was started. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** How the latest process ended; undefined while it runs. */
  get ending(): Ending | undefined {
    return this.#child?.ending;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.ending === undefined;
  }

  start(): void {
    if (this.isRunning) throw new Error(`broker ${this.brokerId} is running already`);
    const { logFile, args: placeArgs, env, before = null } = this.#place;
    const args = [...placeArgs, ...this.options];
    this.#child = new Child('broker/main.ts', args, logFile, env, before);
  }

  /**
   * SIGKILL: what a crash of the process, or the kernel's memory killer, does. Resolves when it is
   * gone.
   */
  async kill(): Promise<void> {
    await this.#child?.kill();
  }

  /** SIGSTOP: it stays, and says nothing. */
  pause(): void {
    this.#child?.signal('SIGSTOP');
  }

  resume(): void {
    this.#child?.signal('SIGCONT');
  }

  /** SIGTERM: an orderly stop. Resolves to how it ended. */
  async stop(): Promise<Ending> {
    if (this.#child === undefined) throw new Error(`broker ${this.brokerId} was never started`);
    this.#child.signal('SIGTERM');
    return this.#child.ended;
  }

  /** A broker of the same id on another directory, this port and the next: not started. */
  elsewhere(port: number, dataDir: string): BrokerProcess {
    const { brokerId, args, logFile } = this.#place;
    return new BrokerProcess({
      brokerId,
      port,
      httpPort: 0,
      internalPort: port + 1,
      dataDir,
      logFile: `${logFile}.${port}`,
      // The last of options that are given twice counts.
      args: [
        ...args,
        ...['--data', dataDir, '--listen', `127.0.0.1:${port}`, '--http-port', '0'],
        ...['--internal-listen', `127.0.0.1:${port + 1}`],
      ],
    });
  }

  /** Path inside its data directory. */
  file(...names: readonly string[]): string {
    return join(this.dataDir, ...names);
  }

  /**
   * Sum of the series of a metric, as a scrape gives them. Rejects while nobody listens, and where
   * there is no such metric.
   */
  async metric(name: string): Promise<number> {
    const response = await this.page('/metrics');
    const values = (await response.text())
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
    if (values.length === 0) throw new Error(`broker ${this.brokerId} has no metric ${name}`);
    return values.reduce((sum, value) => sum + value, 0);
  }

  /** A page of its port for probes. */
  page(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#place.httpPort}${path}`);
  }

  logTail(lines?: number): string {
    return `--- broker ${this.brokerId} (${JSON.stringify(this.ending ?? 'running')})\n${tail(this.#place.logFile, lines)}`;
  }
}
