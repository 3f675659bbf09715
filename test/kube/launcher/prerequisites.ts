/** What a machine must have before a cluster can be started on it, each with how to get it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { whyNoCgroups } from './cgroups.ts';
import { missingPrograms } from './programs.ts';
import { PATH, tryRun } from './run.ts';

/** Program, and the package of Debian that has it. */
const TOOLS: readonly (readonly [string, string])[] = [
  ['containerd', 'containerd'],
  ['ctr', 'containerd'],
  ['runc', 'runc'],
  ['iptables', 'iptables'],
  ['ip', 'iproute2'],
  ['conntrack', 'conntrack'],
  ['nsenter', 'util-linux'],
  ['unshare', 'util-linux'],
  ['mount', 'mount'],
  ['buildah', 'buildah'],
  ['debootstrap', 'debootstrap'],
  ['npm', 'npm'],
  ['tar', 'tar'],
];
const NETWORK_PLUGINS = ['ptp', 'host-local', 'loopback'];
const NETWORK_PLUGINS_DIR = '/usr/lib/cni';
const GO_MINOR_MIN = 25;

/** Everything that is missing, in words. Empty: a cluster can be started. */
export async function missingPrerequisites(): Promise<string[]> {
  if (process.platform !== 'linux') return [`Linux (this is ${process.platform})`];
  const missing: string[] = [];
  if (process.getuid?.() !== 0) missing.push('root');
  for (const [tool, debian] of TOOLS)
    if (!isOnPath(tool)) missing.push(`the program "${tool}" (apt-get install ${debian})`);
  for (const plugin of NETWORK_PLUGINS)
    if (!existsSync(join(NETWORK_PLUGINS_DIR, plugin)))
      missing.push(
        `the network plugin ${NETWORK_PLUGINS_DIR}/${plugin} (apt-get install containernetworking-plugins)`,
      );
  if (missing.length > 0) return missing;
  const cgroups = whyNoCgroups();
  if (cgroups !== undefined) missing.push(`writable cgroups: ${cgroups}`);
  const namespaces = await tryRun('unshare', ['--net', '--mount', 'true']);
  if (namespaces.code !== 0)
    missing.push(`the right to make namespaces (${namespaces.stderr.trim()})`);
  if (missingPrograms().length > 0) missing.push(...(await missingGo()));
  return missing;
}

function isOnPath(tool: string): boolean {
  return PATH.split(':').some((folder) => folder !== '' && existsSync(join(folder, tool)));
}

async function missingGo(): Promise<string[]> {
  const needed = `Go 1.${GO_MINOR_MIN} or newer, to build ${missingPrograms().join(', ')}`;
  const { code, stdout } = await tryRun('go', ['env', 'GOVERSION']);
  if (code !== 0) return [`${needed} (there is none: https://go.dev/dl)`];
  const minor = Number(/^go1[.](?<minor>\d+)/.exec(stdout)?.groups?.['minor'] ?? 0);
  return minor >= GO_MINOR_MIN ? [] : [`${needed} (this is ${stdout.trim()})`];
}
