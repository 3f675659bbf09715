/**
 * Every service of a broker's port, beside those that its peers use: the public API, health and
 * reflection. main.ts and tests add the same ones.
 */
import type { ServiceHost } from '../wire/grpc/channel.ts';
import { publicServices, type PublicServicesOptions } from './service/public-services.ts';
import { readDescriptors } from './telemetry/descriptors.ts';
import {
  Health,
  HEALTH_SERVICE,
  HEALTH_SERVICE_NAME,
  healthDescriptors,
} from './telemetry/health.ts';
import { REFLECTION_SERVICES, reflectionHandler } from './telemetry/reflection.ts';

const PUBLIC_SERVICES = ['tidemark.v1.LogService', 'tidemark.v1.AdminService'];

export interface FrontOptions extends PublicServicesOptions {
  readonly server: ServiceHost;
  readonly isServing: () => boolean;
  /** The set of descriptors of our own services. */
  readonly descriptors: Uint8Array;
}

/** Adds them; whoever stops the broker closes both. */
export function addServices({ server, isServing, descriptors, ...options }: FrontOptions) {
  const services = publicServices(options);
  const health = new Health({ isServing, services: PUBLIC_SERVICES });
  const reflection = reflectionHandler(
    // Sets of descriptors one after another are one set, as repeated fields are.
    readDescriptors(Buffer.concat([descriptors, healthDescriptors()])),
    [...PUBLIC_SERVICES, HEALTH_SERVICE_NAME],
  );
  server.add(services.log.definition, services.log.handlers);
  server.add(services.admin.definition, services.admin.handlers);
  server.add(HEALTH_SERVICE, health.handlers());
  for (const definition of Object.values(REFLECTION_SERVICES)) server.add(definition, reflection);
  return { services, health };
}
