/**
 * Makes callers keep to their quotas, on the listener of clients alone: what brokers hand on to
 * each other was counted where it came in, for whoever asked, and is counted nowhere else
 * (docs/rules.md#quotas).
 *
 * A plain call waits for its turn, or is refused where that is far off; a stream that has moved
 * too much is read no further, or given nothing more, until that is paid. A producer is also told
 * of a window that its quota can take in, so that what it has sent does not wait for long.
 */
import type { sendUnaryData } from '@grpc/grpc-js';
import { ANONYMOUS } from '../../base/access.ts';
import { BrokerError } from '../../base/errors.ts';
import type { OnFact } from '../../base/events.ts';
import { NO_LIMIT, QUOTA_NAMES, QUOTA_WORDS, type QuotaName } from '../../base/quotas.ts';
import type { ConsumeRequest, ConsumeResponse } from '../../proto/gen/tidemark/v1/consume.ts';
import type { CommitCursorsRequest } from '../../proto/gen/tidemark/v1/groups.ts';
import type {
  AppendRequest,
  ProduceRequest,
  ProduceResponse,
  ReadResponse,
} from '../../proto/gen/tidemark/v1/log.ts';
import type { ServiceHost } from '../../wire/grpc/channel.ts';
import { errorToStatus } from '../../wire/grpc/errors.ts';
import type { FetchParts } from '../../wire/grpc/frame-messages.ts';
import { accessOf } from '../access/methods.ts';
import { QuotaLedger } from '../access/quotas.ts';
import { remainingMs } from '../messages/deadline.ts';
import { principalOf, setPrincipal } from '../messages/principal.ts';
import { wrapHandlers } from '../messages/wrap-handlers.ts';
import type { BrokerApi } from '../runtime/api.ts';
import {
  acknowledgedBytes,
  appendedBytes,
  committedBytes,
  consumedBytes,
  fetchedBytes,
  producedBytes,
  readBytes,
} from './sizes.ts';
import { StreamHold, type ThrottledCall } from './stream-hold.ts';

/** Longest wait of a plain call for its turn. */
const WAIT_MS_MAX = 1_000;
/** Longest pause that is advised: a quota may be raised before a debt of months is paid. */
const ADVICE_MS_MAX = 60_000;
/** Pause between events about one quota. */
const TELL_MS = 10_000;
/** Least window that a producer is told: room for a batch of the usual size. */
const WINDOW_BYTES_MIN = 64 * 1024;

const LOG = '/tidemark.v1.LogService/';
const GROUP = '/tidemark.v1.GroupService/';
const CONSUME = '/tidemark.v1.ConsumeService/Consume';
const WRITES: QuotaName = 'appendBytesPerSecond';

type Answer = sendUnaryData<unknown>;
type Handler = (call: ThrottledCall, answer: Answer) => unknown;

/** Of one quota, since the broker started. */
export interface QuotaTotals {
  /** As {@link QUOTA_WORDS}. */
  readonly quota: string;
  readonly delays: number;
  readonly delayedMs: number;
  readonly refusals: number;
}

interface Tally {
  delays: number;
  delayedMs: number;
  refusals: number;
  /** Since the last event. */
  untold: number;
  quietUntilMs: number;
}

export interface ThrottleParts {
  readonly broker: Pick<BrokerApi, 'image' | 'clock'>;
  readonly onFact: OnFact;
}

/** What a plain call counts for, where it is not one call. */
const AMOUNTS: ReadonlyMap<string, (request: unknown) => number> = new Map([
  [`${LOG}Append`, (request: unknown) => appendedBytes(request as AppendRequest)],
  [`${GROUP}CommitCursors`, (request: unknown) => committedBytes(request as CommitCursorsRequest)],
]);

export class Throttle {
  readonly #broker: Pick<BrokerApi, 'image' | 'clock'>;
  readonly #onFact: OnFact;
  readonly #ledger = new QuotaLedger();
  readonly #tallies: Readonly<Record<QuotaName, Tally>>;

  constructor({ broker, onFact }: ThrottleParts) {
    this.#broker = broker;
    this.#onFact = onFact;
    this.#tallies = Object.fromEntries(
      QUOTA_NAMES.map((name) => [
        name,
        { delays: 0, delayedMs: 0, refusals: 0, untold: 0, quietUntilMs: -Infinity },
      ]),
    ) as unknown as Record<QuotaName, Tally>;
  }

  totals(): readonly QuotaTotals[] {
    return QUOTA_NAMES.map((name) => {
      const { delays, delayedMs, refusals } = this.#tallies[name];
      return { quota: QUOTA_WORDS[name], delays, delayedMs, refusals };
    });
  }

  /**
   * A listener behind it: calls of what is added to it keep to quotas, which are the same at all.
   *
   * @param isAsking whether it asks who comes in; else all are one
   */
  hostOf(server: ServiceHost, isAsking: boolean): ServiceHost {
    return {
      add: (definition, implementation) => {
        const throttled = wrapHandlers<Handler, typeof implementation>(
          definition,
          implementation,
          (handler, { path }) => {
            const limited = this.#wrapped(path, handler);
            return isAsking ? limited : unnamed(limited);
          },
        );
        server.add(definition, throttled);
      },
    };
  }

  #wrapped(path: string, handler: Handler): Handler {
    const name = accessOf(path)?.quota ?? null;
    if (name === null) return handler;
    if (path === `${LOG}Produce`) return this.#produce(name, handler);
    if (path === `${LOG}Fetch`)
      return this.#reading(name, handler, (message) => fetchedBytes(message as FetchParts));
    if (path === CONSUME) return this.#consume(name, handler);
    if (path === `${LOG}Read`) return this.#read(name, handler);
    const amountOf = AMOUNTS.get(path) ?? ((): number => 1);
    return (call, answer) =>
      this.#inTurn(
        name,
        call,
        () => amountOf(call.request),
        (refusal) =>
          // Answered and not thrown, so that the audit has it.
          refusal === null ? handler(call, answer) : answer(errorToStatus(refusal)),
      );
  }

  /** One message after another is taken, and the next one once it is paid. */
  #produce(name: QuotaName, handler: Handler): Handler {
    return (call, answer) => {
      const principal = this.#whoseOf(call);
      let toldBytes = 0;
      const write = call.write?.bind(call);
      const hold = new StreamHold(call, {
        clock: this.#broker.clock,
        waitMs: () => this.#waitMs(principal, name),
        onHeld: (waitMs) => this.#delayed(principal, name, waitMs),
        onReleased: (heldMs) => this.#paid(name, heldMs),
        // A producer that hears nothing takes its broker for dead. For one that does not listen
        // nothing is gathered, however long it waits.
        onStillHeld: () => {
          if (call.writableNeedDrain !== true)
            write?.({ results: [], windowBytes: 0, batchBytes: 0 });
        },
      });
      let ownBytes = 0;
      const windowNow = (): number => this.#windowOf(principal, name, ownBytes);
      call.write = (message) => {
        const response = message as ProduceResponse;
        if (response.windowBytes === 0) return write?.(message) ?? false;
        ownBytes = response.windowBytes;
        toldBytes = windowNow();
        return write?.({ ...response, windowBytes: toldBytes }) ?? false;
      };
      hold.onMessage((message) => {
        this.#take(principal, name, producedBytes(message as ProduceRequest));
        const windowBytes = windowNow();
        if (windowBytes === toldBytes) return;
        toldBytes = windowBytes;
        write?.({ results: [], windowBytes, batchBytes: 0 });
      });
      return handler(call, answer);
    };
  }

  /** What the session allows, or a second of the quota. */
  #windowOf(principal: string, name: QuotaName, ownBytes: number): number {
    const limit = this.#ledgerNow().limitOf(principal, name);
    return limit === NO_LIMIT ? ownBytes : Math.min(ownBytes, Math.max(limit, WINDOW_BYTES_MIN));
  }

  #reading(name: QuotaName, handler: Handler, bytesOf: (message: unknown) => number): Handler {
    return (call, answer) => {
      this.#holdAnswers(call, name, bytesOf);
      return handler(call, answer);
    };
  }

  /** Records that it is given are read, and what it acknowledges is written. */
  #consume(name: QuotaName, handler: Handler): Handler {
    return (call, answer) => {
      const principal = this.#whoseOf(call);
      const hold = this.#holdAnswers(
        call,
        name,
        (message) => consumedBytes(message as ConsumeResponse),
        WRITES,
      );
      hold.onMessage((message) => {
        if (this.#isLimited(principal, WRITES))
          this.#take(principal, WRITES, acknowledgedBytes(message as ConsumeRequest));
      });
      return handler(call, answer);
    };
  }

  /** It asks once: where it begins with a debt, it waits as a plain call does. */
  #read(name: QuotaName, handler: Handler): Handler {
    return (call, answer) =>
      this.#inTurn(
        name,
        call,
        () => 0,
        (refusal) => {
          if (refusal !== null) throw refusal;
          this.#holdAnswers(call, name, (message) => readBytes(message as ReadResponse));
          return handler(call, answer);
        },
      );
  }

  /** @param also what holds it beside: it is held for the one that takes longer to pay */
  #holdAnswers(
    call: ThrottledCall,
    name: QuotaName,
    bytesOf: (message: unknown) => number,
    also: QuotaName = name,
  ): StreamHold {
    const principal = this.#whoseOf(call);
    const longer = (): QuotaName =>
      this.#waitMs(principal, also) > this.#waitMs(principal, name) ? also : name;
    let heldFor = name;
    const hold = new StreamHold(call, {
      clock: this.#broker.clock,
      waitMs: () => this.#waitMs(principal, longer()),
      onHeld: (waitMs) => {
        heldFor = longer();
        this.#delayed(principal, heldFor, waitMs);
      },
      onReleased: (heldMs) => this.#paid(heldFor, heldMs),
      onStillHeld: () => {},
    });
    hold.onAnswer((message) => {
      if (this.#isLimited(principal, name)) this.#take(principal, name, bytesOf(message));
    });
    return hold;
  }

  /** Goes on at once, after a wait, or with the refusal. */
  #inTurn(
    name: QuotaName,
    call: ThrottledCall,
    amountOf: () => number,
    goOn: (refusal: BrokerError | null) => unknown,
  ): unknown {
    const { clock } = this.#broker;
    const principal = this.#whoseOf(call);
    if (!this.#isLimited(principal, name)) return goOn(null);
    const amount = amountOf();
    const nowMs = clock.monotonicMs();
    const waitMs = this.#ledgerNow().waitMs(nowMs, principal, name, amount);
    if (waitMs > Math.min(WAIT_MS_MAX, remainingMs(call, clock)))
      return goOn(this.#refused(principal, name, waitMs));
    this.#take(principal, name, amount);
    if (waitMs === 0) return goOn(null);
    this.#delayed(principal, name, waitMs);
    let isOver = false;
    for (const event of ['error', 'cancelled'])
      call.on(event, () => {
        isOver = true;
      });
    return new Promise<void>((resolve) => clock.after(waitMs, resolve)).then(() => {
      this.#paid(name, waitMs);
      // Whoever left meanwhile, or was sent away, is not worked for.
      return isOver ? undefined : goOn(null);
    });
  }

  #whoseOf(call: ThrottledCall): string {
    return principalOf(call) || ANONYMOUS;
  }

  #ledgerNow(): QuotaLedger {
    this.#ledger.setQuotas(this.#broker.clock.monotonicMs(), this.#broker.image().quotas);
    return this.#ledger;
  }

  /** Else nothing need be measured: messages of records are gone through one by one for it. */
  #isLimited(principal: string, name: QuotaName): boolean {
    return this.#ledgerNow().limitOf(principal, name) !== NO_LIMIT;
  }

  #waitMs(principal: string, name: QuotaName): number {
    return this.#ledgerNow().waitMs(this.#broker.clock.monotonicMs(), principal, name);
  }

  #take(principal: string, name: QuotaName, amount: number): void {
    this.#ledgerNow().take(this.#broker.clock.monotonicMs(), principal, name, amount);
  }

  #refused(principal: string, name: QuotaName, waitMs: number): BrokerError {
    this.#tallies[name].refusals += 1;
    this.#tell(principal, name, waitMs);
    const limit = this.#ledger.limitOf(principal, name);
    return new BrokerError(
      'OVERLOADED',
      `${principal} is over its quota of ${String(limit)} ${QUOTA_WORDS[name]} a second at this broker; there is room in ${String(waitMs)} ms`,
      { retryAfterMs: Math.min(waitMs, ADVICE_MS_MAX) },
    );
  }

  #delayed(principal: string, name: QuotaName, waitMs: number): void {
    this.#tallies[name].delays += 1;
    this.#tell(principal, name, waitMs);
  }

  #paid(name: QuotaName, delayedMs: number): void {
    this.#tallies[name].delayedMs += delayedMs;
  }

  /** At once, then at most every so often for each quota, with how many there were. */
  #tell(principal: string, name: QuotaName, delayMs: number): void {
    const tally = this.#tallies[name];
    const nowMs = this.#broker.clock.monotonicMs();
    tally.untold += 1;
    if (nowMs < tally.quietUntilMs) return;
    const count = tally.untold;
    tally.untold = 0;
    tally.quietUntilMs = nowMs + TELL_MS;
    this.#onFact('over-quota', { principal, quota: QUOTA_WORDS[name], delayMs, count });
  }
}

/** Where nobody is asked, a client's own word counts for nothing. */
function unnamed(handler: Handler): Handler {
  return (call, answer) => {
    setPrincipal(call.metadata, '');
    return handler(call, answer);
  };
}
