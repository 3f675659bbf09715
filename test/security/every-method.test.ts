/**
 * Everything that a broker serves, thrown at with what no honest client sends: no message ends a
 * process, breaks an invariant, or keeps the next caller from being answered.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BROKER_ID, OTHER_TOPIC, VictimBroker } from './broker.ts';
import { Shapes, shapeless } from './hostile-messages.ts';

const IMAGE = readFileSync(new URL('../../proto/tidemark.binpb', import.meta.url));
/** How long a call may go on before it is cancelled: streams and waits do. */
const PATIENCE_MS = 300;
const AT_ONCE = 20;

describe('every method of every service', () => {
  let victim: VictimBroker;
  const shapes = new Shapes(IMAGE);

  beforeAll(async () => {
    victim = await VictimBroker.start();
  }, 60_000);
  afterAll(() => victim.stop(), 60_000);

  it('stands what no honest client sends', async () => {
    const thrown = new Map<string, number>();
    for (const method of victim.methods) {
      const hostile = [...shapeless(), ...shapes.of(method.path, BROKER_ID, OTHER_TOPIC)];
      for (let from = 0; from < hostile.length; from += AT_ONCE) {
        const some = hostile.slice(from, from + AT_ONCE);
        await Promise.all(some.map(({ bytes }) => victim.throwAt(method, [bytes], PATIENCE_MS)));
        try {
          await victim.isWell();
        } catch (error) {
          const names = some.map(({ name }) => name).join('; ');
          throw new Error(
            `${method.path} of the ${method.door} listener does not stand one of: ${names}`,
            { cause: error },
          );
        }
      }
      const service = `${method.door}: ${method.path.split('/')[1] ?? ''}`;
      thrown.set(service, (thrown.get(service) ?? 0) + hostile.length);
    }
    expect([...thrown.keys()].toSorted()).toEqual([
      'client: externalscaler.ExternalScaler',
      'client: grpc.health.v1.Health',
      'client: grpc.reflection.v1.ServerReflection',
      'client: grpc.reflection.v1alpha.ServerReflection',
      'client: tidemark.v1.AdminService',
      'client: tidemark.v1.ConsumeService',
      'client: tidemark.v1.GroupService',
      'client: tidemark.v1.LogService',
      'client: tidemark.v1.QueueService',
      'internal: tidemark.internal.v1.MembersService',
      'internal: tidemark.internal.v1.QueuesService',
      'internal: tidemark.internal.v1.QuorumService',
      'internal: tidemark.internal.v1.ReplicationService',
      'internal: tidemark.v1.AdminService',
      'internal: tidemark.v1.GroupService',
      'internal: tidemark.v1.LogService',
    ]);
  });
});
