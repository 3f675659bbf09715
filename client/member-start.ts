/** How members of groups and of queues begin and end, whatever they do in between. */
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { aborted, type CallControl, CONTROL } from './abort.ts';
import { checkArgument } from './check.ts';
import type { Cluster } from './cluster.ts';
import { TidemarkError } from './errors.ts';

const LEVEL_TIMEOUT_MS = 5_000;

/** One stay in a group or a queue. */
export interface MemberStay {
  /** Ends it in order. */
  finish(): Promise<void>;
  readonly finished: Promise<void>;
}

/** The stays of one member, one at a time. */
export class MemberStays<Stay extends MemberStay> {
  readonly #cluster: Cluster;
  readonly #level: number;
  readonly #doing: string;
  #present: Stay | undefined;
  #isClosed = false;

  /**
   * @param level feature level that it needs
   * @param doing as in messages
   */
  constructor(cluster: Cluster, level: number, doing: string) {
    this.#cluster = cluster;
    this.#level = level;
    this.#doing = doing;
  }

  /** Undefined: it is no member at the moment. */
  get present(): Stay | undefined {
    return this.#present;
  }

  /**
   * Rejects with INVALID_ARGUMENT while there is another, and with CLOSED, ABORTED, or REFUSED
   * below the level. The signal ends the stay in order.
   */
  async begin(
    control: CallControl,
    create: () => Stay,
    start: (stay: Stay) => void,
  ): Promise<Stay> {
    const doing = this.#doing;
    checkArgument(doing, CONTROL, control);
    if (this.#present !== undefined)
      throw new TidemarkError(
        'INVALID_ARGUMENT',
        `Cannot ${doing}: this member is in it, iterate or run once at a time`,
      );
    if (this.#isClosed) throw new TidemarkError('CLOSED', `Cannot ${doing}: the member is closed`);
    const { signal } = control;
    if (signal?.aborted === true) throw aborted(doing, signal, 'none');
    const stay = create();
    this.#present = stay;
    try {
      await this.#requireLevel();
    } catch (error) {
      this.#present = undefined;
      throw error;
    }
    start(stay);
    const detach = endOnAbort(stay, control);
    void stay.finished.then(() => {
      detach();
      this.#present = undefined;
    });
    return stay;
  }

  /** None begins any more; resolves once the present one has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#present?.finish();
  }

  async #requireLevel(): Promise<void> {
    const level = await this.#cluster.lookUpFeatureLevel(LEVEL_TIMEOUT_MS);
    if (level >= this.#level) return;
    throw new TidemarkError(
      'REFUSED',
      `Cannot ${this.#doing}: it needs feature level ${this.#level}, the cluster is at ${level}`,
    );
  }
}

/** The signal ends the member in order. Returns the way to stop that. */
function endOnAbort(stay: MemberStay, { signal }: CallControl): () => void {
  const onAbort = (): void => void stay.finish();
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  return () => signal?.removeEventListener('abort', onAbort);
}

/** Program, process and host, as a list of members shows them. */
export function program(): string {
  const name = basename(process.argv[1] ?? process.title);
  return `${name} ${process.pid} on ${hostname()}`.slice(0, 200);
}
