import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { readBuildInfo, showBuildInfo } from '../../../process/build-info.ts';

const { version } = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
) as { version: string };
const COMMIT = '324ef36a0869db1695b848e913bd6126521000aa';

it.each([
  [COMMIT, COMMIT],
  ['324ef36', '324ef36'],
  [undefined, ''],
  ['', ''],
  ['main', ''],
  ['324ef36"} 1\nfalse_series 2', ''],
])('readBuildInfo() takes commit %j as "%s"', (given, commit) => {
  expect(readBuildInfo({ TIDEMARK_COMMIT: given })).toEqual({
    version,
    commit,
    node: process.versions.node,
  });
});

it('showBuildInfo() makes one series of what runs', async () => {
  const registry = new Registry();
  const info = { version: '1.2.3', commit: '', node: '26.0.0' };
  showBuildInfo(registry, info, { component: 'broker', feature_level: '8' });
  const lines = (await registry.metrics()).trimEnd().split('\n');
  expect(lines.at(-1)).toBe(
    'tidemark_build_info{version="1.2.3",commit="",node="26.0.0",component="broker",feature_level="8"} 1',
  );
});
