import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ACCESS_KINDS,
  ACCESS_OPERATIONS,
  ACCESS_RESOURCES,
  type AccessKind,
  type AccessOperation,
  type AccessRule,
} from '../../../../base/access.ts';
import { AccessRules } from '../../../../broker/access/rules.ts';

const ADMINISTRATORS = ['cert:CN=root', 'system:serviceaccount:tidemark-system:*'];

function rule(
  principal: string,
  operations: AccessOperation[],
  kind: AccessKind,
  name = '',
): AccessRule {
  return { principal, operations, kind, name };
}

const RULES: readonly AccessRule[] = [
  rule('cert:CN=alice', ['append', 'read'], 'topic', 'orders'),
  rule('cert:CN=alice', ['read'], 'topic', 'bills-*'),
  rule('cert:CN=alice', ['append'], 'producer', 'billing-*'),
  rule('system:serviceaccount:team-a:*', ['create', 'append'], 'topic', 'team-a.*'),
  rule('system:serviceaccount:team-a:boss', ['delete'], 'topic', 'team-a.*'),
  rule('token:ops', ['administer'], 'cluster'),
  rule('token:watch', ['describe'], 'cluster'),
  rule('*', ['read'], 'topic', 'public'),
];

describe('AccessRules', () => {
  const rules = new AccessRules(RULES, ADMINISTRATORS);

  it.each<[string, AccessOperation, AccessKind, string, boolean]>([
    ['cert:CN=alice', 'append', 'topic', 'orders', true],
    ['cert:CN=alice', 'read', 'topic', 'orders', true],
    ['cert:CN=alice', 'describe', 'topic', 'orders', true],
    ['cert:CN=alice', 'delete', 'topic', 'orders', false],
    ['cert:CN=alice', 'append', 'topic', 'orders2', false],
    ['cert:CN=alice', 'append', 'topic', 'order', false],
    ['cert:CN=alice', 'append', 'producer', 'orders', false],
    ['cert:CN=alice', 'append', 'producer', 'billing-1', true],
    ['cert:CN=alice', 'read', 'topic', 'bills-', true],
    ['cert:CN=alice', 'read', 'topic', 'bills-1', true],
    ['cert:CN=alice', 'read', 'topic', 'bills', false],
    ['cert:CN=alice', 'append', 'topic', 'bills-1', false],
    ['cert:CN=alice2', 'read', 'topic', 'orders', false],
    ['cert:CN=alice', 'describe', 'cluster', '', false],
    ['system:serviceaccount:team-a:one', 'append', 'topic', 'team-a.x', true],
    ['system:serviceaccount:team-a:one', 'delete', 'topic', 'team-a.x', false],
    ['system:serviceaccount:team-a:boss', 'delete', 'topic', 'team-a.x', true],
    ['system:serviceaccount:team-a:boss', 'append', 'topic', 'team-a.x', true],
    ['system:serviceaccount:team-ab:one', 'append', 'topic', 'team-a.x', false],
    ['token:ops', 'administer', 'cluster', '', true],
    ['token:ops', 'describe', 'cluster', '', true],
    ['token:ops', 'read', 'topic', 'orders', false],
    ['token:watch', 'administer', 'cluster', '', false],
    ['anonymous', 'read', 'topic', 'public', true],
    ['anonymous', 'append', 'topic', 'public', false],
    ['cert:CN=root', 'append', 'topic', 'orders', true],
    ['cert:CN=root', 'administer', 'cluster', '', true],
    ['cert:CN=rooty', 'append', 'topic', 'orders', false],
    ['system:serviceaccount:tidemark-system:operator', 'delete', 'topic', 'x', true],
  ])('%s may %s %s "%s": %s', (principal, operation, kind, name, isAllowed) => {
    const verdict = rules.rightsOf(principal).judge(operation, { kind, name });
    expect(verdict.isAllowed).toBe(isAllowed);
  });

  it('names the rule that allows, the most exact first, and the reason for a refusal', () => {
    const boss = rules.rightsOf('system:serviceaccount:team-a:boss');
    expect(boss.judge('describe', { kind: 'topic', name: 'team-a.x' })).toEqual({
      isAllowed: true,
      rule: RULES[4],
    });
    expect(boss.judge('administer', { kind: 'cluster', name: '' })).toEqual({
      isAllowed: false,
      reason: 'system:serviceaccount:team-a:boss may not administer the cluster',
    });
    expect(boss.judge('read', { kind: 'topic', name: 'orders' })).toEqual({
      isAllowed: false,
      reason: 'system:serviceaccount:team-a:boss may not read topic "orders"',
    });
    expect(rules.rightsOf('cert:CN=root').judge('read', { kind: 'topic', name: 'x' })).toEqual({
      isAllowed: true,
      rule: null,
    });
  });

  it('says whether there is anything to do something to', () => {
    const alice = rules.rightsOf('cert:CN=alice');
    expect(alice.mayAnywhere('append', 'topic')).toBe(true);
    expect(alice.mayAnywhere('delete', 'topic')).toBe(false);
    expect(rules.rightsOf('token:ops').mayAnywhere('append', 'topic')).toBe(false);
    expect(rules.rightsOf('cert:CN=root').mayAnywhere('append', 'topic')).toBe(true);
  });

  /** A small alphabet, so that texts often begin alike. */
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ':'), minLength: 1, maxLength: 4 });
  const pattern = fc.tuple(text, fc.boolean()).map(([body, isAll]) => (isAll ? `${body}*` : body));
  const anyKind = fc.constantFrom(...ACCESS_KINDS);
  const anyRule = anyKind.chain((kind) =>
    fc.record({
      principal: pattern,
      operations: fc.subarray<AccessOperation>([...ACCESS_RESOURCES[kind]], { minLength: 1 }),
      kind: fc.constant(kind),
      name: kind === 'cluster' ? fc.constant('') : pattern,
    }),
  );
  const fits = (given: string, one: string): boolean =>
    given.endsWith('*') ? one.startsWith(given.slice(0, -1)) : given === one;

  it('judges as a look at every rule does', () => {
    fc.assert(
      fc.property(
        fc.array(anyRule, { maxLength: 8 }),
        fc.array(pattern, { maxLength: 2 }),
        text,
        anyKind,
        text,
        (given, administrators, principal, kind, named) => {
          const name = kind === 'cluster' ? '' : named;
          const rights = new AccessRules(given, administrators).rightsOf(principal);
          const isAdministrator = administrators.some((each) => fits(each, principal));
          for (const operation of ACCESS_OPERATIONS) {
            const isAllowed = given.some(
              (each) =>
                fits(each.principal, principal) &&
                each.kind === kind &&
                fits(each.name, name) &&
                (operation === 'describe' || each.operations.includes(operation)),
            );
            expect(rights.may(operation, { kind, name })).toBe(isAdministrator || isAllowed);
          }
        },
      ),
    );
  });
});
