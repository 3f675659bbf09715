/** Files of TLS that a command is told of, and which of them count. */
import { readFile } from 'node:fs/promises';
import type { ConnectOptions } from '../index.ts';
import { CliError } from './exit.ts';
import type { Surroundings } from './output.ts';
import { reasonOf } from '../../base/reason.ts';

/** Names of PEM files. */
export interface TlsPaths {
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** Those that are named; undefined: none. */
export function givenTls({ tlsCa, tlsCert, tlsKey }: TlsPaths): TlsPaths | undefined {
  const given = {
    ...(tlsCa === undefined ? {} : { tlsCa }),
    ...(tlsCert === undefined ? {} : { tlsCert }),
    ...(tlsKey === undefined ? {} : { tlsKey }),
  };
  return Object.keys(given).length === 0 ? undefined : given;
}

/** From TIDEMARK_TLS_CA, TIDEMARK_TLS_CERT and TIDEMARK_TLS_KEY; what is empty is not there. */
export function tlsOfEnvironment(env: Surroundings['env']): TlsPaths | undefined {
  const [tlsCa = '', tlsCert = '', tlsKey = ''] = ['CA', 'CERT', 'KEY'].map(
    (name) => env[`TIDEMARK_TLS_${name}`],
  );
  return givenTls({
    ...(tlsCa === '' ? {} : { tlsCa }),
    ...(tlsCert === '' ? {} : { tlsCert }),
    ...(tlsKey === '' ? {} : { tlsKey }),
  });
}

/** What the library is given. Throws INVALID_ARGUMENT with the file that cannot be read. */
export async function readTls(paths: TlsPaths | undefined): Promise<Pick<ConnectOptions, 'tls'>> {
  if (paths === undefined) return {};
  const { tlsCa, tlsCert, tlsKey } = paths;
  const ca = await contentOf(tlsCa);
  const cert = await contentOf(tlsCert);
  const key = await contentOf(tlsKey);
  return {
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    },
  };
}

async function contentOf(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const reason = reasonOf(error);
    throw new CliError('INVALID_ARGUMENT', `Cannot read the TLS file "${file}": ${reason}`);
  }
}
