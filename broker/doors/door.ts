/**
 * The door of a listener: every public service is added through it, and each of its calls is judged
 * by the table of methods before its handler sees it (docs/rules.md#access). Who comes in is the
 * authenticator's business, what they may is that of the rules, what is done is the handlers'.
 *
 * A call that goes on is judged again whenever rules change and when what its caller has shown is
 * over. Then a stream's parts are refused one by one where they can be; else the call ends with a
 * typed error, which says that what was under way is unknown.
 */
import {
  type Metadata,
  type MethodDefinition,
  type sendUnaryData,
  type StatusObject,
} from '@grpc/grpc-js';
import { assert } from '../../base/assert.ts';
import type { Cancel } from '../../base/clock.ts';
import { BrokerError } from '../../base/errors.ts';
import { errorFromStatus, errorToStatus } from '../../wire/grpc/errors.ts';
import type { ServiceHost } from '../../wire/grpc/channel.ts';
import { accessOf, type MethodAccess } from '../access/methods.ts';
import type { Rights } from '../access/rules.ts';
import { failCall } from '../messages/handlers.ts';
import { FORWARDED_HEADER, setPrincipal } from '../messages/principal.ts';
import { wrapHandlers } from '../messages/wrap-handlers.ts';
import type { BrokerApi } from '../runtime/api.ts';
import { visible } from './answers.ts';
import type { Audit, Caller } from './audit.ts';
import type { Known, ShownCall } from './authenticator.ts';
import { refusalOf, subjectOf } from './requests.ts';
import { Opening } from './stream-opening.ts';
import { Parts } from './stream-parts.ts';

/** Longest wait of a timer: a token may be good for years. */
const WAIT_MS_MAX = 24 * 60 * 60_000;

/** As far as a door uses a call of any kind. */
export interface DoorCall extends ShownCall {
  readonly request?: unknown;
  readonly cancelled?: boolean;
  readonly metadata: Metadata;
  getPeer(): string;
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  emit(event: 'error', status: unknown): boolean;
  write?(message: unknown): boolean;
}

type Answer = sendUnaryData<unknown>;
type Handler = (call: DoorCall, answer: Answer) => unknown;

export interface DoorParts {
  readonly broker: Pick<
    BrokerApi,
    'brokerId' | 'clock' | 'image' | 'isInformed' | 'rightsOf' | 'watchImage'
  >;
  /**
   * Null: a call of nobody's, which is let in without a question. Throws or rejects with
   * UNAUTHENTICATED, or with REFUSED.
   */
  readonly authenticate: (call: DoorCall) => Known | null | Promise<Known | null>;
  readonly audit: Audit;
  /** Whether callers are named by what they show, and by nobody's word: on clients' listeners. */
  readonly isOuter: boolean;
  /** Name of the listener. */
  readonly listener: string;
}

/** A call that goes on. */
interface Visit {
  lookAgain(): void;
}

export class Door {
  readonly #parts: DoorParts;
  readonly #visits = new Set<Visit>();
  readonly #cancelWatch: Cancel;

  constructor(parts: DoorParts) {
    this.#parts = parts;
    const { broker } = parts;
    let { access } = broker.image();
    this.#cancelWatch = broker.watchImage(() => {
      const before = access;
      ({ access } = broker.image());
      if (access !== before) this.lookAgain();
    });
  }

  /** Judges every call that goes on again: rules or tokens have changed. */
  lookAgain(): void {
    for (const visit of [...this.#visits]) visit.lookAgain();
  }

  close(): void {
    this.#cancelWatch();
  }

  /** The listener behind this door: what is added to it is judged. */
  hostOf(server: ServiceHost): ServiceHost {
    return {
      add: (definition, implementation) => {
        const judged = wrapHandlers<Handler, typeof implementation>(
          definition,
          implementation,
          (handler, method) => this.#judged(handler, method),
        );
        server.add(definition, judged);
      },
    };
  }

  #judged(handler: Handler, method: MethodDefinition<unknown, unknown>): Handler {
    const access = accessOf(method.path);
    assert(access !== undefined, `${method.path} has no row in the table of access`);
    return (call, answer) => {
      const enter = (known: Known | null): unknown =>
        known === null
          ? handler(call, answer)
          : this.#enter({ call, answer, method, access, handler }, known);
      const known = this.#recognise(call, method.path);
      return known instanceof Promise ? known.then(enter) : enter(known);
    };
  }

  #recognise(call: DoorCall, path: string): Known | null | Promise<Known | null> {
    const fail = (error: unknown): never => {
      if (error instanceof BrokerError && error.code !== 'BROKER_NOT_READY')
        this.#parts.audit.denied(
          { principal: '', from: peerOf(call), listener: this.#parts.listener },
          path,
          error.code,
          error.message,
        );
      throw error;
    };
    try {
      const known = this.#parts.authenticate(call);
      return known instanceof Promise ? known.catch(fail) : known;
    } catch (error) {
      return fail(error);
    }
  }

  #enter(
    {
      call,
      answer,
      method,
      access,
      handler,
    }: {
      readonly call: DoorCall;
      readonly answer: Answer;
      readonly method: MethodDefinition<unknown, unknown>;
      readonly access: MethodAccess;
      readonly handler: Handler;
    },
    known: Known,
  ): unknown {
    // Whoever left while it was recognised is told nothing more.
    if (call.cancelled === true) return undefined;
    const { isOuter, broker, audit, listener } = this.#parts;
    const { principal } = known;
    const { path } = method;
    const caller: Caller = { principal, from: peerOf(call), listener };
    if (isOuter) {
      setPrincipal(call.metadata, principal);
      call.metadata.remove(FORWARDED_HEADER);
    }
    const topicOfQueue = (name: string): string | undefined => {
      const { queues, queueIdsByName, topics } = broker.image();
      return topics.get(queues.get(queueIdsByName.get(name) ?? '')?.topicId ?? '')?.name;
    };
    const judge = (request: unknown): BrokerError | null => {
      const rights = broker.rightsOf(principal);
      const reason = refusalOf(access, request, { rights, topicOfQueue });
      return reason === null ? null : this.#denied(caller, path, reason);
    };
    // Handed on, it was written down where it came in.
    const isAudited = isOuter && access.isAudited;
    const subject = isAudited ? subjectOf(access, call.request) : '';
    const refusal = access.opensWith === undefined ? judge(call.request) : null;
    if (refusal !== null) {
      if (isAudited) audit.changed(caller, path, subject, refusal.code);
      throw refusal;
    }
    if (method.requestStream || method.responseStream)
      return this.#stay(call, { known, caller, access, path, judge }, () => handler(call, answer));
    return handler(call, (failure, response, ...rest) => {
      if (isAudited) audit.changed(caller, path, subject, outcomeOf(failure));
      if (failure !== null) {
        answer(failure);
        return;
      }
      let isWhole = true;
      const rights = broker.rightsOf(principal);
      const shown = visible(path, response, (operation, resource) => {
        const isSeen = rights.may(operation, resource);
        isWhole &&= isSeen;
        return isSeen;
      });
      if (isWhole || broker.isInformed()) answer(null, shown, ...rest);
      else answer(errorToStatus(this.#notInformed()));
    });
  }

  /** Its rules may be as old as its last stop: what they do not allow may be allowed since. */
  #notInformed(): BrokerError {
    return new BrokerError(
      'BROKER_NOT_READY',
      `Broker ${this.#parts.broker.brokerId} does not know yet what is allowed: it is not in service`,
    );
  }

  #denied(caller: Caller, path: string, reason: string): BrokerError {
    if (!this.#parts.broker.isInformed()) return this.#notInformed();
    this.#parts.audit.denied(caller, path, 'PERMISSION_DENIED', reason);
    return new BrokerError('PERMISSION_DENIED', reason);
  }

  /** A call that goes on, until it is closed. */
  #stay(
    call: DoorCall,
    stay: {
      readonly known: Known;
      readonly caller: Caller;
      readonly access: MethodAccess;
      readonly path: string;
      readonly judge: (request: unknown) => BrokerError | null;
    },
    handle: () => unknown,
  ): unknown {
    const { known, caller, access, path, judge } = stay;
    const { broker } = this.#parts;
    const { clock } = broker;
    let cancelTimer: Cancel = () => {};
    let isOver = false;
    const leave = (): void => {
      isOver = true;
      cancelTimer();
      this.#visits.delete(visit);
    };
    const end = (error: BrokerError): void => {
      if (isOver) return;
      leave();
      failCall(call, error);
    };
    const parts =
      access.reach.of === 'topic-ids'
        ? new Parts(call, access, {
            rights: (): Rights => broker.rightsOf(known.principal),
            image: () => broker.image(),
            denied: (reason) => this.#denied(caller, path, reason),
            isOver: () => isOver,
          })
        : null;
    const opening =
      access.opensWith === undefined
        ? null
        : new Opening(call, access.opensWith, { judge, refuse: end, isOver: () => isOver });
    const visit: Visit = {
      lookAgain: () => {
        if (!known.stands()) {
          end(overError('the token was taken back'));
          return;
        }
        if (parts !== null) parts.lookAgain();
        else if (opening !== null) opening.lookAgain();
        else {
          const refusal = judge(call.request);
          if (refusal !== null) end(refusal);
        }
      },
    };
    const watchTime = (): void => {
      if (known.untilMs === null) return;
      const leftMs = known.untilMs - clock.wallMs();
      if (leftMs <= 0) {
        end(overError('what the caller has shown is over'));
        return;
      }
      cancelTimer = clock.after(Math.min(leftMs, WAIT_MS_MAX), watchTime);
    };
    this.#visits.add(visit);
    for (const event of ['error', 'cancelled', 'finish', 'close']) call.on(event, leave);
    watchTime();
    return isOver ? undefined : handle();
  }
}

/** Batches that were under way may be appended or not, and whoever comes again is judged anew. */
function overError(reason: string): BrokerError {
  return new BrokerError('UNAUTHENTICATED', `The stream ends: ${reason}`, {
    effect: 'unknown',
    retry: 'refresh',
  });
}

function outcomeOf(failure: Parameters<Answer>[0]): string {
  if (failure === null) return 'ok';
  const { code, details, metadata } = failure as Partial<StatusObject>;
  if (code === undefined || details === undefined || metadata === undefined) return 'failed';
  return errorFromStatus({ code, details, metadata }).code;
}

/** Where a call comes from, for people: a listener of both families has IPv4 within IPv6. */
function peerOf(call: Pick<DoorCall, 'getPeer'>): string {
  return call.getPeer().replace(/^\[?::ffff:(\d+\.\d+\.\d+\.\d+)\]?(?=:|$)/i, '$1');
}
