import { beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../../client/index.ts';
import { Tokens } from '../../../client/token.ts';

const NOW_MS = 1_800_000_000_000;

function jwt(name: string, expiresInS: number): string {
  const payload = { sub: name, exp: NOW_MS / 1_000 + expiresInS };
  return `e30.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.${name}`;
}

describe('Tokens', () => {
  let nowMs: number;
  let asked: number;
  beforeEach(() => {
    nowMs = NOW_MS;
    asked = 0;
  });

  /** What calls show. */
  function showing(give: () => string | Promise<string>) {
    const tokens = new Tokens(
      () => {
        asked += 1;
        return give();
      },
      { wallMs: () => nowMs },
    );
    const shown = tokens.credentials();
    const show = async (): Promise<unknown> => {
      const metadata = await shown.generateMetadata({
        service_url: 'x',
        method_name: 'y',
      });
      return metadata.get('authorization')[0];
    };
    return { tokens, show };
  }

  it('asks once for all calls, and again a minute before the token ends', async () => {
    const { show } = showing(() => jwt(`t${asked}`, 600));
    const first = `Bearer ${jwt('t1', 600)}`;
    expect(await Promise.all([show(), show(), show()])).toEqual([first, first, first]);
    nowMs += 539_000;
    expect(await show()).toBe(first);
    expect(asked).toBe(1);
    nowMs += 2_000;
    expect(await show()).toBe(`Bearer ${jwt('t2', 600)}`);
  });

  it('asks again for one without an end after a while, and for one that was refused', async () => {
    const { tokens, show } = showing(() => ` plain-${asked}\n`);
    expect(await show()).toBe('Bearer plain-1');
    nowMs += 59_000;
    expect(await show()).toBe('Bearer plain-1');
    nowMs += 2_000;
    expect(await show()).toBe('Bearer plain-2');
    tokens.forget();
    expect(await show()).toBe('Bearer plain-3');
  });

  it('asks again after a failure, of which it tells nothing', async () => {
    const { show } = showing(async () => {
      if (asked === 1) throw new Error('secret-part');
      return 'good';
    });
    const error: unknown = await show().catch((thrown: unknown) => thrown);
    expect(String(error)).toContain('the function that gives the token failed');
    expect(String(error)).not.toContain('secret-part');
    expect(await show()).toBe('Bearer good');
  });
});

describe('connect()', () => {
  it('shows no token in plaintext, and takes no empty one', () => {
    expect(() => connect({ servers: 'a:1', token: 'secret' })).toThrow(
      'token is given without tls, must be given with it',
    );
    expect(() => connect({ servers: 'a:1', tls: {}, token: '' })).toThrow(
      'token is no token, must be a string that is not empty, or a function',
    );
  });
});
