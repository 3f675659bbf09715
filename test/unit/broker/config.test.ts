import { describe, expect, it } from 'vitest';
import { optionVariable } from '../../../base/broker-options.ts';
import { ConfigError, readConfig } from '../../../broker/config.ts';
import { listenerFlags } from '../../../broker/listeners.ts';

const SOUND = ['--id', '1', '--data', '/d', '--listen', '127.0.0.1:9641'];
const CLUSTER_ID = '0b9e2f3a-0000-4000-8000-00000000abcd';

function faultsOf(argv: readonly string[], environment: Record<string, string> = {}): string[] {
  try {
    readConfig(argv, environment);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.split('\n');
  }
}

describe('options of a broker', () => {
  it('are read from flags, then from the environment, then by default', () => {
    const config = readConfig(SOUND, {
      TIDEMARK_LISTEN: '127.0.0.1:1',
      TIDEMARK_CLUSTER_ID: CLUSTER_ID,
      UV_THREADPOOL_SIZE: '16',
    });
    expect(config).toMatchObject({
      brokerId: 1,
      listen: { host: '127.0.0.1', port: 9641 },
      clusterId: CLUSTER_ID,
      poolThreads: 16,
      heartbeatMs: 250,
    });
  });

  it('tell only the faults that are there, all of them', () => {
    const faults = faultsOf([...SOUND, '--sessions-timeout-ms', '1', '--heartbeat-ms', '1']);
    expect(faults).toHaveLength(2);
    expect(faults[0]).toMatch(
      /^config: --sessions-timeout-ms is not an option, must be one of --id/,
    );
    expect(faults[1]).toBe("config: heartbeat-ms is '1', must be a whole number from 20 to 60000");
  });

  it('have a listener for brokers that only this machine reaches, unless one is named', () => {
    const own = { host: '127.0.0.1', port: 9643 };
    expect(readConfig(SOUND, {})).toMatchObject({ internalListen: own, internalAdvertised: own });
    const named = ['--internal-listen', '0.0.0.0:7', '--internal-advertise', 'b1:7'];
    expect(readConfig([...SOUND, ...named], {})).toMatchObject({
      internalListen: { host: '0.0.0.0', port: 7 },
      internalAdvertised: { host: 'b1', port: 7 },
    });
  });

  it('take IPv6 addresses in brackets, which are no part of the host', () => {
    const listeners = ['--listen', '[::1]:5', '--internal-listen', '[::1]:6'];
    expect(readConfig([...SOUND, ...listeners, '--seeds', '[::1]:6'], {})).toMatchObject({
      listen: { host: '::1', port: 5 },
      advertised: { host: '::1', port: 5 },
      internalAdvertised: { host: '::1', port: 6 },
      seeds: [{ host: '::1', port: 6 }],
    });
  });

  it.each([
    {
      name: 'one address for both listeners',
      argv: ['--internal-listen', '127.0.0.1:9641'],
      fault: "internal-listen is '127.0.0.1:9641', must be another address than listen",
    },
    {
      name: 'no host to dial',
      argv: ['--internal-listen', '[::]:7'],
      fault:
        "internal-advertise is missing, must be host:port of this broker where internal-listen is every address ('[::]:7')",
    },
    {
      name: 'seeds that cannot reach it',
      argv: ['--seeds', '127.0.0.2:7,b2:9643'],
      fault:
        "internal-listen is missing, must be host:port where seeds are on other machines ('b2:9643'): by default only this machine reaches it, since without internal-tls-cert nobody is authenticated there",
    },
  ])('refuse $name', ({ argv, fault }) => {
    expect(faultsOf([...SOUND, ...argv])).toEqual([`config: ${fault}`]);
  });

  it('have TLS where certificates are named', () => {
    expect(readConfig(SOUND, {})).toMatchObject({ tls: null, internalTls: null });
    const client = ['--tls-cert', 'a', '--tls-key', 'b'];
    const internal = ['--internal-tls-cert', 'c', '--internal-tls-key', 'd'];
    const argv = [...SOUND, ...client, ...internal, '--internal-tls-ca', 'e'];
    expect(readConfig([...argv, '--cluster-id', CLUSTER_ID], {})).toMatchObject({
      tls: { cert: 'a', key: 'b', ca: null },
      internalTls: { cert: 'c', key: 'd', ca: 'e' },
      internalTlsMode: 'require',
    });
    for (const mode of ['allow', 'prefer', 'require'])
      expect(
        readConfig([...argv, '--cluster-id', CLUSTER_ID, '--internal-tls-mode', mode], {}),
      ).toMatchObject({ internalTlsMode: mode });
  });

  it('report how far a broker is from plaintext among brokers to TLS', () => {
    const reported = (...argv: string[]) =>
      readConfig([...SOUND, '--cluster-id', CLUSTER_ID, ...argv], {}).options.find(
        ({ name }) => name === 'internal-tls-mode',
      )?.value;
    const tls = ['--internal-tls-cert', 'c', '--internal-tls-key', 'd', '--internal-tls-ca', 'e'];
    expect(reported()).toBe('');
    expect(reported(...tls)).toBe('require');
    expect(reported(...tls, '--internal-tls-mode', 'allow')).toBe('allow');
  });

  it.each([
    {
      argv: ['--tls-client-ca', 'c'],
      faults: [
        'tls-cert is missing, must be given with tls-client-ca',
        'tls-key is missing, must be given with tls-client-ca',
      ],
    },
    {
      argv: ['--internal-tls-cert', 'a', '--internal-tls-key', 'b'],
      faults: [
        'cluster-id is missing, must be a UUID where brokers use TLS (internal-tls-cert)',
        'internal-tls-ca is missing, must be given with internal-tls-cert',
      ],
    },
    {
      argv: ['--internal-tls-mode', 'none'],
      faults: [
        'internal-tls-mode is given, must be given with internal-tls-cert only',
        "internal-tls-mode is 'none', must be one of allow, prefer, require",
      ],
    },
  ])('refuse half of TLS: $argv', ({ argv, faults }) => {
    expect(faultsOf([...SOUND, ...argv])).toEqual(faults.map((fault) => `config: ${fault}`));
  });

  it('read how clients are known', () => {
    expect(readConfig(SOUND, {})).toMatchObject({ auth: null, authAdministrators: [] });
    const tls = ['--tls-cert', 'a', '--tls-key', 'b', '--tls-client-ca', 'c'];
    const ways = [
      '--auth',
      'oidc, mtls',
      '--auth-oidc-issuer',
      'i',
      '--auth-oidc-jwks',
      'keys.json',
    ];
    const names = ['--auth-administrators', String.raw`cert:CN=a\;b ; token:ops*`];
    expect(readConfig([...SOUND, ...tls, ...ways, ...names], {})).toMatchObject({
      auth: {
        methods: ['mtls', 'oidc'],
        oidc: { issuer: 'i', alias: 'kubernetes', audience: '', keys: 'keys.json' },
        isReflected: false,
      },
      authAdministrators: [String.raw`cert:CN=a\;b`, 'token:ops*'],
    });
  });

  it.each([
    {
      argv: ['--auth', 'some'],
      faults: ["auth is 'some', must be none, or some of mtls, token, oidc"],
    },
    {
      argv: ['--auth', 'none,mtls'],
      faults: ["auth is 'none,mtls', must be none alone", 'tls-client-ca is missing'],
    },
    {
      argv: ['--auth', 'token'],
      faults: ['auth-tokens-file is missing', 'tls-cert is missing, must be given with auth token'],
    },
    {
      argv: ['--auth', 'token', '--auth-tokens-file', 't', '--auth-plaintext', 'maybe'],
      faults: ["auth-plaintext is 'maybe', must be yes or no", 'tls-cert is missing'],
    },
    {
      argv: [
        '--auth',
        'oidc',
        '--auth-plaintext',
        'no',
        '--auth-oidc-jwks',
        'http://x',
        '--auth-oidc-alias',
        '/',
      ],
      faults: [
        'auth-oidc-issuer is missing',
        'tls-cert is missing',
        "auth-oidc-jwks is 'http://x', must be https",
        "auth-oidc-alias is '/'",
      ],
    },
    {
      argv: ['--auth-tokens-file', 't'],
      faults: ['auth-tokens-file is given, must be given with auth token only'],
    },
    {
      argv: ['--auth-administrators', 'alice;*'],
      faults: [
        "auth-administrators: principal is 'alice'",
        "auth-administrators: principal is '*'",
      ],
    },
  ])('refuse what lets in the wrong ones: $argv', ({ argv, faults }) => {
    const found = faultsOf([...SOUND, ...argv]);
    expect(found.length).toBe(faults.length);
    for (const [index, fault] of faults.entries()) expect(found[index]).toContain(fault);
  });

  it('take tokens in plaintext where that is asked for by name', () => {
    const argv = ['--auth', 'token', '--auth-tokens-file', 't', '--auth-plaintext', 'yes'];
    expect(readConfig([...SOUND, ...argv], {}).auth?.methods).toEqual(['token']);
  });

  it.each(['not a uuid', CLUSTER_ID.toUpperCase(), `${CLUSTER_ID} `, '../x'])(
    'refuse the cluster id %j',
    (id) => {
      expect(faultsOf([...SOUND, '--cluster-id', id])).toEqual([
        `config: cluster-id is '${id}', must be a UUID in lower case, or empty`,
      ]);
    },
  );

  it.each(['abc', '', '1', '0', '-4', '1.5', '1025', '0x10'])(
    'refuse %j threads, which libuv would take for another number',
    (threads) => {
      expect(faultsOf(SOUND, { UV_THREADPOOL_SIZE: threads })).toEqual([
        `config: UV_THREADPOOL_SIZE is '${threads}', must be a whole number from 2 to 1024`,
      ]);
    },
  );

  it.each(['1e2', '0x10', ' 5', '+5', '-1', '1.0', '65536'])('refuse the broker id %j', (id) => {
    expect(faultsOf(['--id', id, ...SOUND.slice(2)])).toEqual([
      `config: id is '${id}', must be a whole number from 0 to 65535`,
    ]);
  });

  it('show what cannot be printed by its code, each fault on its own line', () => {
    expect(faultsOf([...SOUND, '--log-level', '\u001b[2J\nall is well'])).toEqual([
      expect.stringContaining("log-level is '\\u001b[2J\\nall is well', must be one of"),
    ]);
  });

  describe('of named listeners', () => {
    const two = ['--listeners', 'outside, partners'];
    const outside = [
      ...['--listener-outside-listen', '0.0.0.0:9651', '--listener-outside-advertise', 'b1:443'],
      ...['--listener-outside-tls-cert', 'a', '--listener-outside-tls-key', 'b'],
      ...['--listener-outside-auth', 'token', '--listener-outside-auth-tokens-file', 't'],
      ...['--listener-outside-connections-max', '50'],
    ];
    const partners = {
      TIDEMARK_LISTENER_PARTNERS_LISTEN: '127.0.0.1:9652',
      TIDEMARK_LISTENER_PARTNERS_ADVERTISE_FILE: '/f',
      TIDEMARK_LISTENER_PARTNERS_AUTH: 'none',
    };

    it('are each its own', () => {
      expect(readConfig(SOUND, {})).toMatchObject({ listeners: [] });
      const config = readConfig([...SOUND, ...two, ...outside], partners);
      expect(config).toMatchObject({ tls: null, auth: null });
      expect(config.listeners).toEqual([
        {
          name: 'outside',
          listen: { host: '0.0.0.0', port: 9651 },
          advertised: { host: 'b1', port: 443 },
          advertiseFile: '',
          tls: { cert: 'a', key: 'b', ca: null },
          auth: { methods: ['token'], tokensFile: 't', oidc: null, isReflected: false },
          connectionsMax: 50,
        },
        {
          name: 'partners',
          listen: { host: '127.0.0.1', port: 9652 },
          advertised: null,
          advertiseFile: '/f',
          tls: null,
          auth: null,
          connectionsMax: null,
        },
      ]);
    });

    it('are read where their names are, in the environment too', () => {
      const environment = { TIDEMARK_LISTENERS: 'partners', ...partners };
      expect(readConfig(SOUND, environment).listeners).toHaveLength(1);
      expect(readConfig([...SOUND, '--listeners', ''], environment).listeners).toEqual([]);
    });

    const one = (more: readonly string[]) => [
      ...['--listeners', 'outside', '--listener-outside-listen', '127.0.0.1:9651'],
      ...more,
    ];
    it.each([
      {
        name: 'nobody says who may come in',
        argv: one([]),
        fault: 'listener-outside-auth is missing, must be none, or some of mtls, token, oidc',
      },
      {
        name: 'tokens in plaintext',
        argv: one(['--listener-outside-auth', 'token', '--listener-outside-auth-tokens-file', 't']),
        fault:
          'listener-outside-tls-cert is missing, must be given with auth token: without TLS whoever listens on the way takes the tokens (auth-plaintext=yes accepts that)',
      },
      {
        name: 'half of TLS',
        argv: one(['--listener-outside-auth', 'none', '--listener-outside-tls-key', 'b']),
        fault: 'listener-outside-tls-cert is missing, must be given with tls-key',
      },
      {
        name: 'nowhere to dial',
        argv: [
          ...['--listeners', 'outside', '--listener-outside-listen', '[::]:9651'],
          ...['--listener-outside-auth', 'none'],
        ],
        fault:
          "listener-outside-advertise is missing, must be host:port of this broker where listen is every address ('[::]:9651'), or advertise-file be given",
      },
      {
        name: 'two places to dial',
        argv: one([
          ...['--listener-outside-auth', 'none', '--listener-outside-advertise', 'h:1'],
          ...['--listener-outside-advertise-file', 'f'],
        ]),
        fault: "listener-outside-advertise is 'h:1', must not be given with advertise-file",
      },
      {
        name: 'a host that is none',
        argv: one(['--listener-outside-auth', 'none', '--listener-outside-advertise', 'a/b:1']),
        fault:
          'listener-outside-advertise: host is "a/b", must be a host name or an address of at most 253 characters',
      },
      {
        name: 'no connections',
        argv: one(['--listener-outside-auth', 'none', '--listener-outside-connections-max', '0']),
        fault: "listener-outside-connections-max is '0', must be a whole number from 1 to 1000000",
      },
      {
        name: 'a name that every broker has',
        argv: ['--listeners', 'client'],
        fault: 'listeners is "client", must not be "client" or "internal", which every broker has',
      },
      {
        name: 'a name that is none',
        argv: ['--listeners', 'Out_Side'],
        fault:
          'listeners is "Out_Side", must be 1 to 12 of a-z, 0-9 and single "-" inside, a letter first',
      },
      {
        name: 'a name twice',
        argv: [...one(['--listener-outside-auth', 'none']), '--listeners', 'outside,outside'],
        fault: 'listeners name "outside" twice, must once',
      },
      {
        name: 'an address of another listener',
        argv: [
          ...['--listeners', 'outside', '--listener-outside-listen', '0.0.0.0:9643'],
          ...['--listener-outside-auth', 'none', '--listener-outside-advertise', 'h:1'],
        ],
        fault:
          "listener-outside-listen is '0.0.0.0:9643', must be another address than internal-listen",
      },
    ])('are refused: $name', ({ argv, fault }) => {
      expect(faultsOf([...SOUND, ...argv])).toEqual([`config: ${fault}`]);
    });

    it('are refused past their number, and of one that is not named', () => {
      const names = Array.from('abcdefghi');
      const each = names.flatMap((name, at) => [
        ...[`--listener-${name}-listen`, `127.0.0.1:${at + 1}`, `--listener-${name}-auth`, 'none'],
      ]);
      const [last, ...others] = faultsOf([
        ...SOUND,
        '--listeners',
        names.join(),
        ...each,
      ]).reverse();
      expect(last).toBe('config: listeners are 9, must be at most 8');
      // Of the ninth there are no options.
      expect(others.every((fault) => fault.includes('--listener-i-'))).toBe(true);
      expect(faultsOf([...SOUND, '--listener-outside-listen', 'h:1'])[0]).toContain(
        '--listener-outside-listen is not an option',
      );
    });

    it('have flags and variables that no two of them share', () => {
      const names = ['a', 'a-tls', 'a-auth', 'a-auth-oidc', 'a-advertise', 'a-connections'];
      const flags = listenerFlags(names);
      expect(new Set(flags.map(optionVariable)).size).toBe(flags.length);
    });
  });
});
