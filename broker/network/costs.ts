/**
 * What one listener may cost, from the options of the broker and from what the machine gives it: so
 * much of the container's memory, so many of the process's descriptors.
 */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { NUMBER_OPTIONS } from '../../base/broker-options.ts';
import { Budget, type BudgetLimits, type Door } from './budget.ts';
import type { Pressure } from './connections.ts';

/** Options of a broker that bound what its clients cost. */
export interface CostOptions {
  /** 0: {@link MEMORY_SHARE} of the container's memory, {@link HEAP_SHARE} of the heap at most. */
  readonly memoryBudgetBytes: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly streamsPerConnectionMax: number;
  readonly streamsMax: number;
  readonly headerBytesMax: number;
  readonly connectionIdleMs: number;
  /** Named ones; default: none. */
  readonly listeners?: readonly { readonly name: string; readonly connectionsMax: number | null }[];
}

/** Of one listener. */
export interface Costs {
  readonly door: Door;
  /** Its name. */
  readonly listener: string;
  /** Of the process: all listeners have the same. */
  readonly budget: Budget;
  readonly pressure: Pressure;
  readonly streamsPerConnection: number;
  readonly headerBytes: number;
  readonly idleMs: number;
  readonly unusedMs: number;
}

/** What the machine gives. */
export interface Machine {
  readonly memoryBytes: number;
  /** What V8 may use for its heap: messages are decoded there. */
  readonly heapBytes: number;
  /** Infinity: not known. */
  readonly descriptors: number;
}

/**
 * The rest is for the program itself (100 MiB at rest), newest batches (`tail-cache-bytes`), what
 * is on its way to a disk, and what no longer counts and is not collected yet.
 */
const MEMORY_SHARE = 1 / 8;
/** A process may be given a heap that is small beside its container (`--max-old-space-size`). */
const HEAP_SHARE = 1 / 4;
/** Beside what its thread costs, some 30 MiB while it runs. */
const COMPACTION_SHARE = 1 / 32;
/** Keys of 1.5 million records fit it (bench/compact.ts); with more it scans a log more often. */
const COMPACTION_BYTES_DERIVED_MAX = 64 * 1024 * 1024;
/** Below it no pass comes to an end. */
const COMPACTION_BYTES_MIN = 128 * 1024;
/** Of records of queues; more brought nothing where all consumers keep up. */
const QUEUES_SHARE = 1 / 16;
const QUEUES_BYTES_MAX = 64 * 1024 * 1024;
/** The rest is for logs, channels to other brokers, and the program itself. */
const CLIENT_DESCRIPTORS_SHARE = 3 / 8;
const INTERNAL_DESCRIPTORS_SHARE = 1 / 8;
/** Far above two lanes from each of a hundred brokers, and the operator. */
const INTERNAL_CONNECTIONS_MAX = 1_024;
/** Between a connection and its first call, with the handshakes of TLS. */
const UNUSED_MS_MAX = 20_000;

export function budgetLimits(options: CostOptions, machine: Machine): BudgetLimits {
  const { listeners = [] } = options;
  const { descriptors, memoryBytes, heapBytes } = machine;
  const bytes = Math.floor(Math.min(memoryBytes * MEMORY_SHARE, heapBytes * HEAP_SHARE));
  const share = (part: number): number => Math.max(1, Math.floor(descriptors * part));
  return {
    bytes: options.memoryBudgetBytes || bytes,
    streams: options.streamsMax,
    connections: Math.min(options.connectionsMax, share(CLIENT_DESCRIPTORS_SHARE)),
    connectionsPerAddress: options.connectionsPerAddressMax,
    internalConnections: Math.min(INTERNAL_CONNECTIONS_MAX, share(INTERNAL_DESCRIPTORS_SHARE)),
    connectionsOfListeners: new Map(
      listeners.flatMap(({ name, connectionsMax }) =>
        connectionsMax === null ? [] : [[name, connectionsMax] as const],
      ),
    ),
  };
}

/** Of one pass of compaction: its option, or what the machine can spare. */
export function compactionMemory(
  { compactionMemoryBytes }: { readonly compactionMemoryBytes: number },
  { memoryBytes }: Machine,
): number {
  const spared = Math.min(Math.floor(memoryBytes * COMPACTION_SHARE), COMPACTION_BYTES_DERIVED_MAX);
  return Math.max(compactionMemoryBytes || spared, COMPACTION_BYTES_MIN);
}

/** For records of queues that this broker owns. */
export function queueMemory({ memoryBytes }: Pick<Machine, 'memoryBytes'>): number {
  return Math.min(Math.floor(memoryBytes * QUEUES_SHARE), QUEUES_BYTES_MAX);
}

/** @param listener its name; default: the door's own */
export function costsOf(
  door: Door,
  options: CostOptions,
  budget: Budget,
  pressure: Pressure,
  listener: string = door,
): Costs {
  const idleMs = options.connectionIdleMs;
  return {
    door,
    listener,
    budget,
    pressure,
    // One client may have its broker open a stream to each other for every one of its own: what
    // bounds the clients' is the bound of both, and a broker that had to wait here would say so to
    // nobody.
    streamsPerConnection:
      door === 'internal' ? options.streamsMax : options.streamsPerConnectionMax,
    headerBytes: options.headerBytesMax,
    // The end of a broker's connection is news of its death.
    idleMs: door === 'internal' ? 0 : idleMs,
    unusedMs: Math.min(idleMs, UNUSED_MS_MAX),
  };
}

/** The container's memory, or the machine's; the process's descriptors. */
export function thisMachine(): Machine {
  // Where nothing bounds it, version 1 of control groups names a number larger than any machine.
  const bound = process.constrainedMemory();
  const memoryBytes = bound > 0 ? Math.min(bound, totalmem()) : totalmem();
  const heapBytes = getHeapStatistics().heap_size_limit;
  return { memoryBytes, heapBytes, descriptors: descriptorsMax() };
}

/** Node raises the soft limit to the hard one as it starts. */
function descriptorsMax(): number {
  try {
    const found = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return Number(found?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

const IGNORED: Pressure = {
  refused: () => {},
  closed: () => {},
  idle: () => {},
  tight: () => {},
};

/** As a broker has them that was given no options; nobody is told of what is refused. */
export function defaultCosts(door: Door = 'client'): Costs {
  const fallback = (name: Exclude<keyof CostOptions, 'listeners'>): number =>
    NUMBER_OPTIONS[name].fallback;
  const options: CostOptions = {
    memoryBudgetBytes: fallback('memoryBudgetBytes'),
    connectionsMax: fallback('connectionsMax'),
    connectionsPerAddressMax: fallback('connectionsPerAddressMax'),
    streamsPerConnectionMax: fallback('streamsPerConnectionMax'),
    streamsMax: fallback('streamsMax'),
    headerBytesMax: fallback('headerBytesMax'),
    connectionIdleMs: fallback('connectionIdleMs'),
  };
  return costsOf(door, options, new Budget(budgetLimits(options, thisMachine())), IGNORED);
}
