/**
 * The arrows of ARCHITECTURE.md: which folder may import which. Everything not listed is refused.
 */

const { PURE_FOLDERS } = require('./scripts/pure-folders.mjs');

/** Folders that import no package and no part of Node. */
const PURE = `^(${PURE_FOLDERS.join('|')})/`;
const CORES = ['raft', 'metadata', 'replication', 'access', 'groups', 'queues', 'compaction'];
const ANY_CORE = `^broker/(${CORES.join('|')})/`;
const BASE = '^base/';
const BATCH = '^wire/batch/';
const GENERATED = '^proto/gen/';
/** What travels, without the records inside a batch. */
const TRAVELS = '^(proto/gen|wire/(batch|grpc))/';
const RECORDS = '^wire/records/';
const PORTS = '^broker/runtime/ports(/|[.]ts$)';
const MESSAGES = '^broker/messages/';
const PROCESS = '^process/';
/** What the page is told: types alone. */
const SNAPSHOT = '^page/snapshot[.]ts$';
/** The machine's own clock, which a library needs as much as a program. */
const SYSTEM_CLOCK = '^process/system-clock[.]ts$';
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
    only('process-uses-base', PROCESS, [BASE]),
    only('batch-uses-base', BATCH, [BASE]),
    ...CORES.map((core) => only(`core-${core}-alone`, `^broker/${core}/`, [BASE, BATCH])),
    only('runtime-joins-cores', '^broker/runtime/', [ANY_CORE, BASE, BATCH]),
    only('storage-implements-ports', '^broker/storage/', [
      PORTS,
      ANY_CORE,
      BASE,
      TRAVELS,
      TELEMETRY,
    ]),
    only('network-implements-ports', '^broker/network/', [
      PORTS,
      ANY_CORE,
      BASE,
      TRAVELS,
      MESSAGES,
      TELEMETRY,
    ]),
    only('background-runs-jobs', '^broker/background/', [
      PORTS,
      '^broker/compaction/',
      BASE,
      BATCH,
      RECORDS,
    ]),
    only('service-uses-runtime', '^broker/service/', [
      '^broker/runtime/',
      ANY_CORE,
      BASE,
      TRAVELS,
      RECORDS,
      MESSAGES,
      TELEMETRY,
    ]),
    only('doors-judge', '^broker/doors/', ['^broker/runtime/', ANY_CORE, BASE, TRAVELS, MESSAGES]),
    only('messages-translate', MESSAGES, [ANY_CORE, BASE, TRAVELS]),
    only('telemetry-alone', TELEMETRY, ['^broker/runtime/', ANY_CORE, BASE, TRAVELS]),
    only('broker-config', '^broker/(config|listeners)[.]ts$', [
      '^broker/listeners[.]ts$',
      BASE,
      ANY_CORE,
      '^broker/runtime/',
      '^broker/doors/options[.]ts$',
    ]),
    only('launcher', '^local/', [PROCESS, BASE, TRAVELS, '^client/']),
    only('broker-assemble', '^broker/assemble[.]ts$', [
      '^broker/(?!(main|verify)[.])',
      BASE,
      TRAVELS,
    ]),
    only('broker-advertised', '^broker/advertised[.]ts$', ['^broker/(?!(main|verify)[.])', BASE]),
    only('broker-front', '^broker/front[.]ts$', ['^broker/(?!(main|verify)[.])', BASE, TRAVELS]),
    only('broker-tls', '^broker/tls[.]ts$', [
      '^broker/(?!(main|verify)[.])',
      PROCESS,
      BASE,
      TRAVELS,
    ]),
    only('broker-main', '^broker/main[.]ts$', [
      '^broker/(?!(main|verify)[.])',
      PROCESS,
      BASE,
      TRAVELS,
    ]),
    only('broker-verify', '^broker/verify[.]ts$', ['^broker/storage/', BASE]),
    only('client-travels', '^client/', [BASE, SYSTEM_CLOCK, TRAVELS, RECORDS, SNAPSHOT]),
    only('page', '^page/', [BASE]),
    only('site-plays-the-cores', '^site/', [
      BASE,
      BATCH,
      ANY_CORE,
      '^broker/runtime/partitions/assignment[.]ts$',
      '^test/sim/(replication|metadata|raft)/',
    ]),
    {
      name: 'not-to-site',
      severity: 'error',
      comment: 'The site plays what is there; only its tests, and transcripts, look at it',
      from: { pathNot: '^(site|test)/' },
      to: { path: '^site/' },
    },
    only('records-travel', RECORDS, [TRAVELS, BASE]),
    only('grpc-maps-errors', '^wire/grpc/', [GENERATED, BASE, BATCH]),
    only('generated-alone', GENERATED),
    only('operator-api', '^operator/api/', [BASE]),
    only('operator-objects', '^operator/objects/', ['^operator/api/', BASE]),
    only('operator-decide', '^operator/decide/', [
      '^operator/api/',
      '^base/(access|listeners)[.]ts$',
    ]),
    only('operator-kube', '^operator/kube/', [BASE, PROCESS]),
    only('operator-observe', '^operator/observe/', [
      '^operator/(api|objects|decide|kube)/',
      BASE,
      TRAVELS,
    ]),
    only('operator-act', '^operator/act/', [
      '^operator/(api|objects|decide|kube)/',
      '^process/certificates[.]ts$',
      BASE,
      TRAVELS,
    ]),
    only('operator-runtime', '^operator/runtime/', [
      '^operator/(api|objects|decide|kube|observe|act)/',
      BASE,
      PROCESS,
      TRAVELS,
    ]),
    only('operator-config', '^operator/config[.]ts$', ['^operator/api/', BASE]),
    only('operator-main', '^operator/(main|operator|access-passes|watches)[.]ts$', [
      '^operator/',
      BASE,
      PROCESS,
      TRAVELS,
    ]),
    {
      name: 'broker-top-level',
      severity: 'error',
      comment:
        'Only main.ts, verify.ts, assemble.ts, front.ts, tls.ts, config.ts, listeners.ts, advertised.ts, and operator.ts, access-passes.ts and watches.ts of operator/ stand directly in broker/ and operator/, so every file has a rule above',
      from: {
        path: '^(broker|operator)/(?!main[.]|verify[.]|assemble[.]|front[.]|tls[.]|config[.]|listeners[.]|advertised[.]|(operator|access-passes|watches)[.]ts$)[^/]+$',
      },
      to: {},
    },
    {
      name: 'broker-folders',
      severity: 'error',
      comment: 'A folder without a rule above',
      from: {
        path: '^broker/[^/]+/',
        pathNot:
          '^broker/(raft|metadata|replication|access|groups|queues|compaction|background|runtime|storage|network|service|telemetry|messages|doors)/',
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
      from: { path: '^broker/(storage|network|service|telemetry|messages)/' },
      to: { path: ANY_CORE, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'runtime-types-only',
      severity: 'error',
      comment: 'config and telemetry know what runtime is given and shows, never the running thing',
      from: { path: '^broker/(telemetry/|(config|listeners)[.]ts$)' },
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
      from: { pathNot: '^(wire/records|client|broker/(service|background)|test|bench)/' },
      to: { path: RECORDS },
    },
    {
      name: 'not-to-test-or-bench',
      severity: 'error',
      comment: 'Tests and benchmarks look at the product, never the other way round',
      // The site runs the worlds of the simulators: the rule above says which.
      from: { pathNot: '^(test|bench|site)/' },
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
      from: { path: '^(base|wire|process|proto|broker|operator|client|page|site)/' },
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
