/** Which methods exist on which of a broker's two listeners: all others are unknown there. */
import { status as Status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HEALTH_SERVICE } from '../../broker/telemetry/health.ts';
import { REFLECTION_SERVICES } from '../../broker/telemetry/reflection.ts';
import { MembersServiceService } from '../../proto/gen/tidemark/internal/v1/members.ts';
import { QueuesServiceService } from '../../proto/gen/tidemark/internal/v1/queues.ts';
import { QuorumServiceService } from '../../proto/gen/tidemark/internal/v1/quorum.ts';
import { ReplicationServiceService } from '../../proto/gen/tidemark/internal/v1/replication.ts';
import { AdminServiceService } from '../../proto/gen/tidemark/v1/admin.ts';
import { ExternalScalerService } from '../../proto/gen/externalscaler/externalscaler.ts';
import { ConsumeServiceService } from '../../proto/gen/tidemark/v1/consume.ts';
import { GroupServiceService } from '../../proto/gen/tidemark/v1/groups.ts';
import { QueueServiceService } from '../../proto/gen/tidemark/v1/queues.ts';
import { LogServiceService } from '../../proto/gen/tidemark/v1/log.ts';
import { type Door, VictimBroker } from './broker.ts';

/** A call that is not refused by then goes on: it was let in. */
const PATIENCE_MS = 300;
/** No message of any method: whoever reads it refuses it, and changes nothing. */
const NONSENSE = Buffer.from([0xff]);

const paths = (definition: object): string[] =>
  Object.values(definition as Record<string, { readonly path: string }>).map(({ path }) => path);

const BOTH: readonly Door[] = ['client', 'internal'];
/** What a broker hands on to the one that can answer it. */
const HANDED_ON = ['Produce', 'Fetch', 'ListOffsets'].map(
  (name) => `/tidemark.v1.LogService/${name}`,
);

const METHODS: readonly { readonly path: string; readonly doors: readonly Door[] }[] = [
  ...[QuorumServiceService, ReplicationServiceService, MembersServiceService, QueuesServiceService]
    .flatMap(paths)
    .map((path) => ({ path, doors: ['internal'] as const })),
  ...[AdminServiceService, GroupServiceService]
    .flatMap(paths)
    .map((path) => ({ path, doors: BOTH })),
  ...[ExternalScalerService, ConsumeServiceService, QueueServiceService]
    .flatMap(paths)
    .map((path) => ({ path, doors: ['client'] as const })),
  ...paths(LogServiceService).map((path) => ({
    path,
    doors: HANDED_ON.includes(path) ? BOTH : (['client'] as const),
  })),
  ...[HEALTH_SERVICE, ...Object.values(REFLECTION_SERVICES)]
    .flatMap(paths)
    .map((path) => ({ path, doors: ['client'] as const })),
];

describe('the listeners of a broker', () => {
  let victim: VictimBroker;
  beforeAll(async () => {
    victim = await VictimBroker.start();
  }, 60_000);
  afterAll(() => victim.stop(), 60_000);

  it('serve every method that there is', () => {
    const served = new Set(victim.methods.map(({ path }) => path));
    expect([...served].toSorted()).toEqual(METHODS.map(({ path }) => path).toSorted());
  });

  it.each(METHODS)('let $path in at: $doors', async ({ path, doors }) => {
    for (const door of BOTH) {
      const status = await victim.throwAt({ door, path }, [NONSENSE], PATIENCE_MS);
      const answer = status === Status.UNIMPLEMENTED ? 'unknown' : 'let in';
      expect([door, answer]).toEqual([door, doors.includes(door) ? 'let in' : 'unknown']);
    }
  });
});
