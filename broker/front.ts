/**
 * Every service of a broker's listeners, beside the internal ones (`network/grpc-peers.ts`): on
 * those of clients the public API, health and reflection, on the internal one what brokers hand on
 * to each other and the operator calls. main.ts and tests add the same ones.
 */
import { CLIENT_LISTENER, INTERNAL_LISTENER } from '../base/listeners.ts';
import type { ServiceHost } from '../wire/grpc/channel.ts';
import type { Door } from './doors/door.ts';
import type { Doors } from './doors/open-doors.ts';
import { comingBy } from './messages/listener.ts';
import {
  addForwardedServices,
  addMembersService,
  addPublicServices,
  publicServices,
  type PublicServicesOptions,
} from './service/public-services.ts';
import { readDescriptors } from './telemetry/descriptors.ts';
import {
  Health,
  HEALTH_SERVICE,
  HEALTH_SERVICE_NAME,
  healthDescriptors,
} from './telemetry/health.ts';
import { REFLECTION_SERVICES, reflectionHandler } from './telemetry/reflection.ts';

const PUBLIC_SERVICES = [
  'tidemark.v1.LogService',
  'tidemark.v1.AdminService',
  'tidemark.v1.GroupService',
  'tidemark.v1.ConsumeService',
  'tidemark.v1.QueueService',
  'externalscaler.ExternalScaler',
];

/** A listener for clients beside the one that every broker has. */
export interface NamedListener {
  readonly name: string;
  readonly server: ServiceHost;
  readonly isReflected: boolean;
}

export interface FrontOptions extends PublicServicesOptions {
  /** Of clients. */
  readonly server: ServiceHost;
  /** Named listeners; default: none. */
  readonly listeners?: readonly NamedListener[];
  /** Of brokers and the operator. */
  readonly internalServer: ServiceHost;
  /**
   * What callers are judged by, on either listener, and kept to their quotas; absent: everybody may
   * do everything.
   */
  readonly doors?: Pick<Doors, 'outer' | 'named' | 'inner' | 'throttle'>;
  /** Whether clients may ask what services there are; default: yes. */
  readonly isReflected?: boolean;
  readonly isServing: () => boolean;
  /** The set of descriptors of our own services. */
  readonly descriptors: Uint8Array;
}

/** Adds them; whoever stops the broker closes both. */
export function addServices(given: FrontOptions) {
  const { server, internalServer, doors, isServing, descriptors, ...options } = given;
  const { isReflected = true, listeners = [] } = given;
  const services = publicServices(options);
  const health = new Health({ isServing, services: PUBLIC_SERVICES });
  const reflection = reflectionHandler(
    // Sets of descriptors one after another are one set, as repeated fields are.
    readDescriptors(Buffer.concat([descriptors, healthDescriptors()])),
    [...PUBLIC_SERVICES, HEALTH_SERVICE_NAME],
  );
  const addFor = (listener: NamedListener, door: Door | null): void => {
    const { name, server: host } = listener;
    const judged = door?.hostOf(host) ?? host;
    const throttled = doors?.throttle.hostOf(judged, door !== null) ?? judged;
    addPublicServices(comingBy(name, throttled), services);
    host.add(HEALTH_SERVICE, health.handlers());
    if (listener.isReflected)
      for (const definition of Object.values(REFLECTION_SERVICES)) host.add(definition, reflection);
  };
  addFor({ name: CLIENT_LISTENER, server, isReflected }, doors?.outer ?? null);
  for (const listener of listeners) addFor(listener, doors?.named.get(listener.name) ?? null);
  const inner = doors?.inner.hostOf(internalServer) ?? internalServer;
  addForwardedServices(comingBy(INTERNAL_LISTENER, inner), services);
  addMembersService(internalServer, services);
  return { services, health };
}
