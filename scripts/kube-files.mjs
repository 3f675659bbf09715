/** Generated files for Kubernetes: writes them, or compares them with what is committed. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pinnedNode, root } from './install.mjs';
import { capture } from './process.mjs';

/** Resolves to texts by path. Throws with what the program said where it fails. */
async function render() {
  const { code, output } = await capture(pinnedNode(), [join(root, 'scripts', 'kube-render.mjs')], {
    cwd: root,
  });
  if (code !== 0) throw new Error(`scripts/kube-render.mjs failed:\n${output}`);
  return Object.entries(JSON.parse(output));
}

/** Writes every file. Resolves to their number. */
export async function generateKubeFiles() {
  const files = await render();
  for (const [path, text] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return files.length;
}

/**
 * Resolves to exit code and output: 1 with the names of the files that are not what the sources
 * give.
 */
export async function checkKubeFiles() {
  try {
    const stale = (await render())
      .filter(([path, text]) => {
        const file = join(root, path);
        return !existsSync(file) || readFileSync(file, 'utf8') !== text;
      })
      .map(([path]) => path);
    if (stale.length === 0) return { code: 0, output: '' };
    return {
      code: 1,
      output: `not what the sources give; run "npm run generate":\n  ${stale.join('\n  ')}\n`,
    };
  } catch (error) {
    return { code: 1, output: error.message };
  }
}
