/**
 * What is generated from the .proto files: TypeScript (proto/gen) and the descriptor image
 * (proto/tidemark.binpb). The image serves gRPC reflection, and it is what `buf breaking` holds
 * later changes against.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { root } from './install.mjs';
import { capture } from './process.mjs';

const bin = join(root, 'node_modules', '.bin');
// buf finds its plugin, and the plugin its Node, by PATH: ours come first.
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
export const IMAGE = join('proto', 'tidemark.binpb');
export const CODE = join('proto', 'gen');

/** Runs buf in the project's folder. Resolves to exit code and output. */
export function buf(...args) {
  return capture(join(bin, 'buf'), args, { cwd: root, env });
}

/** Compares the .proto files with the committed image. Resolves to exit code and output. */
export async function checkBreaking() {
  if (!existsSync(join(root, IMAGE)))
    return { code: 1, output: `${IMAGE} is missing: run "npm run generate"` };
  return buf('breaking', '--against', IMAGE);
}

/** Appended to code that sends messages. */
const AS_BUFFER = `
/** The same bytes as a Buffer, without the copy that \`Buffer.from(bytes)\` makes. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
`;

/**
 * Takes two costs out of generated code: a copy of every message sent, and a string for every
 * 64-bit number read.
 */
function withoutWaste(code) {
  const changed = code
    .replaceAll(/Buffer\.from\((\w+\.encode\(value\)\.finish\(\))\)/g, 'asBuffer($1)')
    .replaceAll('globalThis.Number(int64.toString())', 'globalThis.Number(int64)');
  return changed.includes('asBuffer(') ? changed + AS_BUFFER : changed;
}

/** Writes code and image below `folder`. Throws with buf's output where it fails. */
export async function generateInto(folder) {
  const steps = [
    ['generate', '--clean', '--output', folder],
    ['build', '--as-file-descriptor-set', '--exclude-source-info', '--output', join(folder, IMAGE)],
  ];
  for (const step of steps) {
    const { code, output } = await buf(...step);
    if (code !== 0) throw new Error(`buf ${step[0]} failed:\n${output}`);
  }
  for (const name of filesBelow(join(folder, CODE))) {
    const file = join(folder, CODE, name);
    writeFileSync(file, withoutWaste(readFileSync(file, 'utf8')));
  }
}

/** Paths of all files below a folder, relative to it. */
export function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)));
}

function isSame(left, right) {
  return existsSync(left) && existsSync(right) && readFileSync(left).equals(readFileSync(right));
}

/** Generates into a temporary folder and compares it with what is committed. */
export async function checkFresh() {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-generate-'));
  try {
    await generateInto(folder);
    const names = new Set(
      [...filesBelow(join(folder, CODE)), ...filesBelow(join(root, CODE))].map((name) =>
        join(CODE, name),
      ),
    );
    names.add(IMAGE);
    const stale = [...names].filter((name) => !isSame(join(folder, name), join(root, name)));
    if (stale.length === 0) return { code: 0, output: '' };
    return {
      code: 1,
      output: `not what the .proto files give; run "npm run generate":\n  ${stale.join('\n  ')}\n`,
    };
  } catch (error) {
    return { code: 1, output: error.message };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
