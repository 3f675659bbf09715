/**
 * One process of the operator: the real {@link Operator} on simulated ports. It may be killed
 * between any two of its steps, or stopped and let go on: then what was due meanwhile comes late,
 * timers and answers alike. What it sends passes {@link ProcessWatch} first, which may kill it on
 * the spot.
 */
import { pino } from 'pino';
import { Operator } from '../../../operator/operator.ts';
import type { BrokerAdmin } from '../../../operator/observe/broker-admin.ts';
import type { Clock } from '../../../base/clock.ts';
import type { KubeTransport } from '../../../operator/kube/kube-transport.ts';
import { OperatorMetrics } from '../../../operator/runtime/metrics.ts';
import type { Random, SimulatedTime } from './time.ts';
import { every } from '../../fixtures/every.ts';

export const NAMESPACE = 'default';
export const LEASE_NAME = 'tidemark-operator';
const LOGGER = pino({ level: 'silent' });

export interface ProcessOptions {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly podName: string;
  /** Copies of one operator have one. */
  readonly leaseName: string;
  /** Of the LogClusters that it looks after. */
  readonly selector: string;
  readonly canReadNodes: boolean;
  readonly transportOf: (process: Process) => KubeTransport;
  readonly adminOf: (process: Process) => Pick<BrokerAdmin, 'call' | 'dialWith' | 'close'>;
  readonly onEnd: (process: Process) => void;
  /** Lines of what it does, where somebody replays. */
  readonly trace?: ((line: string) => void) | undefined;
}

export class Process implements Clock {
  readonly name: string;
  readonly leaseName: string;
  readonly #options: ProcessOptions;
  readonly #operator: Operator;
  #isDead = false;
  #pausedUntilMs = 0;
  #ids = 0;

  constructor(options: ProcessOptions) {
    this.name = options.podName;
    this.leaseName = options.leaseName;
    this.#options = options;
    const { random, podName, canReadNodes, trace } = options;
    const tell = (fields: object, text: string): void =>
      trace?.(`${podName}: ${text} ${JSON.stringify(fields, errorText).slice(0, 400)}`);
    this.#operator = new Operator(
      {
        podName,
        podNamespace: NAMESPACE,
        namespaces: [],
        selector: options.selector,
        leaseName: this.leaseName,
        deploymentName: null,
        brokerImage: 'tidemark:1',
        brokerPull: {},
        brokerUser: 'image',
        canReadNodes,
        makesPolicies: true,
      },
      {
        transport: options.transportOf(this),
        admin: options.adminOf(this),
        clock: this,
        random,
        newId: () => {
          this.#ids += 1;
          return `${podName}-${this.#ids}`;
        },
        logger: trace === undefined ? LOGGER : loggerOf(tell),
        metrics: new OperatorMetrics('op_'),
        beforeAction: () => undefined,
        exit: () => this.kill(),
      },
    );
    this.#operator.start();
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isPaused(): boolean {
    return this.#options.time.monotonicMs < this.#pausedUntilMs;
  }

  /** SIGKILL: nothing more runs, nothing more is heard of. */
  kill(): void {
    if (this.#isDead) return;
    this.#isDead = true;
    this.#options.onEnd(this);
  }

  /** SIGTERM; resolves never where it is killed meanwhile. */
  stop(): void {
    this.#options.time.stir();
    this.#operator.stop().then(
      () => this.kill(),
      () => this.kill(),
    );
  }

  /** SIGSTOP, and SIGCONT after `delayMs`. */
  pause(delayMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.#options.time.monotonicMs + delayMs);
  }

  /** Something reaches the process: not where it is dead, and later where it stands still. */
  reach(delayMs: number, run: () => void): () => void {
    const { time, random } = this.#options;
    let cancel = time.wake(delayMs, () => {
      if (this.#isDead) return;
      if (!this.isPaused) return run();
      const lateMs = this.#pausedUntilMs - time.monotonicMs + random();
      cancel = this.reach(lateMs, run);
    });
    return () => cancel();
  }

  monotonicMs(): number {
    return this.#options.time.monotonicMs;
  }

  wallMs(): number {
    return this.#options.time.wallMs;
  }

  every(periodMs: number, call: () => void): () => void {
    return every((delayMs, each) => this.reach(delayMs, each), periodMs, call);
  }

  after(delayMs: number, call: () => void): () => void {
    return this.reach(delayMs, call);
  }

  soon(call: () => void): void {
    this.reach(0, call);
  }
}

function errorText(_: string, value: unknown): unknown {
  return value instanceof Error ? value.message : value;
}

function loggerOf(tell: (fields: object, text: string) => void): typeof LOGGER {
  const log = (fields: object | string, text = ''): void =>
    typeof fields === 'string' ? tell({}, fields) : tell(fields, text);
  return { debug: () => undefined, info: log, warn: log, error: log, fatal: log } as never;
}
