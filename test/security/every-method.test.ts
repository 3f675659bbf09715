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
  const victim = new VictimBroker();
  const shapes = new Shapes(IMAGE);

  beforeAll(() => victim.start(), 60_000);
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
          throw new Error(`${method.path} does not stand one of: ${names}`, { cause: error });
        }
      }
      thrown.set(method.path, hostile.length);
    }
    expect([...thrown.keys()].map((path) => path.split('/')[1])).toEqual(
      expect.arrayContaining([
        'tidemark.v1.LogService',
        'tidemark.v1.AdminService',
        'tidemark.internal.v1.QuorumService',
        'tidemark.internal.v1.ReplicationService',
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
      ]),
    );
  });
});
