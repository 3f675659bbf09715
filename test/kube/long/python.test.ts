/** A program in Python, in a pod that holds nothing of Tidemark but code that protoc generated. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ensurePython, RUNTIME } from '../../../scripts/python.mjs';
import { ROOT } from '../../cluster/harness/child.ts';
import { type Pod, useKube } from '../harness.ts';
import { buildPythonImage, loadImage } from '../launcher/image.ts';
import { run } from '../launcher/run.ts';
import { programPod } from '../objects.ts';
import { OperatedCluster } from '../operated.ts';

/** Python of the Debian release that the image is made from; this machine may have another one. */
const VERSION = '3.11';
const PROTOS = ['errors', 'losses', 'records', 'log'].map((name) => `tidemark/v1/${name}.proto`);
const RECORDS = 200;
const POD = 'python';

/** An image with the program. */
async function makeImage(python: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-python-image-'));
  try {
    const into = ['--target', folder, '--python-version', VERSION, '--only-binary=:all:'];
    await run(python, ['-m', 'pip', 'install', '--quiet', ...into, ...RUNTIME]);
    const proto = join(ROOT, 'proto');
    const out = [`--python_out=${folder}`, `--grpc_python_out=${folder}`];
    await run(python, ['-m', 'grpc_tools.protoc', '-I', proto, ...out, ...PROTOS]);
    copyFileSync(join(ROOT, 'test/kube/pod/service.py'), join(folder, 'service.py'));
    return await buildPythonImage(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('a pod with a client in Python', () => {
  const scene = useKube(
    async (kube) => {
      const cluster = new OperatedCluster(kube);
      await cluster.start();
      return { kube, cluster };
    },
    { needs: 'launched' },
  );

  it('appends and reads through the name of the Service', async (context) => {
    const environment = ensurePython();
    if ('missing' in environment) return context.skip(environment.missing);
    const image = await makeImage(environment.python);
    await loadImage(image);
    const { kube, cluster } = scene();
    await cluster.createTopic('letters', '--partitions', '3');
    const program = ['python3', '/opt/client/service.py'];
    const args = [cluster.server, 'letters', `${RECORDS}`];
    await kube.apply(programPod(POD, image, [...program, ...args]));
    const phase = await kube.wait('the program to end', async (note) => {
      const { status } = await kube.get<Pod>('pod', POD);
      note(status);
      return ['Succeeded', 'Failed'].includes(status.phase) ? status.phase : undefined;
    });
    const said = await kube.kubectl('logs', POD);
    expect(phase, said).toBe('Succeeded');
    expect(JSON.parse(said)).toEqual({ errors: [], isWhole: true });
    const read = await kube.tidemark(cluster.server, ['read', 'letters', '--format', 'raw']);
    expect(read.trimEnd().split('\n')).toHaveLength(RECORDS);
  });
});
