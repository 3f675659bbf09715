/** What TLS and `auth` of listeners for clients add to a broker's pod. Pure. */
import { isIssued } from '../api/clients.ts';
import { addressFile } from '../api/names.ts';
import type {
  ClientAuth,
  ClientListener,
  ClientTls,
  LogClusterSpec,
  OidcIssuer,
} from '../api/types.ts';
import { leafFiles, TLS_PATH, TRUST_FILE } from './secret-files.ts';

type Fields = Readonly<Record<string, unknown>>;

export interface PodParts {
  readonly environment: readonly { readonly name: string; readonly value: string }[];
  readonly volumes: readonly Fields[];
  readonly mounts: readonly Fields[];
}

/** Read by their group, which is the broker's. */
export const SECRET_MODE = 0o440;
const PATH = '/etc/tidemark';
/** Where brokers find the addresses of their listeners. */
export const ADDRESSES_PATH = '/etc/tidemark/addresses';
const ISSUER_PATH = '/var/run/secrets/tidemark-issuer';
/** Of the API server, for whoever shows a token of an account of its own. */
const KUBERNETES_KEYS = 'https://kubernetes.default.svc/openid/v1/jwks';
const TOKEN_SECONDS = 3_600;

/** Volumes are directories, never single files: so what is renewed reaches a pod that runs. */
export function clientListener({ clientTls, auth, listeners = [] }: LogClusterSpec): PodParts {
  const own = partsOf('', clientTls, auth);
  if (listeners.length === 0) return own;
  const parts = [own, ...listeners.map(namedListener)];
  const names = listeners.map(({ name }) => name).join();
  return {
    environment: [
      ...parts.flatMap(({ environment }) => environment),
      // Of the brokers, whichever listener asks who they are.
      ...(auth.methods === undefined ? administratorsOf(auth) : []),
      { name: 'TIDEMARK_LISTENERS', value: names },
    ],
    // One token for the issuer does for all.
    volumes: oncePerName([...parts.flatMap(({ volumes }) => volumes)]),
    mounts: oncePerName(parts.flatMap(({ mounts }) => mounts)),
  };
}

function namedListener({ name, port, tls, auth }: ClientListener): PodParts {
  const { environment, ...rest } = partsOf(`${name}-`, tls, auth);
  const address = `${ADDRESSES_PATH}/${addressFile(name, '$(POD_NAME)')}`;
  const of = `TIDEMARK_LISTENER_${name.replaceAll('-', '_').toUpperCase()}`;
  return {
    ...rest,
    environment: [
      { name: `${of}_LISTEN`, value: `[::]:${port}` },
      { name: `${of}_ADVERTISE_FILE`, value: address },
      // It has to be stated.
      ...(auth.methods === undefined ? [{ name: `${of}_AUTH`, value: 'none' }] : []),
      ...environment.map(({ name: variable, value }) => ({
        name: variable.replace('TIDEMARK', of),
        value,
      })),
    ],
  };
}

function administratorsOf({
  administrators,
}: ClientAuth): readonly { readonly name: string; readonly value: string }[] {
  return administrators === undefined
    ? []
    : [{ name: 'TIDEMARK_AUTH_ADMINISTRATORS', value: administrators.join(';') }];
}

function oncePerName(parts: readonly Fields[]): readonly Fields[] {
  return parts.filter(
    (part, index) => parts.findIndex((other) => other['name'] === part['name']) === index,
  );
}

/** @param prefix of the names of its Secrets in the pod */
function partsOf(prefix: string, clientTls: ClientTls, auth: ClientAuth): PodParts {
  const { secretName, clientCaSecretName } = clientTls;
  const { tokensSecretName, oidc } = auth;
  const secrets = Object.entries({
    'client-tls': secretName,
    'client-ca': clientCaSecretName,
    'auth-tokens': tokensSecretName,
  }).flatMap(([name, secret]) =>
    secret === undefined ? [] : [{ name: `${prefix}${name}`, secret }],
  );
  const asksKubernetes = oidc !== undefined && oidc.keys === undefined;
  return {
    environment: [...tlsEnvironment(prefix, clientTls), ...authEnvironment(prefix, auth)].map(
      ([name, value]) => ({
        name: `TIDEMARK_${name}`,
        value,
      }),
    ),
    volumes: [
      ...secrets.map(({ name, secret }) => ({
        name,
        secret: { secretName: secret, defaultMode: SECRET_MODE },
      })),
      ...(asksKubernetes ? [ISSUER_VOLUME] : []),
    ],
    mounts: [
      ...secrets.map(({ name }) => mount(name, `${PATH}/${name}`)),
      ...(asksKubernetes ? [mount(ISSUER_VOLUME.name, ISSUER_PATH)] : []),
    ],
  };
}

function mount(name: string, mountPath: string): Fields {
  return { name, mountPath, readOnly: true };
}

/** A token of the brokers' account, for the address of the keys alone to be asked. */
const ISSUER_VOLUME = {
  name: 'issuer',
  projected: {
    defaultMode: SECRET_MODE,
    sources: [
      { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    ],
  },
} as const;

type Variables = readonly (readonly [name: string, value: string])[];

function tlsEnvironment(prefix: string, tls: ClientTls): Variables {
  if (tls.mode === 'Disabled') return [];
  const own = leafFiles('$(POD_NAME)');
  const [folder, files] = isIssued(tls)
    ? [TLS_PATH, own]
    : [`${PATH}/${prefix}client-tls`, { cert: 'tls.crt', key: 'tls.key' }];
  return [
    ['TLS_CERT', `${folder}/${files.cert}`],
    ['TLS_KEY', `${folder}/${files.key}`],
    ...(tls.clientCaSecretName === undefined
      ? []
      : [['TLS_CLIENT_CA', `${PATH}/${prefix}client-ca/ca.crt`] as const]),
    // Of the command, where somebody calls it in the pod.
    ...(prefix === '' && isIssued(tls) ? [['TLS_CA', `${TLS_PATH}/${TRUST_FILE}`] as const] : []),
  ];
}

function authEnvironment(
  prefix: string,
  { methods, tokensSecretName, oidc, administrators }: ClientAuth,
): Variables {
  if (methods === undefined) return [];
  return [
    ['AUTH', methods.join(',')],
    ...(administrators === undefined
      ? []
      : [['AUTH_ADMINISTRATORS', administrators.join(';')] as const]),
    ...(tokensSecretName === undefined
      ? []
      : [['AUTH_TOKENS_FILE', `${PATH}/${prefix}auth-tokens/tokens`] as const]),
    ...(oidc === undefined ? [] : oidcEnvironment(oidc)),
  ];
}

function oidcEnvironment({ issuer, keys, audience, alias }: OidcIssuer): Variables {
  const given = Object.entries({ AUDIENCE: audience, ALIAS: alias }).flatMap(
    ([name, value]): Variables => (value === undefined ? [] : [[`AUTH_OIDC_${name}`, value]]),
  );
  const source: Variables =
    keys === undefined
      ? [
          ['AUTH_OIDC_JWKS', KUBERNETES_KEYS],
          ['AUTH_OIDC_CA', `${ISSUER_PATH}/ca.crt`],
          ['AUTH_OIDC_BEARER_FILE', `${ISSUER_PATH}/token`],
        ]
      : [['AUTH_OIDC_JWKS', keys]];
  return [['AUTH_OIDC_ISSUER', issuer], ...source, ...given];
}
