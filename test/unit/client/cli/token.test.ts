import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { chooseToken } from '../../../../client/cli/token.ts';

describe('chooseToken()', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-token-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string): string => {
    const path = join(folder, name);
    writeFileSync(path, name);
    return path;
  };
  const [option, ofEnv, ofProfile] = ['option', 'env', 'profile'].map(file);

  it.each([
    [{ token: 'given', tokenFile: option }, { TIDEMARK_TOKEN: 'x' }, 'given'],
    [{ tokenFile: option }, { TIDEMARK_TOKEN: 'x' }, 'option'],
    [{}, { TIDEMARK_TOKEN: 'x', TIDEMARK_TOKEN_FILE: ofEnv }, 'x'],
    [{}, { TIDEMARK_TOKEN: '', TIDEMARK_TOKEN_FILE: ofEnv }, 'env'],
    [{}, {}, 'profile'],
  ])('takes of %j and %j', async (options, env, expected) => {
    const { token } = await chooseToken(options as never, { env }, ofProfile, true);
    expect(typeof token === 'function' ? await token() : token).toBe(expected);
  });

  it('shows none where nobody says so', async () => {
    expect(await chooseToken({}, { env: {} }, undefined, false)).toEqual({});
  });

  it('names the file that cannot be read', async () => {
    const missing = join(folder, 'missing');
    await expect(chooseToken({ tokenFile: missing }, { env: {} }, undefined, true)).rejects.toThrow(
      `Cannot read the token: ENOENT: no such file or directory, open '${missing}'`,
    );
  });
});
