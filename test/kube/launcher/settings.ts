/**
 * Names, addresses, versions and folders of the Kubernetes that the tests start. Everything it does
 * on the network stays in namespaces of its own and in 198.19.64.0/18, a part of the range that RFC
 * 2544 keeps for measurements inside one machine; addresses of IPv6 are in fd00:198:19::/48, which
 * is routed nowhere (RFC 4193).
 */
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** Versions of what is built. The staging modules of Kubernetes 1.x.y are published as 0.x.y. */
export const KUBERNETES_VERSION = '1.35.4';
export const STAGING_VERSION = '0.35.4';
export const COREDNS_VERSION = '1.12.4';

/**
 * Prefix of network namespaces and cgroups: whatever carries it belongs to this cluster. Two
 * checkouts run two clusters at once under two of them.
 */
export const PREFIX = process.env['TIDEMARK_KUBE_PREFIX'] ?? 'tdk';

const cache = join(homedir(), '.cache', 'tidemark-kube');

/** Programs that are built once, and the sources they are built from. */
export const BIN_DIR = process.env['TIDEMARK_KUBE_BIN'] ?? join(cache, 'bin');
/** Storage of buildah: the stand-in for `node:26-slim`, and the layers of the project's image. */
export const IMAGES_DIR = process.env['TIDEMARK_KUBE_IMAGES'] ?? join(cache, 'images');
/** Everything else of one running cluster: keys, logs, volumes. Removed with it. */
export const RUN_DIR = process.env['TIDEMARK_KUBE_RUN'] ?? join(tmpdir(), `${PREFIX}-kube`);

/** The image that is built from the checkout. */
export const IMAGE = `docker.io/library/tidemark:${PREFIX}`;
/** Clients in Python. */
export const PYTHON_IMAGE = `docker.io/library/tidemark-python:${PREFIX}`;
export const BASE_IMAGE = 'docker.io/library/node:26-slim';
export const PAUSE_IMAGE = 'registry.k8s.io/pause:3.10';

/** The namespace of etcd, API server, controller manager, scheduler and DNS. */
export const CONTROL = `${PREFIX}-cp`;
export const BRIDGE = 'br0';

export const CONTROL_ADDRESS = '198.19.64.1';
export const POD_RANGE = '198.19.64.0/19';
export const SERVICE_RANGE = '198.19.96.0/24';
export const CONTROL_ADDRESS_6 = 'fd00:198:19:64::1';
export const POD_RANGE_6 = 'fd00:198:19:100::/56';
export const SERVICE_RANGE_6 = 'fd00:198:19:96::/112';
export const DNS_ADDRESS = '198.19.96.10';
export const API_PORT = 6443;
export const API_URL = `https://${CONTROL_ADDRESS}:${API_PORT}`;

/** Local volumes of each node. A claim uses one up: nothing is deleted while the cluster runs. */
export const VOLUMES_PER_NODE = 40;
export const VOLUME_SIZE = '20Gi';

/** One node: a network namespace, a containerd, a kubelet and a kube-proxy. */
export interface NodePlace {
  readonly name: string;
  readonly zone: string;
  readonly netns: string;
  /** The control plane's end of its network cable. */
  readonly cable: string;
  readonly address: string;
  readonly podRange: string;
  readonly address6: string;
  readonly podRange6: string;
  readonly dir: string;
  readonly socket: string;
}

export const NODES: readonly NodePlace[] = [1, 2, 3].map((number) => {
  const dir = join(RUN_DIR, `n${number}`);
  return {
    name: `n${number}`,
    zone: `z${number}`,
    netns: `${PREFIX}-n${number}`,
    cable: `v${number}`,
    address: `198.19.64.${10 + number}`,
    podRange: `198.19.${64 + number}.0/24`,
    address6: `fd00:198:19:64::${10 + number}`,
    podRange6: `fd00:198:19:10${number}::/64`,
    dir,
    socket: join(dir, 'containerd.sock'),
  };
});

/** @throws Error that names the nodes there are */
export function nodeNamed(name: string): NodePlace {
  const found = NODES.find((node) => node.name === name);
  if (found === undefined)
    throw new Error(
      `there is no node "${name}", only ${NODES.map((node) => node.name).join(', ')}`,
    );
  return found;
}

/** Path in the run folder. */
export function runFile(...names: readonly string[]): string {
  return join(RUN_DIR, ...names);
}

export function programPath(name: string): string {
  return join(BIN_DIR, name);
}
