/**
 * The seam between our code and gRPC: the few methods of the library that we use, as interfaces.
 * grpc-js implements them for real; the simulator implements them over simulated packets, so that
 * serializers, error mapping, deadlines and flow control run simulated too. Whoever makes calls or
 * answers them knows these, and no socket.
 */
import type { Client, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

/** One connection to one address, opened when first used and again after it broke. */
export type Channel = Pick<
  Client,
  'makeUnaryRequest' | 'makeServerStreamRequest' | 'makeBidiStreamRequest'
>;

/** Where services are added before the port is opened. */
export interface ServiceHost {
  add<Implementation extends UntypedServiceImplementation>(
    definition: ServiceDefinition<Implementation>,
    implementation: Implementation,
  ): void;
}
