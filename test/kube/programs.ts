/** Programs that pods of the tests run, as files that need nothing beside them. */
import { basename, join } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import { ROOT } from '../cluster/harness/child.ts';

/** Folder of the pods in which they are. */
export const PROGRAMS_DIR = '/programs';

const NAMES = ['call', 'dying-operator', 'load'] as const;

/** CommonJS packages inside an ES module ask for Node's own modules by `require`. */
const BANNER =
  "import { createRequire as createRequireOfBundle } from 'node:module';\n" +
  'const require = createRequireOfBundle(import.meta.url);';

/** Small, since a ConfigMap holds 1 MiB. */
const OPTIONS = {
  absWorkingDir: ROOT,
  outdir: join(ROOT, 'pods'),
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  target: 'node26',
  external: ['@kubernetes/client-node'],
  banner: { js: BANNER },
  write: false,
  logLevel: 'warning',
} as const satisfies BuildOptions;

/** Resolves to names and texts; what programs share is a file of its own. */
export async function programFiles(): Promise<[string, string][]> {
  const { outputFiles } = await build({
    ...OPTIONS,
    entryPoints: NAMES.map((name) => `test/kube/pod/${name}.ts`),
    outExtension: { '.js': '.mjs' },
    splitting: true,
  });
  return outputFiles.map(({ path, text }) => [basename(path), text]);
}

/** Command of one of them. */
export function programCommand(name: (typeof NAMES)[number]): string[] {
  return ['node', `${PROGRAMS_DIR}/${name}.mjs`];
}

/** Resolves to the operator's program, made with another text of one source. */
export async function operatorWith(source: string, contents: string): Promise<string> {
  const path = join(ROOT, source);
  const { outputFiles } = await build({
    ...OPTIONS,
    entryPoints: ['operator/main.ts'],
    plugins: [
      {
        name: 'other-source',
        setup: (building) =>
          building.onLoad({ filter: /\.ts$/ }, (loaded) =>
            loaded.path === path ? { contents, loader: 'ts' } : undefined,
          ),
      },
    ],
  });
  return outputFiles[0]?.text ?? '';
}
