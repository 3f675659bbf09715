/**
 * docs/client-reference.md, written from the declarations of client/index.ts and their comments:
 * `npm run generate` writes it, and `check` looks whether it is fresh.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.mjs';

const PAGE = join(root, 'docs', 'client-reference.md');
const HEAD = `# Reference of the client library

Written by \`npm run generate\` from the sources; [client.md](client.md) is the guide. Everything here is exported by \`tidemark\`.
`;

/** The text of the page. */
async function referencePage() {
  const { default: ts } = await import('typescript');
  const file = join(root, 'client', 'index.ts');
  const read = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(read.config, ts.sys, root);
  const program = ts.createProgram([file], {
    ...options,
    incremental: false,
    tsBuildInfoFile: undefined,
  });
  const checker = program.getTypeChecker();
  const printer = ts.createPrinter({ removeComments: true });

  const docOf = (symbol) =>
    ts
      .displayPartsToString(symbol.getDocumentationComment(checker))
      .replaceAll(/\{@link ([^}]+)\}/g, '`$1`')
      .replaceAll(/\s*\n\s*/g, ' ');
  const print = (node) => printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile());

  /** A member without its body. */
  function signature(node) {
    const text = print(
      ts.isMethodDeclaration(node) || ts.isFunctionDeclaration(node) || ts.isAccessor(node)
        ? withoutBody(node)
        : node,
    );
    return text
      .replace(/;$/, '')
      .replaceAll(/\s*\n\s*/g, ' ')
      .replace(/^(export |async |declare )+/, '');
  }
  function withoutBody(node) {
    const { factory } = ts;
    const modifiers = node.modifiers?.filter(({ kind }) => kind !== ts.SyntaxKind.AsyncKeyword);
    if (ts.isGetAccessor(node))
      return factory.createPropertySignature(undefined, node.name, undefined, node.type);
    if (ts.isFunctionDeclaration(node))
      return factory.updateFunctionDeclaration(
        node,
        modifiers,
        undefined,
        node.name,
        node.typeParameters,
        node.parameters,
        node.type,
        undefined,
      );
    return factory.createMethodSignature(
      undefined,
      node.name,
      node.questionToken,
      node.typeParameters,
      node.parameters,
      node.type,
    );
  }

  function membersOf(declaration) {
    if (!ts.isClassDeclaration(declaration) && !ts.isInterfaceDeclaration(declaration)) return [];
    return declaration.members.filter(
      (member) =>
        member.name !== undefined &&
        !ts.isPrivateIdentifier(member.name) &&
        !(ts.isMethodDeclaration(member) && isImplementation(member, declaration)),
    );
  }
  /** The body behind overloads, which callers do not see. */
  function isImplementation(member, { members }) {
    const name = member.name.getText();
    const same = members.filter(
      (one) => ts.isMethodDeclaration(one) && one.name.getText() === name,
    );
    return same.length > 1 && member.body !== undefined;
  }

  function entry(symbol) {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const declaration = target.declarations[0];
    const lines = [`## ${symbol.name}`, ''];
    const doc = docOf(target);
    if (doc !== '') lines.push(doc, '');
    const members = membersOf(declaration);
    if (members.length > 0) {
      for (const member of members) {
        const about = docOf(checker.getSymbolAtLocation(member.name) ?? target);
        lines.push(`- \`${signature(member)}\`${about === '' ? '' : `: ${about}`}`);
      }
    } else {
      const text = ts.isVariableDeclaration(declaration)
        ? `const ${declaration.name.getText()}${declaration.type === undefined ? '' : `: ${print(declaration.type)}`}`
        : signature(declaration);
      lines.push(`\`${text}\``);
    }
    return lines.join('\n');
  }

  const exported = checker.getExportsOfModule(
    checker.getSymbolAtLocation(program.getSourceFile(file)),
  );
  const sorted = exported.toSorted((a, b) => a.name.localeCompare(b.name, 'en'));
  return `${HEAD}\n${sorted.map(entry).join('\n\n')}\n`;
}

/** Writes the page. */
export async function generateReference() {
  writeFileSync(PAGE, await referencePage());
}

/** Whether the page is what the sources say, as an exit code and what to tell. */
export async function checkReference() {
  const isFresh = readFileSync(PAGE, 'utf8') === (await referencePage());
  return isFresh
    ? { code: 0, output: '' }
    : { code: 1, output: 'docs/client-reference.md is stale: run "npm run generate"' };
}
