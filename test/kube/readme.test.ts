/**
 * README and the chart's notes, word for word: whoever follows them in a namespace with restricted
 * pod security, a quota and a policy that denies has a record appended and read, from a pod and
 * through one forwarded port. The network of the launcher carries out no policies.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../cluster/harness/child.ts';
import { type Kube, useKube } from './harness.ts';
import { tryRun } from './launcher/run.ts';
import { CONTROL, programPath, runFile } from './launcher/settings.ts';

/** What a platform puts into a namespace before anybody else comes. */
const PLATFORM = [
  {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'platform' },
    // Pods without requests and a limit of memory are refused.
    spec: {
      hard: {
        'requests.cpu': '4',
        'requests.memory': '8Gi',
        'limits.memory': '12Gi',
        'requests.storage': '100Gi',
        persistentvolumeclaims: '10',
      },
    },
  },
  {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'deny' },
    spec: { podSelector: {}, policyTypes: ['Ingress'] },
  },
];

/** Indented lines of a section, as they stand there. */
function commandsOf(file: string, heading: string): string {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const [, rest = ''] = text.split(`\n## ${heading}\n`);
  const [section = ''] = rest.split('\n## ');
  const lines = section.split('\n').filter((line) => line.startsWith('    '));
  return lines.map((line) => line.slice(4)).join('\n');
}

/** From the first command of the notes on; what stands between commands is left out. */
function commandsOfNotes(notes: string): string {
  let end = '';
  const isCommand = (line: string): boolean => {
    if (end !== '') {
      if (line === end) end = '';
      return true;
    }
    [, end = ''] = /<<(\w+)$/.exec(line) ?? [];
    return /^(kubectl|helm) /.test(line);
  };
  return notes.split('\n').filter(isCommand).join('\n');
}

describe('README and notes', () => {
  const scene = useKube(
    async (kube) => {
      await kube.apply(...PLATFORM);
      return kube;
    },
    { needs: 'launched' },
  );

  /** A shell in the checkout whose kubectl speaks of the namespace. Resolves to what it printed. */
  async function follow(kube: Kube, commands: string): Promise<string> {
    const [, repository = '', tag = ''] = /^(.*):([^:/]+)$/.exec(kube.image) ?? [];
    const given = commands.replace('<yours>', repository).replace('<yours>', tag);
    expect(given).not.toContain('<yours>');
    const config = runFile('readme.kubeconfig');
    const script = [
      'set -eu -o pipefail',
      `cp ${runFile('kubeconfig')} ${config}`,
      `kubectl config set-context --current --namespace=${kube.namespace} > /dev/null`,
      given,
    ].join('\n');
    const shell = [`--net=/run/netns/${CONTROL}`, 'bash', '-c', `set -m\n${script}`];
    const path = `${dirname(programPath('kubectl'))}:${process.env['PATH']}`;
    const env = { KUBECONFIG: config, PATH: path };
    const { code, stdout, stderr } = await tryRun('nsenter', shell, { cwd: ROOT, env });
    if (code !== 0)
      throw new Error(`ended with ${code}:\n${stdout}\n${stderr}\n${await kube.diagnosis()}`);
    return stdout;
  }

  it('lead to the first record, from a pod and from a laptop', async () => {
    const kube = scene();
    const commands = commandsOf('README.md', 'On Kubernetes');
    expect(commands).toContain('helm install');
    const said = await follow(kube, commands);
    const [fromPod, fromLaptop] = said.split('met\n')[1]!.split('world');
    expect(fromPod).toContain('hello');
    expect(fromLaptop).toBeDefined();
  });

  it('lead from the notes of the release to its own test', async () => {
    const kube = scene();
    await kube.kubectl('delete', 'logcluster', 'orders', '--wait');
    const notes = commandsOfNotes(await kube.helm('get', 'notes', 'tidemark'));
    const said = await follow(kube, notes);
    expect(said).toMatch(/Phase: +Succeeded/);
    // As `crds.keep` says, definitions outlive the release: another one of these tests has its own.
    await kube.kubectl('delete', 'logcluster', '--all', '--wait');
    await kube.helm('uninstall', 'tidemark', '--wait', '--timeout=90s');
    const kinds = ['logclusters', 'logtopics', 'logaccesses'];
    await kube.kubectl('delete', 'crd', ...kinds.map((kind) => `${kind}.tidemark.dev`));
  });
});
