/**
 * Judges a registration (rule 17, P4 to P7; docs/rules.md#restart-classes): may this incarnation
 * take the place, and is its disk evidence? Pure; the controller carries the verdict out.
 */
import { BrokerError } from '../../../base/errors.ts';
import type { RegisterRequest } from '../controller-types.ts';
import { hasLevel, LEVEL_OF_STARTS } from '../features.ts';
import type { BrokerState, MetadataImage, MetadataRecord, RestartClass } from '../types.ts';

/** The verdict on a registration. */
export interface RegistrationVerdict {
  /** The class that is believed. */
  readonly restartClass: RestartClass;
  /** The partition data that metadata attributes to this broker can no longer be relied on. */
  readonly isDistrusted: boolean;
  /** Why a better claim was not believed, or null. */
  readonly downgrade: string | null;
}

/**
 * Whether the start that asks is the one that is registered: an attempt that is repeated, or
 * arrives late, and changes nothing (rule 17).
 */
export function isRegistered(present: BrokerState | undefined, request: RegisterRequest): boolean {
  return (
    present?.start !== undefined &&
    present.start.id === request.start?.id &&
    present.directoryId === request.directoryId
  );
}

/**
 * Throws {@link BrokerError} WRONG_CLUSTER, INVALID_ARGUMENT, REFUSED while the present incarnation
 * holds the place with another directory, or STALE_EPOCH where a later start of the same directory
 * has registered.
 */
export function judgeRegistration(
  image: MetadataImage,
  request: RegisterRequest,
): RegistrationVerdict {
  if (request.clusterId !== image.clusterId) {
    throw new BrokerError(
      'WRONG_CLUSTER',
      `Cannot register broker ${String(request.brokerId)}: its cluster id is "${request.clusterId}", this cluster's is "${image.clusterId}"`,
    );
  }
  if (!Number.isSafeInteger(request.brokerId) || request.brokerId < 0) {
    throw new BrokerError(
      'INVALID_ARGUMENT',
      `brokerId is ${String(request.brokerId)}, must be a whole number of 0 or greater`,
    );
  }
  if (request.directoryId === '')
    throw new BrokerError(
      'INVALID_ARGUMENT',
      'directoryId is "", must be the uuid of the data directory',
    );
  refuseGhost(image, request);
  refuseReplaced(image, request);
  refuseOldBuild(image, request);
  const present = image.brokers.get(request.brokerId);
  if (present !== undefined) {
    refuseUsurper(present, request);
    refuseOlderStart(present, request);
  }
  const downgrade = claimFault(present, request);
  const restartClass = downgrade === null ? request.restartClass : 'lossy';
  return {
    restartClass,
    isDistrusted: restartClass === 'new' || restartClass === 'lossy',
    downgrade,
  };
}

/** A removed broker's data was given up: other copies went on without it. */
function refuseGhost(image: MetadataImage, request: RegisterRequest): void {
  if (!image.removedDirectories.includes(request.directoryId)) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot register broker ${String(request.brokerId)} with directory ${request.directoryId}: that directory belongs to a broker that was removed, and what it holds was given up; to join as a new broker, start with an empty directory`,
  );
}

/**
 * The broker has registered with another directory since: the request is late, whoever is
 * registered now, or the old disk was put back. What it holds may be as old as that, so a living
 * process gives it another id first (P12).
 */
function refuseReplaced(image: MetadataImage, request: RegisterRequest): void {
  if (!image.replacedDirectories.includes(request.directoryId)) return;
  throw new BrokerError(
    'STALE_EPOCH',
    `Cannot register broker ${String(request.brokerId)} with directory ${request.directoryId}: it has registered with another one since`,
    { effect: 'none' },
  );
}

/** Metadata may hold records that such a build cannot read. */
function refuseOldBuild(image: MetadataImage, request: RegisterRequest): void {
  if (request.featureLevelMax >= image.featureLevel) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot register broker ${String(request.brokerId)}: its build runs feature level ${String(request.featureLevelMax)} at most, the cluster is at ${String(image.featureLevel)} and does not go back`,
  );
}

/**
 * Two pods with one id: the one that is heartbeating keeps the place
 * (docs/rules.md#metadata-quorum). The same directory cannot be mounted by a living other.
 */
function refuseUsurper(present: BrokerState, request: RegisterRequest): void {
  if (present.fenced || present.directoryId === request.directoryId) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot register broker ${String(request.brokerId)} with directory ${request.directoryId}: directory ${present.directoryId} of broker epoch ` +
      `${String(present.brokerEpoch)} is heartbeating, must be fenced first`,
  );
}

/** The record of a registration that was judged, under the next broker epoch. */
export function registrationRecord(
  image: MetadataImage,
  request: RegisterRequest,
  restartClass: RestartClass,
): Extract<MetadataRecord, { kind: 'broker-registered' }> {
  const { brokerId, directoryId, host, port, internal, rack, featureLevelMax, start } = request;
  const isNamed = start !== undefined && hasLevel(image, LEVEL_OF_STARTS);
  return {
    kind: 'broker-registered',
    brokerId,
    brokerEpoch: image.lastBrokerEpoch + 1,
    directoryId,
    host,
    port,
    // At every level: without it no broker could reach this one.
    ...(internal === undefined ? {} : { internal }),
    rack,
    restartClass,
    featureLevelMax,
    ...(isNamed ? { start } : {}),
  };
}

/**
 * Rule 17: a request that a dead process sent may arrive after its successor registered, and must
 * not displace it. A living process that gets this answer runs on a disk that was put back to an
 * older state, or on a copy: it gives the directory another id and comes back (P12).
 */
function refuseOlderStart(present: BrokerState, request: RegisterRequest): void {
  const isLater =
    present.start === undefined ||
    request.start === undefined ||
    request.start.number > present.start.number;
  if (isLater || present.directoryId !== request.directoryId) return;
  throw new BrokerError(
    'STALE_EPOCH',
    `Cannot register broker ${String(request.brokerId)}: start ${String(request.start.number)} of directory ${request.directoryId} asks, ` +
      `and start ${String(present.start.number)} has registered as broker epoch ${String(present.brokerEpoch)}`,
    { effect: 'none' },
  );
}

/**
 * Why a claim to be clean or warm cannot be believed, or null. The session file must name the last
 * incarnation unfenced, or one registered since.
 */
function claimFault(present: BrokerState | undefined, request: RegisterRequest): string | null {
  if (request.restartClass !== 'clean' && request.restartClass !== 'warm') return null;
  if (present === undefined) return 'this broker id was never registered';
  if (present.directoryId !== request.directoryId)
    return `directory is ${request.directoryId}, registered is ${present.directoryId}`;
  if (request.sessionEpoch < Math.max(1, present.unfencedEpoch)) {
    return `session file is of broker epoch ${String(request.sessionEpoch)}, last unfenced is ${String(present.unfencedEpoch)}`;
  }
  if (request.sessionEpoch > present.brokerEpoch) {
    return `session file is of broker epoch ${String(request.sessionEpoch)}, last registered is ${String(present.brokerEpoch)}`;
  }
  return null;
}
