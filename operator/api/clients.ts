/**
 * The table of a LogCluster's listener for clients: TLS, and who comes in. Pure. What the broker's
 * own options refuse together is refused here, so that no broker is restarted into it.
 */
import { choice, list, object, text } from './schema.ts';
import type { Rule, Schema } from './schema.ts';
import type { ClientAuth, ClientTls, LogClusterSpec, OidcIssuer } from './types.ts';

const METHODS = ['mtls', 'token', 'oidc'];
const ADMINISTRATORS_MAX = 16;
const SECRET = {
  minLength: 1,
  pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
  patternMeaning: 'the name of a Secret',
};

export const clientTlsSchema: Schema = object<ClientTls>(
  'TLS of the listener for clients. A change restarts the brokers, and clients have to follow: until all are restarted, some speak TLS and some do not.',
  {
    mode: choice('Whether clients speak TLS.', ['Enabled', 'Disabled'], 'Disabled'),
    secretName: text(
      'Secret with tls.crt and tls.key, such as cert-manager makes of a Certificate. It must name the Service and every broker. Absent: the certificates that the operator issues; clients find the authority in Secret <name>-brokers-ca-cert, ca.crt.',
      253,
      SECRET,
    ),
    clientCaSecretName: text(
      'Secret whose ca.crt holds authorities: every client must show a certificate of one of them. Absent: clients need none.',
      253,
      SECRET,
    ),
  },
  { default: {} },
);

const oidcSchema = object<OidcIssuer>(
  'Whose tokens are believed.',
  {
    issuer: text('Issuer, as tokens name it.', 1_024, { minLength: 1 }),
    keys: text(
      'Address of its public keys, https://… Absent: those of the Kubernetes that the brokers run in, which they then ask with a token of their own.',
      1_024,
      { pattern: '^https://', patternMeaning: 'an address that begins with https://' },
    ),
    audience: text("Whom tokens must be for. Absent: the cluster's id.", 256, { minLength: 1 }),
    alias: text('What principals of this issuer are called. Absent: kubernetes.', 63, {
      pattern: '^[a-z0-9][a-z0-9.-]*$',
      patternMeaning: '1 to 63 of a-z 0-9 . -',
    }),
  },
  { required: ['issuer'] },
);

/** Of any listener for clients. */
export const authFields = {
  methods: list('Ways to show it. Absent: nobody is asked.', choice('A way.', METHODS), 3, {
    listType: 'set',
    minItems: 1,
  }),
  tokensSecretName: text('Secret whose tokens file names tokens by their hashes.', 253, SECRET),
  oidc: oidcSchema,
};

export const authSchema: Schema = object<ClientAuth>(
  'Who clients are. Where it is asked, everything is denied that no rule of access allows.',
  {
    ...authFields,
    administrators: list(
      'Principals that may do everything.',
      text('Principal, such as cert:CN=alice.', 512, {
        minLength: 1,
        pattern: '^[^;\\\\]+$',
        patternMeaning: 'a principal without ; and \\',
      }),
      ADMINISTRATORS_MAX,
      { listType: 'set' },
    ),
  },
  { default: {} },
);

const METHODS_CEL = 'has(self.auth.methods) && self.auth.methods.exists(method, ';

/** What a way to show who one is needs, and what is of use to it alone. */
function goesWith(method: string, field: 'tokensSecretName' | 'oidc', value: string): Rule[] {
  const isAsked = `(${METHODS_CEL}method == '${method}'))`;
  return [
    {
      cel: `!${isAsked} || has(self.auth.${field})`,
      message: `auth.methods has %s, must be given with auth.${field}`,
      values: [`'${method}'`],
      fieldPath: '.auth.methods',
      check: ({ auth }: LogClusterSpec) =>
        asks(auth, method) && auth[field] === undefined ? [method] : null,
    },
    {
      cel: `${isAsked} || !has(self.auth.${field})`,
      message: `auth.${value} is %s, must be absent without method ${method}`,
      values: [`self.auth.${value}`],
      fieldPath: `.auth.${field}`,
      check: ({ auth: { [field]: given, ...auth } }: LogClusterSpec) =>
        asks(auth, method) || given === undefined
          ? null
          : [typeof given === 'string' ? given : given.issuer],
    },
  ];
}

function asks({ methods = [] }: ClientAuth, method: string): boolean {
  return methods.some((each) => each === method);
}

export const CLIENT_RULES: readonly Rule[] = [
  {
    cel: "self.clientTls.mode == 'Enabled' || !(has(self.clientTls.secretName) || has(self.clientTls.clientCaSecretName))",
    message: 'clientTls.mode is %s, must be Enabled where a Secret is named',
    values: ['self.clientTls.mode'],
    fieldPath: '.clientTls.mode',
    check: ({ clientTls: { mode, secretName, clientCaSecretName } }: LogClusterSpec) =>
      mode === 'Enabled' || (secretName ?? clientCaSecretName) === undefined ? null : [mode],
  },
  {
    cel: "self.clientTls.mode == 'Enabled' || !has(self.auth.methods)",
    message:
      'clientTls.mode is %s, must be Enabled where clients are asked who they are: whoever listens on the way would take what they show',
    values: ['self.clientTls.mode'],
    fieldPath: '.clientTls.mode',
    check: ({ clientTls: { mode }, auth: { methods } }: LogClusterSpec) =>
      mode === 'Enabled' || methods === undefined ? null : [mode],
  },
  {
    cel: `!(${METHODS_CEL}method == 'mtls')) || has(self.clientTls.clientCaSecretName)`,
    message: 'auth.methods has %s, must be given with clientTls.clientCaSecretName',
    values: ["'mtls'"],
    fieldPath: '.auth.methods',
    check: ({ clientTls, auth }: LogClusterSpec) =>
      asks(auth, 'mtls') && clientTls.clientCaSecretName === undefined ? ['mtls'] : null,
  },
  ...goesWith('token', 'tokensSecretName', 'tokensSecretName'),
  ...goesWith('oidc', 'oidc', 'oidc.issuer'),
  {
    cel: "self.clientTls.mode == 'Disabled' || has(self.clientTls.secretName) || !has(self.internalTls.mode) || self.internalTls.mode == 'Enabled'",
    message:
      'internalTls.mode is %s, must be Enabled where clientTls.secretName is absent: the operator issues certificates for both or for none',
    values: ['self.internalTls.mode'],
    fieldPath: '.internalTls.mode',
    check: ({ clientTls, internalTls: { mode } }: LogClusterSpec) =>
      isIssued(clientTls) && mode === 'Disabled' ? [mode] : null,
  },
];

/** Do clients meet certificates that the operator issues? */
export function isIssued({ mode, secretName }: ClientTls): boolean {
  return mode === 'Enabled' && secretName === undefined;
}
