/** Lint rules: what the compiler does not see. Layout is biome's, imports between folders are dependency-cruiser's. */
import tseslint from 'typescript-eslint';
import { PURE_FOLDERS } from './scripts/pure-folders.mjs';

const PURE = PURE_FOLDERS.map((folder) => `${folder}/**/*.ts`);
/** Programs and tests: they talk to a terminal. */
const TALKS = [
  'local/**/*.ts',
  'client/cli/**/*.ts',
  'test/**/*.ts',
  'bench/**/*.ts',
  'scripts/**/*.ts',
];

const OUTSIDE_WORLD = [
  'Date',
  'Promise',
  'Buffer',
  'console',
  'crypto',
  'fetch',
  'globalThis',
  'performance',
  'process',
]
  .concat([
    'TextDecoder',
    'TextEncoder',
    'queueMicrotask',
    'setImmediate',
    'setInterval',
    'setTimeout',
    'structuredClone',
  ])
  .map((name) => ({
    name,
    message: 'A pure folder knows no clock, no I/O and no promises: it arrives as an input',
  }));

/** What runs on simulated time and chance as well (test/sim): it takes both from its ports. */
const SIMULATED = [
  ...['messages', 'network', 'runtime', 'service', 'storage'].map(
    (folder) => `broker/${folder}/**/*.ts`,
  ),
  'client/**/*.ts',
  'wire/**/*.ts',
];
/** Programs, and the adapters that join ports to the machine. process/system-clock.ts is the Clock. */
const ON_THE_MACHINE = [
  'broker/network/costs.ts',
  'broker/network/grpc-server.ts',
  'broker/network/probe.ts',
  'client/cli/**/*.ts',
  'client/examples/**/*.ts',
  'client/ports.ts',
];

const NOT_SIMULATED = ['Date', 'crypto', 'globalThis', 'performance']
  .concat(['setImmediate', 'setInterval', 'setTimeout'])
  .map((name) => ({ name, message: 'Time and chance come from a port: Clock, Random, newUuid' }));

const NOT_SIMULATED_MODULES = ['crypto', 'perf_hooks', 'timers', 'timers/promises'].flatMap(
  (name) =>
    [name, `node:${name}`].map((module) => ({
      name: module,
      message: 'Time and chance come from a port: Clock, Random, newUuid',
    })),
);

const NO_RANDOM = {
  object: 'Math',
  property: 'random',
  message: 'Draw from the seeded Random',
};

/** Two brokers in one process, as the simulator runs them, would share it. Constants are typed as ReadonlySet or ReadonlyMap. */
const NO_MODULE_STATE = [
  ':matches(Program, ExportNamedDeclaration) > VariableDeclaration[kind="let"]',
  ':matches(Program, ExportNamedDeclaration) > VariableDeclaration > ' +
    'VariableDeclarator[id.typeAnnotation.typeAnnotation.typeName.name!=/^Readonly/] > ' +
    'NewExpression[callee.name=/^(Map|Set|WeakMap|WeakSet|AsyncLocalStorage)$/]',
].map((selector) => ({
  selector,
  message: 'State of a module is shared by all that run in the process: make it a field',
}));

const NO_ASYNC = [
  {
    selector: ':function[async=true]',
    message: 'A core is synchronous: a completion is an input, not an awaited promise',
  },
  { selector: 'ImportExpression', message: 'A core loads nothing at run time' },
];

export default tseslint.config(
  {
    ignores: [
      'node_modules/',
      'proto/gen/',
      '.tidemark/',
      'coverage/',
      'build/',
      '**/*.mjs',
      '**/*.cjs',
      '**/*.js',
      '**/*.d.mts',
    ],
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'max-depth': ['error', 3],
      'max-lines-per-function': ['error', { max: 80, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        {
          allowDefaultCaseForExhaustiveSwitch: true,
          considerDefaultExhaustiveForUnions: false,
          requireDefaultForNonUnion: true,
        },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        {
          argsIgnorePattern: '^_',
          varsIgnorePattern: '^_',
          destructuredArrayIgnorePattern: '^_',
          caughtErrors: 'none',
          ignoreRestSiblings: true,
        },
      ],
      // Numbers and booleans print as expected; what it should catch is "[object Object]".
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // It does not see that a call or an await between two looks at a field may have changed it.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
      // The wire types of protobuf are an enum of its library, and numbers in ours.
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      // An async method without await still turns a throw into a rejection, which its callers rely on.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // The element of an index that was just checked against the length: `?? 0` would hide a mistake.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: SIMULATED,
    ignores: ON_THE_MACHINE,
    rules: {
      'no-restricted-globals': ['error', ...NOT_SIMULATED],
      'no-restricted-imports': ['error', ...NOT_SIMULATED_MODULES],
      'no-restricted-properties': ['error', NO_RANDOM, { object: 'process', property: 'hrtime' }],
      'no-restricted-syntax': ['error', ...NO_MODULE_STATE],
    },
  },
  {
    files: PURE,
    rules: {
      'no-restricted-globals': ['error', ...OUTSIDE_WORLD],
      'no-restricted-properties': ['error', NO_RANDOM],
      'no-restricted-syntax': ['error', ...NO_ASYNC, ...NO_MODULE_STATE],
    },
  },
  { files: TALKS, rules: { 'no-console': 'off' } },
  {
    files: ['test/**/*.ts', 'bench/**/*.ts'],
    // `describe` bodies and tables are long by nature; a mock need not be complete.
    rules: { 'max-lines-per-function': 'off', '@typescript-eslint/no-empty-function': 'off' },
  },
);
