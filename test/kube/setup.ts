/**
 * Before the tests on Kubernetes: brings a cluster up with the image of this checkout on every
 * node, or finds out why it cannot; after them, removes it. KUBECONFIG names another cluster to
 * use; TIDEMARK_IMAGE is then the image that its nodes have or can pull.
 */
import type { TestProject } from 'vitest/node';
import type { Provided } from './cluster.ts';
import { buildImage, loadImage } from './launcher/image.ts';
import { down, up } from './launcher/launcher.ts';
import { missingPrerequisites } from './launcher/prerequisites.ts';
import { missingPrograms } from './launcher/programs.ts';

const IMAGE_DEFAULT = 'tidemark:test';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const named = process.env['KUBECONFIG'] ?? '';
  if (named !== '') {
    provide(project, { kind: 'named', image: process.env['TIDEMARK_IMAGE'] ?? IMAGE_DEFAULT });
    return () => Promise.resolve();
  }
  const reason = await whyNot();
  if (reason !== undefined) {
    provide(project, { kind: 'none', reason });
    return () => Promise.resolve();
  }
  const image = await buildImage();
  await up((step) => console.log(`  ${step}`));
  try {
    await loadImage(image);
  } catch (error) {
    await down();
    throw error;
  }
  provide(project, { kind: 'launched', image });
  return down;
}

function provide(project: TestProject, provided: Provided): void {
  project.provide('kube', provided);
}

/**
 * Why no cluster can be started here; undefined where one can. Building Kubernetes takes minutes,
 * so it is done only where it was asked for.
 */
async function whyNot(): Promise<string | undefined> {
  const missing = await missingPrerequisites();
  if (missing.length > 0) return `a Kubernetes of its own needs ${missing.join('; ')}`;
  if (process.env['TIDEMARK_KUBE_BUILD'] === '1' || missingPrograms().length === 0)
    return undefined;
  return 'the programs of Kubernetes are not built yet; "npm run test:kube" builds them, once, in about 12 minutes';
}
