/**
 * tidy: what a reader can hold. Lines of at most 120 columns; functions that fit a screen; files that are
 * one idea; every source file says first what it is; no leftovers; test names are laws or questions.
 */
import { lineOf, type Node, type SourceFile, walk } from "@ringside/checker/transform/source";
import { isTest } from "../source.ts";
import { type Finding, finding, type Rule } from "./rule.ts";

const COLUMNS_MAX = 120;
const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 350;

/** Written in two halves so that this file passes its own check. */
const BANNED = [/\bFIX(?:ME)\b/, /\bXX(?:X)\b/, /remove before (?:merge)/i];

export const tidy: Rule = {
  name: "tidy",
  check: (files) =>
    files.flatMap((file) => {
      const findings = checkLines(file);
      if (isTest(file.path)) findings.push(...checkTestNames(file));
      else findings.push(...checkSize(file), ...checkHead(file));
      return findings;
    }),
};

function checkLines(file: SourceFile): Finding[] {
  const findings: Finding[] = [];
  file.source.split("\n").forEach((line, i) => {
    const start = file.lineStarts[i] as number;
    if (line.length > COLUMNS_MAX) {
      const message = `${line.length} columns, at most ${COLUMNS_MAX}`;
      findings.push(finding(file, start + COLUMNS_MAX, "tidy", message));
    }
    for (const word of BANNED) {
      const match = word.exec(line);
      if (match) findings.push(finding(file, start + match.index, "tidy", `leftover "${match[0]}"`));
    }
  });
  return findings;
}

function checkSize(file: SourceFile): Finding[] {
  const findings: Finding[] = [];
  const lines = file.lineStarts.length - (file.source.endsWith("\n") ? 1 : 0);
  if (lines > FILE_LINES_MAX) {
    const message = `file of ${lines} lines, at most ${FILE_LINES_MAX}: split it`;
    findings.push(finding(file, 0, "tidy", message));
  }
  walk(file.program, (node, ancestors) => {
    if (!isFunction(node)) return;
    const length = lineOf(file, node.end) - lineOf(file, node.start) + 1;
    if (length <= FUNCTION_LINES_MAX) return;
    const name = functionName(node, ancestors.at(-1));
    findings.push(
      finding(file, node.start, "tidy", `${name} has ${length} lines, at most ${FUNCTION_LINES_MAX}`),
    );
  });
  return findings;
}

/** Where the head comment is the contract of the file. */
const HEADED = /^(?:packages\/[^/]+|workers|scenarios)\/src\/(?!index\.ts$)/;

function checkHead(file: SourceFile): Finding[] {
  if (!HEADED.test(file.path)) return [];
  const start = /^(?:#![^\n]*\n)?\s*/.exec(file.source)?.[0].length ?? 0;
  const head = file.comments.find((comment) => comment.start === start);
  if (head && head.value.replace(/[*\s]/g, "").length > 0) return [];
  return [finding(file, 0, "tidy", "no head comment: say first what this file is and how to use it")];
}

function checkTestNames(file: SourceFile): Finding[] {
  const findings: Finding[] = [];
  walk(file.program, (node) => {
    if (node.type !== "CallExpression") return;
    let callee: Node = node.callee;
    while (callee.type === "MemberExpression" || callee.type === "CallExpression") {
      callee = callee.type === "MemberExpression" ? callee.object : callee.callee;
    }
    if (callee.type !== "Identifier" || !["it", "test", "describe"].includes(callee.name)) return;
    const [first] = node.arguments;
    if (!first || !/^[`"']should\b/i.test(file.source.slice(first.start, first.end))) return;
    findings.push(finding(file, first.start, "tidy", 'a test name is a law or a question, not "should ..."'));
  });
  return findings;
}

function isFunction(node: Node): boolean {
  return /^(?:FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type);
}

function functionName(node: Node, parent: Node | undefined): string {
  if ("id" in node && node.id?.type === "Identifier") return node.id.name;
  if (parent && "key" in parent && parent.key?.type === "Identifier") return parent.key.name;
  if (parent?.type === "VariableDeclarator" && parent.id.type === "Identifier") return parent.id.name;
  return "function";
}
