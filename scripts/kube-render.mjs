/**
 * Prints, as JSON from path to text, every file that is generated for Kubernetes: the
 * CustomResourceDefinitions and their copies in the chart, and the chart's README. Runs on the
 * pinned Node, since it loads the operator's tables; scripts/kube-files.mjs starts it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dump } from 'js-yaml';
import { definitions } from '../operator/api/crds.ts';
import { chartReadme } from './chart-readme.mjs';
import { root } from './install.mjs';

const CHART = 'charts/tidemark';
const HEADER = '# Generated from operator/api by "npm run generate"; not edited by hand.\n';

const files = {};
for (const { fileName, crd } of definitions()) {
  const text = HEADER + dump(crd, { lineWidth: -1, noRefs: true });
  files[`crds/${fileName}`] = text;
  // A chart cannot read files outside its folder.
  files[`${CHART}/files/crds/${fileName}`] = text;
}
files[`${CHART}/README.md`] = chartReadme({
  values: readFileSync(join(root, CHART, 'values.yaml'), 'utf8'),
  intro: readFileSync(join(root, CHART, 'README.md.in'), 'utf8'),
});
process.stdout.write(JSON.stringify(files));
