/**
 * What everything in one simulated cluster stands on: one time, one network, one source of chance,
 * one trace, one verdict.
 */
import { Random } from '../../../base/random.ts';
import type { DiskProfile } from '../kit/disk-faults.ts';
import { SimNetwork } from '../kit/sim-network.ts';
import { SimTime } from '../kit/sim-time.ts';
import type { Trace } from '../kit/trace.ts';
import type { Profile } from './profile.ts';

/** 2026-11-23T00:00:00Z. */
const WALL_MS = 1_795_392_000_000;

export interface Fact {
  readonly brokerId: number;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly atMs: number;
}

export class Ground {
  readonly time = new SimTime();
  readonly random: Random;
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly diskProfile: DiskProfile;
  readonly diskBytes: number;
  readonly seeds: string;
  readonly #ids: Random;
  /** Hears every event that a broker tells. */
  onFact: ((fact: Fact) => void) | null = null;
  #failure: string | null = null;

  constructor(seed: number, profile: Profile, seeds: string, trace: Trace) {
    this.random = new Random(seed);
    this.#ids = this.random.fork('ids');
    this.trace = trace;
    this.seeds = seeds;
    this.diskProfile = profile.disk;
    this.diskBytes = profile.diskBytes;
    const calm = { ...profile.network, breakChance: 0, duplicateChance: 0 };
    this.network = new SimNetwork(this.time, this.random.fork('network'), calm, (line) => {
      this.note(line);
    });
  }

  readonly note = (line: string): void => {
    this.trace.note(this.time.nowMs, line);
  };

  /** Wall clock of a host whose clock is right. */
  wallMs(): number {
    return WALL_MS + this.time.nowMs;
  }

  readonly newUuid = (): string => {
    const hex = Array.from({ length: 32 }, () => this.#ids.below(16).toString(16)).join('');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
  };

  /** The first failure counts. */
  readonly fail = (reason: string): void => {
    this.note(`FAIL ${reason}`);
    this.#failure ??= reason;
  };

  /** A broker told an event of base/events.ts. */
  readonly fact = (brokerId: number, event: string, fields: object): void => {
    this.note(`b${brokerId} ${event} ${JSON.stringify(fields)}`);
    this.onFact?.({ brokerId, event, fields: fields as Fact['fields'], atMs: this.time.nowMs });
  };

  get failure(): string | null {
    return this.#failure;
  }
}
