/**
 * The package as a stranger meets it: packed, installed into an empty project, and every program of
 * the documents compiled and run there against a cluster.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pack } from '../../scripts/pack.mjs';
import { command, ROOT } from './harness/child.ts';
import { TestCluster } from './harness/cluster.ts';
import { programsInDocuments } from './harness/documents.ts';

const PACKED_BYTES_MAX = 5 * 1024 * 1024;
/** The oldest Node that the package promises to run on. */
const NODE_MIN = '22.15.0';
/** Where documents say that a cluster listens. */
const SERVERS_IN_DOCUMENTS = /127\.0\.0\.1:964\d(,\s*127\.0\.0\.1:964\d)*/g;
const PACKAGED = [
  /^(package\.json|LICENSE|README\.md)$/,
  /^lib\/(client|cli|chunks)\/[\w-]+\.js$/,
  /^lib\/types\/(base|client|process\/system-clock|proto|wire)[\w/.-]*\.d\.ts$/,
];

const programs = programsInDocuments();

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

describe('the package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-package-'));
  const project = join(folder, 'project');
  let packed = '';
  let cluster: TestCluster;

  /** From npm's cache where that has it. */
  const npm = (...args: readonly string[]) =>
    command('npm', [...args, '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'])
      .result;

  beforeAll(async () => {
    cluster = await TestCluster.start();
    await cluster.admin.createTopic({ name: 'orders', partitions: 3, replicationFactor: 3 });
    await cluster.waitInSync('orders');
    packed = await pack(folder);
    mkdirSync(project);
    writeFileSync(
      join(project, 'package.json'),
      '{"name":"project","type":"module","private":true}',
    );
    const installed = await npm('install', '--prefix', project, packed);
    expect(installed, installed.stderr).toMatchObject({ code: 0 });
  }, 240_000);

  afterAll(async () => {
    await cluster.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('holds the client and the command, and nothing else', () => {
    const content = join(folder, 'package');
    const files = filesBelow(content);
    expect(files.filter((file) => !PACKAGED.some((pattern) => pattern.test(file)))).toEqual([]);
    expect(statSync(packed).size).toBeLessThan(PACKED_BYTES_MAX);
    const texts = files.map((file) => ({ file, text: readFileSync(join(content, file), 'utf8') }));
    // The bundler names the sources of what it takes.
    const foreign = texts.filter(({ text }) => /^\/\/ (broker|operator|local|test)\//m.test(text));
    expect(foreign.map(({ file }) => file)).toEqual([]);
    const typed = texts.filter(({ file }) => file.endsWith('.d.ts'));
    const unresolved = typed.filter(({ text }) => /from ['"][^'"]*(?<!\.d)\.ts['"]/.test(text));
    expect(unresolved.map(({ file }) => file)).toEqual([]);
  });

  it('compiles every program of the documents, strictly', async () => {
    expect(programs.length).toBeGreaterThan(0);
    for (const { name, code } of programs) {
      const text = code.replaceAll(SERVERS_IN_DOCUMENTS, cluster.servers.join(','));
      writeFileSync(join(project, `${name}.ts`), text);
    }
    const compilerOptions = {
      strict: true,
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2024', 'esnext.disposable'],
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules', '@types')],
    };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const compiled = await command(process.execPath, [tsc, '--project', project]).result;
    expect(compiled, compiled.stdout.toString()).toMatchObject({ code: 0 });
  });

  it.for(programs)('runs the program at $place', async ({ name }) => {
    const ran = await command(process.execPath, [join(project, `${name}.js`)]).result;
    expect(ran, `${ran.stderr}\n${ran.stdout.toString()}`).toMatchObject({ code: 0 });
  });

  it(`runs them on Node ${NODE_MIN} too`, async (context) => {
    const home = join(folder, 'node');
    const name = `node-${process.platform}-${process.arch}`;
    const got = await npm('install', '--prefix', home, `${name}@${NODE_MIN}`);
    if (got.code !== 0) context.skip(`npm has no ${name}@${NODE_MIN} here`);
    const node = join(home, 'node_modules', name, 'bin', 'node');
    const said = await command(node, ['--version']).result;
    expect(said.stdout.toString().trim()).toBe(`v${NODE_MIN}`);
    // Topics that the programs made, they make again.
    const made = await cluster.admin.listTopics();
    for (const { name: topic } of made)
      if (topic !== 'orders') await cluster.admin.deleteTopic(topic);
    // A group stays where it was in a topic that is no more.
    const groups = cluster.client.groups();
    for (const { group } of await groups.list()) await groups.delete(group);
    for (const { place, name: file } of programs) {
      const ran = await command(node, [join(project, `${file}.js`)]).result;
      expect(ran, `${place}\n${ran.stderr}`).toMatchObject({ code: 0 });
    }
  });

  it('puts the command on a PATH', async () => {
    const prefix = join(folder, 'global');
    const installed = await npm('install', '--global', '--prefix', prefix, packed);
    expect(installed, installed.stderr).toMatchObject({ code: 0 });
    const tidemark = join(prefix, 'bin', 'tidemark');
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      readonly version: string;
    };
    const env = { TIDEMARK_SERVER: cluster.servers.join(',') };
    const told = await command(tidemark, ['--version'], { env }).result;
    expect(told.stdout.toString()).toBe(`${version}\n`);
    const listed = await command(tidemark, ['topic', 'list', '--output', 'json'], { env }).result;
    expect(listed, listed.stderr).toMatchObject({ code: 0 });
    const topics = JSON.parse(listed.stdout.toString()) as readonly { readonly name: string }[];
    expect(topics.find(({ name }) => name === 'orders')).toMatchObject({
      config: { commitMode: 'in-sync' },
    });
  });
});
