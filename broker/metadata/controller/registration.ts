/**
 * Judges a registration (rule 17, P4 to P7; DESIGN.md section 6): may this incarnation take the place, and is its disk evidence? Pure; the controller
 * carries the verdict out.
 */
import { BrokerError } from '../../base/errors.ts';
import type { RegisterRequest } from '../controller-types.ts';
import type { BrokerState, MetadataImage, RestartClass } from '../types.ts';

/** The verdict on a registration. */
export interface RegistrationVerdict {
  /** The class that is believed. */
  readonly restartClass: RestartClass;
  /** The partition data that metadata attributes to this broker can no longer be relied on. */
  readonly isDistrusted: boolean;
  /** Why a better claim was not believed, or null. */
  readonly downgrade: string | null;
}

/** Throws {@link BrokerError} WRONG_CLUSTER, INVALID_ARGUMENT, or REFUSED while the present incarnation holds the place with another directory. */
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
  refuseOldBuild(image, request);
  const present = image.brokers.get(request.brokerId);
  if (present !== undefined) refuseUsurper(present, request);
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

/** Metadata may hold records that such a build cannot read. */
function refuseOldBuild(image: MetadataImage, request: RegisterRequest): void {
  if (request.featureLevelMax >= image.featureLevel) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot register broker ${String(request.brokerId)}: its build runs feature level ${String(request.featureLevelMax)} at most, the cluster is at ${String(image.featureLevel)} and does not go back`,
  );
}

/** Two pods with one id: the one that is heartbeating keeps the place (DESIGN.md section 4). The same directory cannot be mounted by a living other. */
function refuseUsurper(present: BrokerState, request: RegisterRequest): void {
  if (present.fenced || present.directoryId === request.directoryId) return;
  throw new BrokerError(
    'REFUSED',
    `Cannot register broker ${String(request.brokerId)} with directory ${request.directoryId}: directory ${present.directoryId} of broker epoch ` +
      `${String(present.brokerEpoch)} is heartbeating, must be fenced first`,
  );
}

/** Why a claim to be clean or warm cannot be believed, or null. The session file must name the last incarnation unfenced, or one registered since. */
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
