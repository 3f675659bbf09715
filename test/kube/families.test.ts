/**
 * Addresses of both families, and a platform that says as whom pods run: users of a range of the
 * namespace's own, in group 0, as OpenShift gives them.
 */
import { describe, expect, it } from 'vitest';
import type { DescribeClusterResponse } from '../../proto/gen/tidemark/v1/admin.ts';
import { type KubeObject, useKube } from './harness.ts';
import { OperatedCluster } from './operated.ts';

const USER = 1_000_650_000;
const RECORDS = Array.from({ length: 60 }, (_, index) => `record ${index}`);

interface Service extends KubeObject {
  readonly spec: { readonly clusterIPs: readonly string[]; readonly ipFamilies: readonly string[] };
}

interface PodAddresses extends KubeObject {
  readonly spec: { readonly securityContext: object };
  readonly status: { readonly podIPs: readonly { readonly ip: string }[] };
}

const isSix = (address: string): boolean => address.includes(':');

describe('brokers with addresses of both families, as users of the platform', () => {
  const scene = useKube(
    async (kube) => {
      const cluster = new OperatedCluster(kube);
      // The launcher has no controller that gives users: the spec says what that would.
      const securityContext = { runAsUser: USER, runAsGroup: 0, fsGroup: USER };
      await cluster.start({ podTemplate: { securityContext } }, 'podUser=platform');
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  it('serve at each of them, by Services of both', async () => {
    const { kube, cluster } = scene();
    const { spec } = await kube.get<Service>('service', cluster.name);
    expect(spec.ipFamilies.toSorted()).toEqual(['IPv4', 'IPv6']);
    const pods = await kube.list<PodAddresses>('pod', 'app.kubernetes.io/component=broker');
    const addresses = pods.flatMap(({ status }) => status.podIPs.map(({ ip }) => ip));
    expect(addresses.filter(isSix)).toHaveLength(3);
    const servers = addresses.map((ip) => (isSix(ip) ? `[${ip}]:9641` : `${ip}:9641`));
    const answers = await kube.call<DescribeClusterResponse>('describeCluster', servers);
    expect(new Set(answers.map(({ clusterId }) => clusterId)).size).toBe(1);
    expect(answers).toHaveLength(6);
  });

  it('take and give records at an address of IPv6 alone', async () => {
    const { kube, cluster } = scene();
    const { spec } = await kube.get<Service>('service', cluster.name);
    const server = `[${spec.clusterIPs.find(isSix)}]:9641`;
    await kube.tidemark(server, ['topic', 'create', 'letters', '--partitions', '3']);
    await kube.tidemark(server, ['append', 'letters'], `${RECORDS.join('\n')}\n`);
    const read = await kube.tidemark(server, ['read', 'letters', '--format', 'raw']);
    expect(read.trimEnd().split('\n').sort()).toEqual(RECORDS.toSorted());
  });

  it('run as whom the platform says, and the operator as nobody that it chose itself', async () => {
    const { kube, cluster } = scene();
    const id = await kube.exec(cluster.podName(0), ['id']);
    expect(id).toContain(`uid=${USER}`);
    expect(id).toContain('gid=0(root)');
    const [operator] = await kube.list<PodAddresses>('pod', 'app.kubernetes.io/component=operator');
    expect(operator?.spec.securityContext).not.toHaveProperty('runAsUser');
  });

  it('have their objects labelled by the spec, claims too, and unlabelled again', async () => {
    const { kube, cluster } = scene();
    const labels = { team: 'shop' };
    const objects = ['clientsService', 'brokersService', 'claims', 'budget'];
    const kinds = 'service,persistentvolumeclaim,poddisruptionbudget';
    const named = async (): Promise<string[]> => {
      const found = await kube.kubectl('get', kinds, '-l', 'team=shop', '-o', 'name');
      return found
        .split('\n')
        .filter((name) => name !== '')
        .sort();
    };
    const uids = await cluster.podUids();
    await cluster.change({
      objects: Object.fromEntries(objects.map((each) => [each, { labels }])),
    });
    await kube.wait('every object to have the label', async (note) => {
      const found = await named();
      note(found);
      return found.length === 6 ? true : undefined;
    });
    await cluster.change({ objects: null });
    await kube.wait('no object to have it', async (note) => {
      const found = await named();
      note(found);
      return found.length === 0 ? true : undefined;
    });
    expect(await cluster.podUids()).toEqual(uids);
  });
});
