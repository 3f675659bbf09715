/**
 * `npm run generate`: writes code and image from the .proto files, from the operator's tables what
 * Kubernetes gets, and the reference of the client from its sources. A change that would break
 * present clients is refused; `npm run generate -- --breaking` accepts it deliberately.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled, fail, root } from './install.mjs';
import { generateKubeFiles } from './kube-files.mjs';
import { generateReference } from './reference.mjs';
import { CODE, IMAGE, checkBreaking, filesBelow, generateInto } from './proto.mjs';

ensureInstalled();
if (existsSync(join(root, IMAGE)) && !process.argv.includes('--breaking')) {
  const { code, output } = await checkBreaking();
  if (code !== 0) {
    fail(`This breaks present clients; "npm run generate -- --breaking" accepts it:\n${output}`);
  }
}
await generateInto(root).catch((error) => fail(error.message));
const files = filesBelow(join(root, CODE)).length;
console.log(`wrote ${files} files to ${CODE}, and ${IMAGE}`);
await generateReference();
console.log('wrote docs/client-reference.md');
const kubeFiles = await generateKubeFiles().catch((error) => fail(error.message));
console.log(`wrote ${kubeFiles} files to crds and charts/tidemark`);
