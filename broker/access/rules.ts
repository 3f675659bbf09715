/**
 * Judges what a principal may do. Denied is what no rule allows. A rule for any operation allows
 * `describe` of the same thing too, since whoever may do something to it learns that it is there.
 * Administrators may do everything (docs/rules.md#access). Must not know how a caller is known, or
 * what calls there are.
 */
import {
  ACCESS_OPERATIONS,
  type AccessKind,
  type AccessOperation,
  type AccessResource,
  type AccessRule,
} from '../../base/access.ts';
import { Patterns } from './patterns.ts';

export type Verdict =
  /** `rule`: by which; null: as an administrator. */
  | { readonly isAllowed: true; readonly rule: AccessRule | null }
  /** One sentence. */
  | { readonly isAllowed: false; readonly reason: string };

/** The rules of principals that fit one pattern. */
class Entry {
  readonly #byKind = new Map<AccessKind, Patterns<AccessRule[]>>();
  readonly #somewhere = new Set<string>();

  add(rule: AccessRule): void {
    let names = this.#byKind.get(rule.kind);
    if (names === undefined) {
      names = new Patterns();
      this.#byKind.set(rule.kind, names);
    }
    names.ensure(rule.name, () => []).push(rule);
    for (const operation of ACCESS_OPERATIONS)
      if (allows(rule, operation)) this.#somewhere.add(`${rule.kind} ${operation}`);
  }

  find(operation: AccessOperation, { kind, name }: AccessResource): AccessRule | undefined {
    const rules = this.#byKind.get(kind)?.of(name) ?? [];
    return rules.flat().find((rule) => allows(rule, operation));
  }

  mayAnywhere(operation: AccessOperation, kind: AccessKind): boolean {
    return this.#somewhere.has(`${kind} ${operation}`);
  }
}

function allows({ operations }: AccessRule, operation: AccessOperation): boolean {
  return operation === 'describe' ? operations.length > 0 : operations.includes(operation);
}

/** What one principal may do, as of the rules that it was made from. */
export class Rights {
  readonly principal: string;
  readonly #isAdministrator: boolean;
  readonly #entries: readonly Entry[];

  constructor(principal: string, isAdministrator: boolean, entries: readonly Entry[]) {
    this.principal = principal;
    this.#isAdministrator = isAdministrator;
    this.#entries = entries;
  }

  judge(operation: AccessOperation, resource: AccessResource): Verdict {
    if (this.#isAdministrator) return { isAllowed: true, rule: null };
    for (const entry of this.#entries) {
      const rule = entry.find(operation, resource);
      if (rule !== undefined) return { isAllowed: true, rule };
    }
    const { kind, name } = resource;
    const what = kind === 'cluster' ? 'the cluster' : `${kind} "${name}"`;
    return { isAllowed: false, reason: `${this.principal} may not ${operation} ${what}` };
  }

  may(operation: AccessOperation, resource: AccessResource): boolean {
    return this.judge(operation, resource).isAllowed;
  }

  /** Whether there is anything of this kind that it may do this to. */
  mayAnywhere(operation: AccessOperation, kind: AccessKind): boolean {
    return (
      this.#isAdministrator || this.#entries.some((entry) => entry.mayAnywhere(operation, kind))
    );
  }
}

/** Rules, in an order in which a judgement finds those that count without looking at the others. */
export class AccessRules {
  readonly #entries = new Patterns<Entry>();
  readonly #administrators = new Patterns<true>();

  /** @param administrators principals, or what they begin with and `*` */
  constructor(rules: Iterable<AccessRule>, administrators: Iterable<string>) {
    for (const rule of rules) this.#entries.ensure(rule.principal, () => new Entry()).add(rule);
    for (const pattern of administrators) this.#administrators.ensure(pattern, () => true);
  }

  rightsOf(principal: string): Rights {
    const isAdministrator = this.#administrators.of(principal).length > 0;
    return new Rights(principal, isAdministrator, this.#entries.of(principal));
  }
}
