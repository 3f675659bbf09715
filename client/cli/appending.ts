/**
 * Appends records that come line by line, and tells how that went: progress, what is waited for,
 * the sum, and, where it stopped, the line and how to go on. Shared by `append` and `topic import`.
 */
import type {
  Acks,
  Compression,
  DeliveryReport,
  Producer,
  ProducerRecord,
  Tidemark,
} from '../index.ts';
import { CliError, reportOf } from './exit.ts';
import { bar, type Output, Progress, type Surroundings } from './output.ts';
import { PlainDelivery } from './plain-delivery.ts';
import { Tally } from './tally.ts';
import { formatAbout, formatBytes, formatCount } from './units.ts';

/** How records are delivered. */
export interface DeliveryOptions {
  /** By plain calls, through the given servers alone. */
  readonly isPlain?: boolean;
  readonly acks: Acks;
  readonly compression: Compression;
  /** Largest batch, and so about the largest record. */
  readonly batchBytesMax: number;
  readonly deliveryTimeoutMs: number;
}

/** What records are handed to. */
interface Delivery {
  enqueue(record: ProducerRecord): boolean;
  ready(): Promise<void>;
  flush(): Promise<void>;
  counters(): { readonly retries: number; readonly bufferedBytes: number };
}

/** Where an append goes and what it tells meanwhile. */
export interface AppendingContext {
  readonly cluster: Tidemark;
  readonly around: Surroundings;
  readonly out: Output;
  /** Told whenever something was acknowledged, or nothing is waited for. */
  readonly heard: () => void;
  /** Bytes of the whole input, where they are known. */
  readonly totalBytes: number | undefined;
}

/** A batch this large does not wait for company; the producer's own default. */
const BATCH_BYTES = 128 * 1024;
/** Longer than any failover: whoever waits is told. */
const SILENCE_MS = 5_000;
const WATCH_MS = 250;

/** A line whose record never reached the producer. */
interface RefusedLine {
  readonly line: number;
  readonly error: unknown;
  /** Whether the lines behind it can be read. */
  readonly canGoOnBehind: boolean;
}

export class Appending {
  readonly tally = new Tally();
  readonly #delivery: Delivery;
  /** Undefined: plain calls do without. */
  readonly #producer: Producer | undefined;
  readonly #options: DeliveryOptions;
  readonly #context: AppendingContext;
  readonly #progress: Progress;
  readonly #watch: NodeJS.Timeout;
  readonly #skipLines: number;
  #refused: RefusedLine | undefined;
  #isSilent = false;
  #hasToldEnd = false;

  /** `skipLines`: lines of the input that were left out. */
  constructor(context: AppendingContext, options: DeliveryOptions, skipLines: number) {
    const { batchBytesMax, isPlain = false, ...rest } = options;
    this.#context = context;
    this.#options = options;
    this.#skipLines = skipLines;
    const onDelivery = (report: DeliveryReport): void => {
      context.heard();
      this.tally.add(report);
    };
    const batchBytes = Math.min(BATCH_BYTES, batchBytesMax);
    this.#producer = isPlain
      ? undefined
      : context.cluster.producer({ ...rest, batchBytesMax, batchBytes, onDelivery });
    this.#delivery =
      this.#producer ?? new PlainDelivery(context.cluster.plain(), { ...rest, onDelivery });
    this.#progress = new Progress(context.around, () =>
      progressText(this.tally, context.totalBytes),
    );
    this.#watch = setInterval(() => this.#lookAround(), WATCH_MS);
  }

  /** Hands a record over. False: there is no room; await {@link room} and hand it in again. */
  offer(record: ProducerRecord): boolean {
    return this.#delivery.enqueue(record);
  }

  /** Appends all of them as one batch, or none: only if their partition ends there. */
  async together(records: readonly ProducerRecord[], ifOffset: number): Promise<void> {
    await this.#producer?.append(records, { ifOffset });
  }

  room(): Promise<void> {
    return this.#delivery.ready();
  }

  /** A record has failed: handing in more is no use. */
  get hasFailed(): boolean {
    return this.tally.failure !== undefined;
  }

  /** A line that is no record, or the place where the input could not be read on. */
  refuse(line: number, error: unknown, canGoOnBehind: boolean): void {
    this.#refused ??= { line, error, canGoOnBehind };
  }

  /** Waits for the fate of everything that was handed over. */
  async finish(): Promise<void> {
    try {
      await this.#delivery.flush();
    } finally {
      this.stop();
    }
  }

  stop(): void {
    clearInterval(this.#watch);
    this.#progress.stop();
  }

  /** Leading lines that need not be read again: all of them are appended, or were left out. */
  get doneLines(): number {
    const { failedLine, lines } = this.tally;
    const stopped = failedLine ?? this.#refused?.line;
    return stopped === undefined ? lines : stopped - 1;
  }

  summarize(more: Readonly<Record<string, unknown>> = {}): void {
    const { out } = this.#context;
    const { retries } = this.#delivery.counters();
    const { records, bytes, readBytes, failed, seconds } = this.tally;
    const partitions = this.tally.partitions();
    const rate = records / seconds;
    const value = {
      records,
      bytes,
      inputBytes: readBytes,
      seconds,
      recordsPerSecond: rate,
      retries,
      failed,
      skipLines: this.doneLines,
      partitions,
      ...more,
    };
    out.result(value, () => {
      const lost = failed > 0 ? out.paint('red', `, ${formatCount(failed)} failed`) : '';
      const verb = this.#options.acks === 'none' ? 'Sent' : 'Appended';
      out.line(
        `${verb} ${formatCount(records)} records out of ${formatBytes(readBytes)} of input in ${seconds.toFixed(2)} s: ${formatCount(rate)} records/s, ${formatBytes(bytes / seconds)}/s, ${retries} batches sent again${lost}`,
      );
      const known = (offset: number): string | number => (offset < 0 ? '-' : offset);
      const rows = partitions.map((one) => [
        one.partition,
        one.records,
        known(one.firstOffset),
        known(one.lastOffset),
      ]);
      if (rows.length > 0) out.table(['PARTITION', 'RECORDS', 'FIRST OFFSET', 'LAST OFFSET'], rows);
    });
  }

  /**
   * Throws where not every line is appended: which one, how many are, and how to go on. `placeOf`
   * names a line to whoever has the input.
   */
  throwIfStopped(placeOf: (line: number) => string): void {
    const { failure, failedLine } = this.tally;
    const refused = this.#refused;
    if (failure !== undefined && failedLine === undefined) throw failure;
    const line = failedLine ?? refused?.line;
    if (line === undefined) return;
    const isDelivery = failedLine !== undefined;
    const cause = isDelivery ? failure : refused?.error;
    const { code, message, effect } = reportOf(cause);
    const reason = message.replace(/^Cannot (send record|append to "[^"]*"): /, '');
    const unsure =
      effect === 'unknown' && isDelivery
        ? `; whether it, and what went with it, is appended all the same is not known: read back first`
        : '';
    const advice =
      !isDelivery && refused?.canGoOnBehind === true
        ? `mend the line, then --skip-lines ${line - 1}; or leave it out with --skip-lines ${line}`
        : `--skip-lines ${line - 1}`;
    throw new CliError(
      code,
      `Cannot append ${placeOf(line)}: ${reason}; ${this.#appendedText(line)}${unsure}; to go on: ${advice}`,
      cause,
    );
  }

  #appendedText(line: number): string {
    const { records } = this.tally;
    const before = line - 1 - this.#skipLines;
    const behind = records - before;
    const text = `${formatCount(records)} ${records === 1 ? 'record is' : 'records are'} appended`;
    return behind <= 0
      ? text
      : `${text}, ${formatCount(behind)} of them from lines behind it, which come twice when you go on`;
  }

  /** Says, once each time it happens, that records wait and nobody acknowledges any. */
  #lookAround(): void {
    const { out, heard, around } = this.#context;
    const { bufferedBytes } = this.#delivery.counters();
    if (around.interrupted.aborted && bufferedBytes > 0 && !this.#hasToldEnd) {
      this.#hasToldEnd = true;
      out.note(
        `Interrupted: waiting for what becomes of ${formatBytes(bufferedBytes)} that were sent; Ctrl-C once more ends it, and leaves that unknown`,
      );
    }
    if (bufferedBytes === 0) {
      this.tally.heardMs = performance.now();
      heard();
    }
    const isSilent = performance.now() - this.tally.heardMs > SILENCE_MS;
    if (isSilent && !this.#isSilent)
      out.note(
        `Nothing was acknowledged for ${SILENCE_MS / 1000} s, ${formatBytes(bufferedBytes)} wait; a record fails ${formatAbout(this.#options.deliveryTimeoutMs)} after it was read. To look: tidemark cluster describe`,
      );
    this.#isSilent = isSilent;
  }
}

function progressText(tally: Tally, totalBytes: number | undefined): string {
  const rate = `${formatCount(tally.records / tally.seconds)} records/s, ${formatBytes(tally.bytes / tally.seconds)}/s`;
  const done = `${formatCount(tally.records)} records, ${formatBytes(tally.bytes)}`;
  if (totalBytes === undefined || totalBytes === 0) return `${done}  ${rate}`;
  const fraction = tally.readBytes / totalBytes;
  return `${bar(fraction)} ${Math.floor(Math.min(fraction, 1) * 100)} %  ${done}  ${rate}`;
}
