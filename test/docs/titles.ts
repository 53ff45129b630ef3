// The titles of the tests in a file, read from its source: nothing is run, so interop tests are found too.

import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** A title's pieces of plain text; between two pieces stands an expression. */
interface Title {
  readonly pieces: readonly string[];
  /** As it stands in the source, expressions included. */
  readonly source: string;
}

export interface TitledFile {
  readonly titles: readonly Title[];
  /** Strings and numbers of the file: what expressions in titles may be replaced by. */
  readonly literals: ReadonlySet<string>;
}

function titleOf(node: ts.Expression | undefined, source: ts.SourceFile): Title | null {
  if (node === undefined) return null;
  if (ts.isStringLiteralLike(node)) return { pieces: [node.text], source: node.text };
  if (!ts.isTemplateExpression(node)) return null;
  return {
    pieces: [node.head.text, ...node.templateSpans.map((span) => span.literal.text)],
    source: node.getText(source).slice(1, -1),
  };
}

/** Reads a file; throws when there is none. */
export function readTitles(path: string): TitledFile {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  const titles: Title[] = [];
  const literals = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isNumericLiteral(node)) literals.add(node.text);
    else if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) literals.add(node.name.text);
    if (ts.isCallExpression(node) && /test/i.test(node.expression.getText(source))) {
      const title = titleOf(node.arguments[0], source);
      if (title !== null) titles.push(title);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { titles, literals };
}

const literally = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/**
 * Whether a title includes `text`. Of a title with expressions, `text` may be a part of its source, or the whole of it
 * with each expression replaced by words that the file has as a literal.
 */
export function hasTitle(file: TitledFile, text: string): boolean {
  for (const { pieces, source } of file.titles) {
    if (source.includes(text)) return true;
    if (pieces.length === 1) continue;
    const values = new RegExp(`^${pieces.map(literally).join('(.+?)')}$`).exec(text);
    if (values?.slice(1).every((value) => file.literals.has(value))) return true;
  }
  return false;
}
