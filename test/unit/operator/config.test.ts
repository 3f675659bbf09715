import { expect, it } from 'vitest';
import { readOperatorConfig } from '../../../operator/config.ts';

const ENVIRONMENT = {
  POD_NAME: 'tidemark-0',
  POD_NAMESPACE: 'shop',
  TIDEMARK_BROKER_IMAGE: 'tidemark:1',
};

const selectorOf = (text: string): string =>
  readOperatorConfig({ ...ENVIRONMENT, TIDEMARK_SELECTOR: text }).selector;

it.each([
  '',
  'team=blue',
  'team==blue',
  'team != blue',
  'example.org/team=blue, env in (prod, test),env notin (old)',
  'team',
  '!team',
  'team=',
])('readOperatorConfig() takes the selector "%s"', (text) => {
  expect(selectorOf(text)).toBe(text);
});

it.each([
  ',',
  'team=blue,',
  '=blue',
  'team in blue',
  'team in ()',
  'team=a b',
  'team&limit=1',
  '-a',
])('readOperatorConfig() refuses the selector "%s"', (text) => {
  expect(() => selectorOf(text)).toThrow(
    `TIDEMARK_SELECTOR is "${text}", must be a label selector such as team=blue or team in (blue, red)`,
  );
});

it('readOperatorConfig() names every fault at once', () => {
  expect(() =>
    readOperatorConfig({ POD_NAME: 'x', TIDEMARK_READ_NODES: 'maybe', TIDEMARK_HTTP_PORT: '-1' }),
  ).toThrow(
    [
      'POD_NAMESPACE is absent, must be set',
      'TIDEMARK_BROKER_IMAGE is absent, must be set',
      'TIDEMARK_READ_NODES is "maybe", must be one of true, false',
      'TIDEMARK_HTTP_PORT is "-1", must be a whole number from 0 to 65535',
    ].join('\n'),
  );
});

it.each([
  ['', null],
  ['tidemark', 'tidemark'],
])('readOperatorConfig() takes the Deployment "%s" as %s', (text, expected) => {
  const { deploymentName } = readOperatorConfig({ ...ENVIRONMENT, TIDEMARK_DEPLOYMENT: text });
  expect(deploymentName).toBe(expected);
});
