/** The arrows of ARCHITECTURE.md: which folder may import which. Everything not listed is refused. */

/** Folders that import no package and no part of Node. */
const PURE =
  '^(proto/(batch|options)|broker/(base|raft|metadata|replication|groups)|operator/(api|build|decide))/';
const CORES = ['raft', 'metadata', 'replication', 'groups'];
const ANY_CORE = `^broker/(${CORES.join('|')})/`;
const BASE = '^broker/base/';
const BATCH = '^proto/batch/';
const PROTO = '^proto/(batch|gen|grpc)/';
/** The option table, which broker and operator share. */
const OPTIONS = '^proto/options/';
const RECORDS = '^proto/records/';
const PORTS = '^broker/runtime/ports(/|[.]ts$)';
const WIRE = '^broker/wire/';
const TELEMETRY = '^broker/telemetry/';
const PACKAGES = ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-peer', 'npm-no-pkg'];

/** Files matching `from` import from the project only what matches `from` or one of `to`. */
function only(name, from, to = []) {
  return {
    name,
    severity: 'error',
    comment: `${from} imports only itself${to.map((path) => ` and ${path}`).join('')}`,
    from: { path: from },
    to: { pathNot: [from, ...to], dependencyTypesNot: PACKAGES, couldNotResolve: false },
  };
}

module.exports = {
  forbidden: [
    only('base-imports-nothing', BASE),
    only('batch-uses-base', BATCH, [BASE]),
    ...CORES.map((core) => only(`core-${core}-alone`, `^broker/${core}/`, [BASE, BATCH, OPTIONS])),
    only('runtime-joins-cores', '^broker/runtime/', [ANY_CORE, BASE, BATCH, OPTIONS]),
    only('storage-implements-ports', '^broker/storage/', [PORTS, ANY_CORE, BASE, PROTO, TELEMETRY]),
    only('network-implements-ports', '^broker/network/', [
      PORTS,
      ANY_CORE,
      BASE,
      PROTO,
      WIRE,
      TELEMETRY,
    ]),
    only('service-uses-runtime', '^broker/service/', [
      '^broker/runtime/',
      ANY_CORE,
      BASE,
      PROTO,
      RECORDS,
      WIRE,
      TELEMETRY,
    ]),
    only('wire-translates', WIRE, [ANY_CORE, BASE, PROTO]),
    only('telemetry-alone', TELEMETRY, ['^broker/runtime/', ANY_CORE, BASE, PROTO]),
    only('broker-config', '^broker/config[.]ts$', [BASE, OPTIONS, ANY_CORE, '^broker/runtime/']),
    only('launcher', '^broker/local/', [
      '^broker/metadata/voters[.]ts$',
      BASE,
      OPTIONS,
      PROTO,
      '^client/',
    ]),
    only('broker-main', '^broker/main[.]ts$', ['^broker/(?!local/|main[.])', PROTO]),
    only('client-imports-proto', '^client/', [PROTO, RECORDS]),
    only('records-from-proto', RECORDS, [PROTO, BASE]),
    only('grpc-from-proto', '^proto/grpc/', [PROTO, BASE]),
    only('generated-alone', '^proto/gen/'),
    only('options-alone', OPTIONS),
    only('operator-api', '^operator/api/', [OPTIONS]),
    only('operator-build', '^operator/build/', ['^operator/api/', OPTIONS]),
    only('operator-decide', '^operator/decide/', ['^operator/api/']),
    only('operator-observe', '^operator/observe/', ['^operator/(api|build|decide)/', PROTO]),
    only('operator-act', '^operator/act/', ['^operator/(api|build|decide)/', PROTO]),
    only('operator-runtime', '^operator/runtime/', [
      '^operator/(api|build|decide|observe|act)/',
      PROTO,
    ]),
    only('operator-config', '^operator/config[.]ts$', ['^operator/api/']),
    only('operator-main', '^operator/(main|operator)[.]ts$', ['^operator/', PROTO]),
    {
      name: 'broker-top-level',
      severity: 'error',
      comment:
        'Only main.ts, config.ts and operator/operator.ts stand directly in broker/ and operator/, so every file has a rule above',
      from: { path: '^(broker|operator)/(?!main[.]|config[.]|operator[.]ts$)[^/]+$' },
      to: {},
    },
    {
      name: 'broker-folders',
      severity: 'error',
      comment: 'A folder without a rule above',
      from: {
        path: '^broker/[^/]+/',
        pathNot:
          '^broker/(base|raft|metadata|replication|groups|runtime|storage|network|service|telemetry|wire|local)/',
      },
      to: {},
    },
    {
      name: 'telemetry-types-only',
      severity: 'error',
      comment: 'storage and network are handed their metrics by main.ts: they know only the types',
      from: { path: '^broker/(storage|network)/' },
      to: { path: TELEMETRY, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'core-types-only',
      severity: 'error',
      comment: 'The ports speak in the types of the cores; only runtime/ and main.ts run a core',
      from: { path: '^broker/(storage|network|service|telemetry|wire)/' },
      to: { path: ANY_CORE, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'runtime-types-only',
      severity: 'error',
      comment: 'config and telemetry know what runtime is given and shows, never the running thing',
      from: { path: '^broker/(telemetry/|config[.]ts$)' },
      to: { path: '^broker/runtime/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'pure-imports-no-package',
      severity: 'error',
      comment: 'A pure folder uses no part of Node and no npm package',
      from: { path: PURE },
      to: { dependencyTypes: PACKAGES },
    },
    {
      name: 'records-for-edges',
      severity: 'error',
      comment: 'A broker never decodes records on the produce, replicate or fetch path',
      from: { pathNot: '^(proto/records|client|broker/service|test|bench)/' },
      to: { path: RECORDS },
    },
    {
      name: 'not-to-test-or-bench',
      severity: 'error',
      comment: 'Tests and benchmarks look at the product, never the other way round',
      from: { pathNot: '^(test|bench)/' },
      to: { path: '^(test|bench)/' },
    },
    {
      name: 'not-to-scripts',
      severity: 'error',
      comment: 'Scripts are for checkouts; the image holds none',
      from: { pathNot: '^(test|bench|scripts)/' },
      to: { path: '^scripts/' },
    },
    {
      name: 'no-development-package',
      severity: 'error',
      comment: 'The image holds production dependencies only',
      from: { path: '^(proto|broker|operator|client)/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-optional', 'npm-no-pkg'],
        dependencyTypesNot: ['type-only'],
      },
    },
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
