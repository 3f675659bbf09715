/**
 * A broker's life as its cluster sees it: register, have the session synced, be unfenced, prove
 * life, and stop in order (rule 17, P4 to P7). One loop, one request at a time; what it waits for
 * is always known.
 */
import type { OnFact } from '../../../base/events.ts';
import { BrokerError } from '../../../base/errors.ts';
import type { ListenerAddress } from '../../../base/listeners.ts';
import type { ErrorCode } from '../../../base/errors.ts';
import type { BrokerEpoch, WallMs } from '../../../base/units.ts';
import type {
  AbilityStatement,
  ControllerReply,
  ControllerRequest,
  HeartbeatRequest,
  RegisterRequest,
} from '../../metadata/controller-types.ts';
import type { Comparison } from '../../metadata/clock-trust.ts';
import type { RestartClass } from '../../metadata/types.ts';
import type { Cancel, Clock } from '../../../base/clock.ts';

export interface LifecycleOptions {
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Silence after which the controller fences this broker. */
  readonly sessionTimeoutMs: number;
  readonly registration: Omit<RegisterRequest, 'kind' | 'restartClass'>;
  readonly decide: (request: ControllerRequest, deadlineMs: number) => Promise<ControllerReply>;
  /**
   * The registration is committed; resolves when this broker's image shows it, with the epoch under
   * which this start is registered there; null where a registration that names no start has taken
   * its place, so that it must ask again. Rejects where another start has the place.
   */
  readonly heldEpoch: (brokerEpoch: BrokerEpoch) => Promise<BrokerEpoch | null>;
  /** Metadata shows the registration; resolves when the session file holds its epoch. */
  readonly onRegistered: (brokerEpoch: BrokerEpoch, accepted: RestartClass) => Promise<void>;
  /** Index of the metadata that this broker has applied. */
  readonly metadataIndex: () => number;
  /** What this broker has to say of its replicas, where metadata says otherwise. */
  readonly abilities: () => readonly AbilityStatement[];
  /** Addresses of its named listeners where metadata says otherwise; null: it says the same. */
  readonly listeners: () => readonly ListenerAddress[] | null;
  /**
   * Has every replica that leads here take no more appends; true once all that they appended is
   * committed (rule 22).
   */
  readonly drain: () => boolean;
  /** Metadata says that this broker is stopping, and the feature level lets it take that back. */
  readonly isTakenForStopping: () => boolean;
  /** A heartbeat was answered: how this broker's clock compares, as far as that is known. */
  readonly onCompared: (comparison: Comparison) => void;
  readonly onFenced: (isFenced: boolean) => void;
  /**
   * Another incarnation has taken this broker's place, or the broker was removed: the process must
   * exit.
   */
  readonly onDisplaced: (reason: string) => void;
  /**
   * A later start of this directory has registered: the disk was put back to an older state, or
   * copied.
   */
  readonly onRolledBack: (reason: string) => void;
  readonly onFact: OnFact;
}

/** Answers that say that this incarnation, or this broker, has no place in the cluster any more. */
const DISPLACED: ReadonlySet<ErrorCode> = new Set(['FENCED', 'UNKNOWN_BROKER']);
/** Pause after a refused or unanswered request. */
const RETRY_MS = 50;
const DECIDE_DEADLINE_MS = 1_000;

interface StopState {
  readonly resolve: (leadersLeft: number) => void;
  readonly reject: (error: BrokerError) => void;
  readonly sinceMs: number;
  readonly deadlineMs: number;
  /**
   * The controller knows of the stop and gives this broker nothing more to lead, unless nobody else
   * can.
   */
  isAnnounced: boolean;
}

interface StayState {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Lifecycle {
  readonly #options: LifecycleOptions;
  #restartClass: RestartClass;
  #brokerEpoch: BrokerEpoch = 0;
  #isRegistered = false;
  #refusal = '';
  #isFenced = true;
  #isLossy = false;
  #isClosed = false;
  #isSuspended = false;
  #stop: StopState | null = null;
  /** A stop is being taken back. */
  #stay: StayState | null = null;
  #leadersLeft = 0;
  /** When the last answered heartbeat was sent: the controller's patience began no earlier. */
  #heardMs = -Infinity;
  #cancel: Cancel = () => {};
  #onLossyTold: () => void = () => {};

  constructor(options: LifecycleOptions, restartClass: RestartClass) {
    this.#options = options;
    this.#restartClass = restartClass;
  }

  /** 0 until registered. */
  get brokerEpoch(): BrokerEpoch {
    return this.#brokerEpoch;
  }

  get isFenced(): boolean {
    return this.#isFenced;
  }

  /**
   * Unfenced, and heard by the controller within its session: this broker's word on who is in S is
   * still good. After a session of silence it may have been fenced and replaced without a chance to
   * hear of it.
   */
  get isHeard(): boolean {
    const { clock, sessionTimeoutMs } = this.#options;
    return !this.#isFenced && clock.monotonicMs() - this.#heardMs < sessionTimeoutMs;
  }

  /** Claim of this start, or what the controller made of it. */
  get restartClass(): RestartClass {
    return this.#restartClass;
  }

  /**
   * Recovery found this start to be of another class than the directory claimed. Before `start`
   * only.
   */
  claim(restartClass: RestartClass): void {
    this.#restartClass = restartClass;
  }

  start(): void {
    this.#register();
  }

  /**
   * This broker cannot follow what the controller decides: it says nothing more, so that it is
   * fenced and others take over. Counts as fenced here at once.
   */
  suspend(): void {
    this.#isSuspended = true;
    this.#finishStop();
    if (this.#isFenced) return;
    this.#isFenced = true;
    this.#options.onFenced(true);
  }

  /** It can again. */
  resume(): void {
    if (!this.#isSuspended) return;
    this.#isSuspended = false;
    this.#beatNow();
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  /**
   * Resolves with the number of partitions that nobody else can lead, once all others are led
   * elsewhere or the deadline passed.
   */
  prepareStop(deadlineMs: number): Promise<number> {
    if (!this.#isRegistered || this.#isSuspended) return Promise.resolve(0);
    const endMs = this.#options.clock.monotonicMs() + deadlineMs;
    return new Promise((resolve, reject) => {
      this.#stay?.reject(
        new BrokerError('REFUSED', 'Cannot take the stop back: another one began'),
      );
      this.#stay = null;
      const sinceMs = this.#options.clock.monotonicMs();
      this.#stop = { resolve, reject, sinceMs, deadlineMs: endMs, isAnnounced: false };
      this.#beatNow();
    });
  }

  /**
   * Takes an orderly stop back: whoever waits for it is refused. Resolves when the controller has
   * committed that this broker stays; until then it repeats itself. Rejects with the controller's
   * refusal, or when another stop begins.
   */
  cancelStop(): Promise<void> {
    if (!this.#isRegistered) return Promise.resolve();
    this.#stop?.reject(new BrokerError('REFUSED', 'The stop was taken back'));
    this.#stop = null;
    return new Promise((resolve, reject) => {
      this.#stay?.reject(new BrokerError('REFUSED', 'Asked again meanwhile'));
      this.#stay = { resolve, reject };
      this.#beatNow();
    });
  }

  /**
   * Has this broker fenced, as the last step of an orderly stop: partitions that count it go on
   * without it at once. Resolves when the controller knows, or at the deadline: then its silence
   * will tell.
   */
  async leave(deadlineMs: number): Promise<void> {
    this.close();
    if (!this.#isRegistered) return;
    try {
      await this.#options.decide({ ...this.#request(), wantsStop: true, leaves: true }, deadlineMs);
    } catch (error) {
      this.#options.onFact('leave-failed', { reason: String(error) });
    }
  }

  /**
   * Something happened that the controller waits for: it hears so now, not at the next heartbeat.
   */
  announce(): void {
    this.#beatNow();
  }

  /** Tells the controller that this broker's data is not to be trusted; resolves when it knows. */
  declareLossy(): Promise<void> {
    this.#isLossy = true;
    return new Promise((resolve) => {
      this.#onLossyTold = resolve;
      this.#beatNow();
    });
  }

  #again(delayMs: number, step: () => void): void {
    this.#cancel();
    if (!this.#isClosed) this.#cancel = this.#options.clock.after(delayMs, step);
  }

  #register(): void {
    const request: RegisterRequest = {
      kind: 'register',
      restartClass: this.#restartClass,
      ...this.#options.registration,
    };
    this.#options.decide(request, DECIDE_DEADLINE_MS).then(
      (reply) => {
        if (reply.kind === 'register') this.#registered(reply.brokerEpoch, reply.restartClass);
      },
      (error: unknown) => {
        if (error instanceof BrokerError && error.code === 'WRONG_CLUSTER') {
          this.#options.onDisplaced(error.message);
          return;
        }
        if (error instanceof BrokerError && error.code === 'STALE_EPOCH') {
          this.#options.onRolledBack(error.message);
          return;
        }
        this.#noteRefusal(String(error));
        this.#again(RETRY_MS, () => {
          this.#register();
        });
      },
    );
  }

  /** Said once for each reason: the request is repeated many times a second. */
  #noteRefusal(reason: string): void {
    if (reason === this.#refusal) return;
    this.#refusal = reason;
    this.#options.onFact('registration-refused', { reason });
  }

  #registered(brokerEpoch: BrokerEpoch, accepted: RestartClass): void {
    this.#brokerEpoch = brokerEpoch;
    this.#restartClass = accepted;
    this.#complete(brokerEpoch, accepted).then(
      (isHeld) => {
        this.#isRegistered = isHeld;
        if (isHeld) this.#beatNow();
        else
          this.#again(RETRY_MS, () => {
            this.#register();
          });
      },
      (error: unknown) => {
        this.#options.onDisplaced(`the registration could not be completed: ${String(error)}`);
      },
    );
  }

  /** False where this start must register again. */
  async #complete(brokerEpoch: BrokerEpoch, accepted: RestartClass): Promise<boolean> {
    const held = await this.#options.heldEpoch(brokerEpoch);
    if (held === null) return false;
    this.#brokerEpoch = held;
    await this.#options.onRegistered(held, accepted);
    return true;
  }

  #beatNow(): void {
    if (this.#isRegistered)
      this.#again(0, () => {
        this.#beat();
      });
  }

  /**
   * States how this broker is, so that a request which arrives late is set right by the next one.
   */
  #request(): HeartbeatRequest & { readonly wallMs: WallMs } {
    const { abilities, drain, isTakenForStopping, listeners } = this.#options;
    const addresses = listeners();
    const isStopping = this.#stop !== null;
    // Rule 22: leaderships that come in until the controller knows of the stop drain as well,
    // before any moves on.
    const isDrained = isStopping && drain() && this.#stop?.isAnnounced === true;
    return {
      kind: 'heartbeat',
      brokerId: this.#options.registration.brokerId,
      brokerEpoch: this.#brokerEpoch,
      wantsUnfence: this.#isFenced && !isStopping && !this.#isLossy,
      wantsStop: isDrained,
      lossy: this.#isLossy,
      wallMs: this.#options.clock.wallMs(),
      stays: this.#stay !== null || (!isStopping && isTakenForStopping()),
      drains: isStopping,
      abilities: abilities(),
      ...(addresses === null ? {} : { listeners: addresses }),
      metadataIndex: this.#options.metadataIndex(),
    };
  }

  #beat(): void {
    if (this.#isSuspended) return;
    const request = this.#request();
    const stay = this.#stay;
    const { heartbeatMs, onCompared } = this.#options;
    const sentMs = this.#options.clock.monotonicMs();
    // Below the session timeout, or a lost request would look like a lost broker (KAFKA-14392).
    this.#options.decide(request, Math.max(heartbeatMs * 2, 500)).then(
      (reply) => {
        this.#heardMs = sentMs;
        if (reply.kind === 'heartbeat') {
          const { clockSkewMs: skewMs = null } = reply;
          onCompared({ skewMs, wallMs: request.wallMs, sentMs });
          this.#beaten(request, reply);
        }
        if (stay !== null && this.#stay === stay) {
          this.#stay = null;
          stay.resolve();
        }
        const isNews = this.#noteAnnounced(request);
        const isWaiting = this.#isFenced || this.#stop !== null;
        this.#again(isNews ? 0 : isWaiting ? RETRY_MS : heartbeatMs, () => {
          this.#beat();
        });
      },
      (error: unknown) => {
        if (error instanceof BrokerError && DISPLACED.has(error.code)) {
          this.#options.onDisplaced(error.message);
          return;
        }
        if (stay !== null && error instanceof BrokerError && error.code === 'REFUSED') {
          this.#stay = null;
          stay.reject(error);
        }
        this.#giveUpStop();
        this.#again(RETRY_MS, () => {
          this.#beat();
        });
      },
    );
  }

  #beaten(request: HeartbeatRequest, reply: Extract<ControllerReply, { kind: 'heartbeat' }>): void {
    if (request.lossy) this.#onLossyTold();
    this.#leadersLeft = reply.leadersLeft;
    if (this.#isSuspended) return;
    if (reply.fenced !== this.#isFenced) {
      this.#isFenced = reply.fenced;
      this.#options.onFenced(reply.fenced);
    }
    if (request.wantsStop && reply.mayStop) this.#finishStop();
    this.#giveUpStop();
  }

  /** True: the controller has just heard of the stop, and can be asked for more at once. */
  #noteAnnounced(request: HeartbeatRequest): boolean {
    if (this.#stop === null || this.#stop.isAnnounced || request.drains !== true) return false;
    this.#stop.isAnnounced = true;
    return true;
  }

  #finishStop(): void {
    this.#stop?.resolve(this.#leadersLeft);
    if (this.#stop !== null)
      this.#stop = {
        resolve: () => {},
        reject: () => {},
        sinceMs: Number.POSITIVE_INFINITY,
        deadlineMs: Number.POSITIVE_INFINITY,
        isAnnounced: true,
      };
  }

  /**
   * At the deadline; or after a session without a controller, as where all brokers stop together:
   * nobody is left to give leaderships to.
   */
  #giveUpStop(): void {
    if (this.#stop === null) return;
    const { clock, sessionTimeoutMs, onFact } = this.#options;
    const nowMs = clock.monotonicMs();
    const isLate = nowMs >= this.#stop.deadlineMs;
    const isUnheard = nowMs - Math.max(this.#heardMs, this.#stop.sinceMs) >= sessionTimeoutMs;
    if (!isLate && !isUnheard) return;
    onFact(isLate ? 'stop-deadline-passed' : 'stop-unheard', { leadersLeft: this.#leadersLeft });
    this.#finishStop();
  }
}
