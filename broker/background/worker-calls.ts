/** What a job in a worker is asked, and what it answers: plain values, one call at a time. */
import type { ErrorCode } from '../../base/errors.ts';
import type { SurvivorsOptions } from '../compaction/survivors.ts';

/** What the worker is started with. */
export type WorkerJob = Omit<SurvivorsOptions, 'access'>;

export interface WorkerCall {
  /** Of the job's methods. */
  readonly name: string;
  readonly input: readonly unknown[];
}

export type WorkerAnswer =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'error'; readonly code: ErrorCode | null; readonly message: string };
