import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newAuthority } from '../../../../process/certificates.ts';
import { type Ran, runCli } from './run.ts';

let home: string;
let file: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidemark-profiles-'));
  file = join(home, '.config', 'tidemark', 'profiles.json');
});

afterEach(() => rm(home, { recursive: true }));

function cli(args: string, env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return runCli(args.split(' '), { env: { HOME: home, ...env } });
}

async function json(args: string, env: Readonly<Record<string, string>> = {}): Promise<unknown> {
  const { stdout } = await cli(`${args} --output json`, env);
  return JSON.parse(stdout) as unknown;
}

async function write(content: unknown): Promise<void> {
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
}

describe('profile', () => {
  it('keeps profiles in a file that only its owner reads, and no other file', async () => {
    expect(await cli('profile set a --server x:1')).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await cli('profile set b --server y:2,z:3')).toMatchObject({ exitCode: 0 });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(file, '..'))).toEqual(['profiles.json']);
    expect(await json('profile list')).toEqual([
      { name: 'a', server: 'x:1', inUse: false },
      { name: 'b', server: 'y:2,z:3', inUse: false },
    ]);
    expect(await json('profile show b')).toMatchObject({ server: 'y:2,z:3', file });
    await cli('profile use b');
    await cli('profile delete b');
    expect(await json('profile list')).toEqual([{ name: 'a', server: 'x:1', inUse: false }]);
  });

  it('names them to completion, which asks no cluster and shows no errors', async () => {
    const named = (stdout: string): Ran => ({ exitCode: 0, stdout, stderr: '' });
    expect(await cli('__complete profiles')).toEqual(named(''));
    await cli('profile set b --server x:1');
    await cli('profile set a --server y:2');
    expect(await cli('__complete profiles --profile nowhere')).toEqual(named('a\nb\n'));
    await write('no JSON');
    expect(await cli('__complete profiles')).toEqual(named(''));
  });

  it('keeps files of TLS with their cluster, wherever a command starts', async () => {
    const ca = join(home, 'ca.crt');
    const missing = await cli(`profile set a --server x:1 --tls-ca ${ca}`);
    expect(missing).toMatchObject({ exitCode: 2 });
    expect(missing.stderr).toContain(`Cannot read the TLS file "${ca}"`);
    await writeFile(ca, newAuthority({ commonName: 'ca' }).cert);
    expect(await cli(`profile set a --server x:1 --tls-ca ${ca}`)).toMatchObject({ exitCode: 0 });
    expect(await json('profile show a')).toMatchObject({ server: 'x:1', tlsCa: ca });
    // The profile's own file, not that of the environment.
    await rm(ca);
    const { stderr } = await cli('topic list --profile a', { TIDEMARK_TLS_CA: '/nowhere' });
    expect(stderr).toContain(`Cannot read the TLS file "${ca}"`);
    const other = await cli('topic list --server x:1', { TIDEMARK_TLS_CA: '/nowhere' });
    expect(other.stderr).toContain('Cannot read the TLS file "/nowhere"');
  });

  it('prefers XDG_CONFIG_HOME, and follows a link', async () => {
    const config = join(home, 'xdg');
    await mkdir(join(config, 'tidemark'), { recursive: true });
    await symlink(join(home, 'elsewhere.json'), join(config, 'tidemark', 'profiles.json'));
    await writeFile(join(home, 'elsewhere.json'), '{"version":1,"profiles":{}}');
    await cli('profile set a --server x:1', { XDG_CONFIG_HOME: config });
    expect(await readFile(join(home, 'elsewhere.json'), 'utf8')).toContain('x:1');
  });

  it.each([
    ['profile set -x --server x:1', 'unknown option'],
    ['profile set a/b --server x:1', 'name is "a/b", must be 1 to 63 of'],
    ['profile set a --server x', 'servers holds "x", must be host:port'],
    ['profile set a', "required option '-s, --server <host:port,...>' not specified"],
    ['profile use', 'either a profile or --none is required'],
    ['profile show nothing', 'there is no profile "nothing", and no other; make it with: '],
    ['profile delete nothing', 'there is no profile "nothing"'],
    ['topic list --profile nothing', 'there is no profile "nothing"'],
    ['topic list --profile a --server x:1', "option '--profile <name>' cannot be used with option"],
  ])('refuses %s', async (args, reason) => {
    const { exitCode, stderr } = await cli(args);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(reason);
  });

  it('refuses to write where the environment names no folder', async () => {
    const { exitCode, stderr } = await cli('profile set a --server x:1', { HOME: '' });
    expect(exitCode).toBe(2);
    expect(stderr).toContain('neither XDG_CONFIG_HOME nor HOME is an absolute path');
  });
});

describe('a file of profiles at fault', () => {
  it.each<[unknown, string]>([
    ['{', 'it is no JSON: '],
    [{ profiles: {} }, 'version is undefined, must be 1'],
    [{ version: 2, profiles: {} }, 'version is 2, must be 1'],
    [
      { version: 1, profiles: {}, token: 'x' },
      '"token" is not known, allowed are version, use, profiles',
    ],
    [
      { version: 1, profiles: { a: { server: 'x:1', tls: true } } },
      'tls" is not known, allowed are server',
    ],
    [{ version: 1, profiles: { a: { server: 5 } } }, 'server is 5, must be a string'],
    [
      { version: 1, use: 'b', profiles: { a: { server: 'x:1' } } },
      'use is "b", must be one of profiles',
    ],
    ['{"version":1,"profiles":{"__proto__":{"server":"x:1"}}}', 'profiles: name is "__proto__"'],
  ])('is refused with its name: %j', async (content, reason) => {
    await write(content);
    const { exitCode, stderr } = await cli('topic list');
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`Cannot read profiles in "${file}": `);
    expect(stderr).toContain(reason);
    const before = await readFile(file, 'utf8');
    expect((await cli('profile set c --server x:1')).exitCode).toBe(2);
    expect(await readFile(file, 'utf8')).toBe(before);
  });

  it('is not read where the servers are named', async () => {
    await write('{');
    const { stderr } = await cli('topic list', { TIDEMARK_SERVER: 'no server' });
    expect(stderr).toContain('servers holds "no server"');
  });
});

describe('which servers are taken', () => {
  beforeEach(() =>
    write({ version: 1, use: 'a', profiles: { a: { server: 'a:1' }, b: { server: 'b:1' } } }),
  );

  const PROFILE_B = { TIDEMARK_PROFILE: 'b' };
  it.each<[string, Readonly<Record<string, string>>, unknown]>([
    [
      'the environment',
      { TIDEMARK_SERVER: 'e:1', ...PROFILE_B },
      { server: 'e:1', source: 'environment' },
    ],
    [
      'the profile of the environment',
      PROFILE_B,
      { server: 'b:1', source: 'profile', profile: 'b' },
    ],
    ['the profile in use', {}, { server: 'a:1', source: 'profile', profile: 'a' }],
    ['those of an empty home', { HOME: '/nonexistent' }, { source: 'default' }],
  ])('%s', async (_, env, expected) => {
    expect(await json('profile show', env)).toMatchObject(expected as object);
  });

  it('an option before all of it', async () => {
    const env = { TIDEMARK_SERVER: 'no server' };
    expect((await cli('topic list --server wrong', env)).stderr).toContain('servers holds "wrong"');
    await write({ version: 1, profiles: { a: { server: 'of a' } } });
    expect((await cli('topic list --profile a', env)).stderr).toContain('servers holds "of a"');
  });
});
