/**
 * Every service of a broker's two listeners, beside the internal ones (`network/grpc-peers.ts`): on
 * that of clients the public API, health and reflection, on the internal one what brokers hand on
 * to each other and the operator calls. main.ts and tests add the same ones.
 */
import type { ServiceHost } from '../wire/grpc/channel.ts';
import type { Doors } from './doors/open-doors.ts';
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
  'externalscaler.ExternalScaler',
];

export interface FrontOptions extends PublicServicesOptions {
  /** Of clients. */
  readonly server: ServiceHost;
  /** Of brokers and the operator. */
  readonly internalServer: ServiceHost;
  /**
   * What callers are judged by, on either listener, and kept to their quotas; absent: everybody may
   * do everything.
   */
  readonly doors?: Pick<Doors, 'outer' | 'inner' | 'throttle'>;
  /** Whether clients may ask what services there are; default: yes. */
  readonly isReflected?: boolean;
  readonly isServing: () => boolean;
  /** The set of descriptors of our own services. */
  readonly descriptors: Uint8Array;
}

/** Adds them; whoever stops the broker closes both. */
export function addServices(given: FrontOptions) {
  const { server, internalServer, doors, isServing, descriptors, ...options } = given;
  const { isReflected = true } = given;
  const services = publicServices(options);
  const health = new Health({ isServing, services: PUBLIC_SERVICES });
  const reflection = reflectionHandler(
    // Sets of descriptors one after another are one set, as repeated fields are.
    readDescriptors(Buffer.concat([descriptors, healthDescriptors()])),
    [...PUBLIC_SERVICES, HEALTH_SERVICE_NAME],
  );
  const judged = doors?.outer?.hostOf(server) ?? server;
  addPublicServices(doors?.throttle.hostOf(judged) ?? judged, services);
  addForwardedServices(doors?.inner.hostOf(internalServer) ?? internalServer, services);
  addMembersService(internalServer, services);
  server.add(HEALTH_SERVICE, health.handlers());
  if (isReflected)
    for (const definition of Object.values(REFLECTION_SERVICES)) server.add(definition, reflection);
  return { services, health };
}
