import { describe, expect, it } from 'vitest';
import { ACCESS_RESOURCES } from '../../../../base/access.ts';
import { accessOf, METHODS_WITH_ACCESS } from '../../../../broker/access/methods.ts';
import { AdminServiceService } from '../../../../proto/gen/tidemark/v1/admin.ts';
import { ExternalScalerService } from '../../../../proto/gen/externalscaler/externalscaler.ts';
import { ConsumeOpen, ConsumeServiceService } from '../../../../proto/gen/tidemark/v1/consume.ts';
import { GroupServiceService } from '../../../../proto/gen/tidemark/v1/groups.ts';
import { QueueServiceService } from '../../../../proto/gen/tidemark/v1/queues.ts';
import { LogServiceService } from '../../../../proto/gen/tidemark/v1/log.ts';

interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
}

const METHODS = [
  LogServiceService,
  AdminServiceService,
  GroupServiceService,
  ConsumeServiceService,
  QueueServiceService,
  ExternalScalerService,
].flatMap((service) => Object.values(service) as unknown as Method[]);

describe('the table of methods', () => {
  it('has every method of the public services, and no other', () => {
    const paths = METHODS.map(({ path }) => path);
    expect([...METHODS_WITH_ACCESS].toSorted()).toEqual(paths.toSorted());
    expect(new Set(METHODS_WITH_ACCESS).size).toBe(METHODS_WITH_ACCESS.length);
    expect(accessOf('/tidemark.v1.AdminService/Unheard')).toBeUndefined();
  });

  it.each(METHODS)('names fields that the request of $path has', (method) => {
    const access = accessOf(method.path);
    const reach = access?.reach ?? { of: 'nothing' };
    const empty = Buffer.alloc(0);
    const request = (
      access?.opensWith === 'open' ? ConsumeOpen.decode(empty) : method.requestDeserialize(empty)
    ) as Record<string, unknown>;
    const field = 'field' in reach ? request[reach.field] : null;
    const isList = reach.of === 'names' || reach.of === 'topic-ids';
    expect(Array.isArray(field)).toBe(isList);
    if ('field' in reach && !isList) expect(field).toBe('');
    // A stream is judged message by message, or by the one that opens it.
    const isOpened = access?.opensWith !== undefined;
    expect(method.requestStream).toBe(reach.of === 'topic-ids' || isOpened);
    for (const { reach: other } of access?.also ?? [])
      if ('field' in other) expect(request).toHaveProperty(other.field);
  });

  it.each(METHODS)('asks for $path what its resource knows', ({ path }) => {
    const { operation, reach } = accessOf(path) ?? { operation: 'group', reach: { of: 'nothing' } };
    const kind =
      'kind' in reach
        ? reach.kind
        : ['cluster', 'principal'].includes(reach.of)
          ? 'cluster'
          : 'topic';
    expect(ACCESS_RESOURCES[kind]).toContain(operation);
  });

  it('counts what moves records, takes ids and administers towards a quota', () => {
    const free = METHODS.filter(({ path }) => accessOf(path)?.quota === null);
    expect(free.map(({ path }) => path.split('/').at(-1)).toSorted()).toEqual([
      'DescribeCluster',
      'DescribeLag',
      'FetchCursors',
      'ListOffsets',
      'ListTopics',
      'StreamIsActive',
    ]);
    const admin = Object.values(AdminServiceService) as unknown as Method[];
    const quotas = admin.map(({ path }) => accessOf(path)?.quota);
    expect(new Set(quotas)).toEqual(new Set([null, 'adminCallsPerSecond']));
  });
});
