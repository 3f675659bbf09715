/**
 * Network namespaces: one for the control plane, one for each node, joined by a bridge. Nothing
 * outside of them is touched.
 */
import { run, type RunResult, tryRun } from './run.ts';
import {
  BRIDGE,
  CONTROL,
  CONTROL_ADDRESS,
  CONTROL_ADDRESS_6,
  NODES,
  type NodePlace,
  PREFIX,
} from './settings.ts';

/** Runs a program inside a network namespace. */
export function inNamespace(netns: string, command: readonly string[]): Promise<string> {
  return run('nsenter', [`--net=/run/netns/${netns}`, ...command]);
}

async function ip(netns: string, command: string): Promise<void> {
  await run('ip', ['-n', netns, ...command.split(' ')]);
}

async function forwardPackets(netns: string): Promise<void> {
  const files = ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'];
  for (const file of files)
    await inNamespace(netns, ['sh', '-c', `echo 1 > /proc/sys/net/${file}`]);
}

export async function makeNetwork(): Promise<void> {
  for (const netns of [CONTROL, ...NODES.map((node) => node.netns)]) {
    await run('ip', ['netns', 'add', netns]);
    await ip(netns, 'link set lo up');
    await forwardPackets(netns);
  }
  await ip(CONTROL, `link add ${BRIDGE} type bridge`);
  await ip(CONTROL, `addr add ${CONTROL_ADDRESS}/24 dev ${BRIDGE}`);
  // Nobody else can have the address: it need not be looked for first.
  await ip(CONTROL, `addr add ${CONTROL_ADDRESS_6}/64 dev ${BRIDGE} nodad`);
  await ip(CONTROL, `link set ${BRIDGE} up`);
  for (const node of NODES) await plugIn(node);
}

async function plugIn(node: NodePlace): Promise<void> {
  const { netns, cable, address, podRange, address6, podRange6 } = node;
  await ip(CONTROL, `link add ${cable} type veth peer name eth0 netns ${netns}`);
  await ip(CONTROL, `link set ${cable} master ${BRIDGE}`);
  await ip(CONTROL, `link set ${cable} up`);
  await ip(netns, `addr add ${address}/24 dev eth0`);
  await ip(netns, `addr add ${address6}/64 dev eth0 nodad`);
  await ip(netns, 'link set eth0 up');
  await ip(netns, `route add default via ${CONTROL_ADDRESS}`);
  await ip(netns, `-6 route add default via ${CONTROL_ADDRESS_6}`);
  await ip(CONTROL, `route add ${podRange} via ${address}`);
  await ip(CONTROL, `-6 route add ${podRange6} via ${address6}`);
  for (const other of NODES.filter((each) => each.netns !== netns)) {
    await ip(netns, `route add ${other.podRange} via ${other.address}`);
    await ip(netns, `-6 route add ${other.podRange6} via ${other.address6}`);
  }
}

/** Takes a node's network away: everything on it goes on running and hears from nobody. */
export async function cut(node: NodePlace): Promise<void> {
  await ip(CONTROL, `link set ${node.cable} down`);
}

export async function heal(node: NodePlace): Promise<void> {
  await ip(CONTROL, `link set ${node.cable} up`);
}

/** Removes all namespaces of the cluster, also those of a run that crashed. */
export async function removeNetwork(): Promise<void> {
  const { stdout } = await tryRun('ip', ['netns', 'list']);
  const names = stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  for (const name of names)
    if (name.startsWith(`${PREFIX}-`)) await run('ip', ['netns', 'delete', name]);
}

/** A machine beside the nodes: it reaches them, and no pod and no Service of the cluster's own. */
const OUTSIDE = `${PREFIX}-out`;
const OUTSIDE_ADDRESS = '198.19.64.200';
const OUTSIDE_CABLE = 'v9';

/** Plugs that machine in; harmless when repeated. Removed with the cluster. */
export async function plugInOutside(): Promise<void> {
  const { stdout } = await tryRun('ip', ['netns', 'list']);
  if (stdout.split('\n').some((line) => line.split(' ')[0] === OUTSIDE)) return;
  await run('ip', ['netns', 'add', OUTSIDE]);
  await ip(OUTSIDE, 'link set lo up');
  await ip(CONTROL, `link add ${OUTSIDE_CABLE} type veth peer name eth0 netns ${OUTSIDE}`);
  await ip(CONTROL, `link set ${OUTSIDE_CABLE} master ${BRIDGE}`);
  await ip(CONTROL, `link set ${OUTSIDE_CABLE} up`);
  await ip(OUTSIDE, `addr add ${OUTSIDE_ADDRESS}/24 dev eth0`);
  await ip(OUTSIDE, 'link set eth0 up');
}

/** That machine sends packets for an address to a node, as a load balancer's would come. */
export async function routeOutside(address: string, node: NodePlace): Promise<void> {
  await ip(OUTSIDE, `route replace ${address}/32 via ${node.address}`);
}

/** Takes that way back: there is no other. */
export async function unrouteOutside(address: string): Promise<void> {
  await ip(OUTSIDE, `route delete ${address}/32`);
}

/** Runs a program on that machine. Resolves however it ended. */
export function runOutside(command: readonly string[]): Promise<RunResult> {
  return tryRun('nsenter', [`--net=/run/netns/${OUTSIDE}`, ...command]);
}
