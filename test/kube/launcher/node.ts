/**
 * A node: containerd, kubelet and kube-proxy. They share a mount namespace of their own, so every
 * mount of theirs is gone when the last of them is, and none is ever seen outside.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tail } from '../../cluster/harness/child.ts';
import { waitFor, when } from '../../cluster/harness/wait.ts';
import { endGroup, makeGroup, processesOf, PROGRAMS } from './cgroups.ts';
import { startDaemon } from './daemon.ts';
import { importImage, PAUSE_FILE } from './image.ts';
import { run, tryRun } from './run.ts';
import {
  DNS_ADDRESS,
  type NodePlace,
  PAUSE_IMAGE,
  POD_RANGE,
  POD_RANGE_6,
  programPath,
  runFile,
} from './settings.ts';

/**
 * Mounts of the node alone: sockets and handles of containerd and of the network plugins land in an
 * empty /run, and the kubelet finds its usual folder, for the path of its device plugins cannot be
 * set.
 */
const MOUNTS = `mount -t tmpfs node /run && mount --bind "$0" /var/lib/kubelet && exec "$@"`;
/** Mount point in the machine's own tree; it stays empty. */
const KUBELET_DIR = '/var/lib/kubelet';

/**
 * Starts a node, or starts it again after {@link stopNode}. Resolves when its container runtime
 * answers and its kubelet is on its way.
 */
export async function startNode(node: NodePlace): Promise<void> {
  const { dir, netns } = node;
  const group = makeGroup(netns);
  mkdirSync(join(dir, 'kubelet'), { recursive: true });
  mkdirSync(KUBELET_DIR, { recursive: true });
  writeFiles(node);
  const at = (name: string): { netns: string; group: string; logFile: string } => ({
    netns,
    group,
    logFile: join(dir, `${name}.log`),
  });
  rmSync(node.socket, { force: true });
  const isolate = ['unshare', '--mount', '--propagation', 'slave'];
  const wrapper = [...isolate, 'sh', '-c', MOUNTS, join(dir, 'kubelet')];
  const runtime = startDaemon('containerd', ['--config', join(dir, 'containerd.toml')], {
    ...at('containerd'),
    wrapper,
  });
  await waitFor(
    `containerd of ${node.name}`,
    async () => when((await tryRun('ctr', ['--address', node.socket, 'version'])).code === 0),
    { context: () => tail(join(dir, 'containerd.log')) },
  );
  await importImage(node, PAUSE_FILE);
  const beside = ['nsenter', `--mount=/proc/${runtime}/ns/mnt`];
  startDaemon(programPath('kubelet'), kubeletArgs(node), { ...at('kubelet'), wrapper: beside });
  startDaemon(programPath('kube-proxy'), [`--config=${join(dir, 'proxy.yaml')}`], {
    ...at('kube-proxy'),
    wrapper: beside,
  });
}

/**
 * Ends everything on a node at once, its pods too: what a power cut looks like to everybody else.
 * Its disks stay.
 */
export async function stopNode(node: NodePlace): Promise<void> {
  await endGroup(node.netns);
}

/**
 * Puts a file system of this size, such as `64M`, over a folder of a node, or changes the size of
 * the one that is there.
 */
export async function mountMemory({ netns }: NodePlace, path: string, size: string): Promise<void> {
  const [pid] = processesOf(join(netns, PROGRAMS));
  if (pid === undefined) throw new Error(`node ${netns} is not running`);
  const inside = [`--mount=/proc/${pid}/ns/mnt`];
  const isMounted =
    (await tryRun('nsenter', [...inside, 'mountpoint', '--quiet', path])).code === 0;
  const options = `${isMounted ? 'remount,' : ''}size=${size},mode=0777`;
  await run('nsenter', [...inside, 'mount', '-t', 'tmpfs', '-o', options, 'memory', path]);
}

function kubeletArgs({ name, zone, address, address6, dir }: NodePlace): string[] {
  return [
    `--config=${join(dir, 'kubelet.yaml')}`,
    `--kubeconfig=${runFile('kubeconfig')}`,
    `--hostname-override=${name}`,
    `--node-ip=${address},${address6}`,
    `--cert-dir=${join(dir, 'pki')}`,
    `--node-labels=topology.kubernetes.io/zone=${zone},topology.kubernetes.io/region=test`,
  ];
}

/** JSON is YAML. */
function writeFiles(node: NodePlace): void {
  const { dir } = node;
  mkdirSync(join(dir, 'cni'), { recursive: true });
  // Pods ask the cluster's DNS; it has nobody to ask in turn.
  writeFileSync(join(dir, 'resolv.conf'), 'nameserver 127.0.0.1\n');
  writeFileSync(join(dir, 'containerd.toml'), containerdConfig(node));
  writeFileSync(join(dir, 'cni', '10-test.conflist'), JSON.stringify(networkConfig(node)));
  writeFileSync(join(dir, 'kubelet.yaml'), JSON.stringify(kubeletConfig(node)));
  writeFileSync(join(dir, 'proxy.yaml'), JSON.stringify(proxyConfig(node)));
}

function containerdConfig({ dir, socket }: NodePlace): string {
  return `version = 2
root = "${dir}/containerd"
state = "${dir}/state"
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  stream_server_port = "0"
  # Inside a container or a small virtual machine nobody may lower a score.
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${dir}/cni"
`;
}

/**
 * Point to point rather than a bridge: every packet of a pod is routed, so Service addresses work
 * between pods of one node without the module br_netfilter.
 */
function networkConfig({ dir, podRange, podRange6 }: NodePlace): object {
  const ipam = {
    type: 'host-local',
    dataDir: `${dir}/addresses`,
    ranges: [[{ subnet: podRange }], [{ subnet: podRange6 }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  };
  return { cniVersion: '1.0.0', name: 'test', plugins: [{ type: 'ptp', ipMasq: false, ipam }] };
}

function kubeletConfig({ dir, netns, socket }: NodePlace): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${netns}`,
    containerRuntimeEndpoint: `unix://${socket}`,
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    clusterDNS: [DNS_ADDRESS],
    clusterDomain: 'cluster.local',
    resolvConf: join(dir, 'resolv.conf'),
    failSwapOn: false,
    oomScoreAdj: 0,
    enforceNodeAllocatable: [],
    // All nodes share one disk: what matters is that the test's own machine does not run full.
    evictionHard: {
      'nodefs.available': '1%',
      'imagefs.available': '1%',
      'memory.available': '100Mi',
    },
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: '3s',
    volumePluginDir: join(dir, 'volume-plugins'),
    podLogsDir: join(dir, 'pod-logs'),
  };
}

function proxyConfig({ name }: NodePlace): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clientConnection: { kubeconfig: runFile('kubeconfig') },
    clusterCIDR: `${POD_RANGE},${POD_RANGE_6}`,
    // The limits belong to the machine, not to the namespace.
    conntrack: { maxPerCore: 0 },
    hostnameOverride: name,
  };
}
