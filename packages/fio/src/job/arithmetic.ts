/**
 * Integer arithmetic: `(4*1024)`, `(2k+2)*8`, `$pagesize*4`. + - * / % ^ and parentheses; an amount may have a
 * suffix, and so may a closing parenthesis. Division rounds towards zero. fio knows parentheses when it was
 * built with them, and asks bc for a value that a $keyword stands in.
 */

/** The factor of a suffix, or undefined if it is none. */
export type SuffixFactor = (suffix: string) => number | undefined;

const TOKEN = /\s*(?:(0x[0-9a-f]+|\d+)([a-z]*)|([-+*/%^()])([a-z]*))/iy;

interface Token {
  readonly number?: number;
  readonly sign?: string;
  readonly suffix: string;
}

function tokens(text: string): Token[] | undefined {
  const list: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const found = TOKEN.exec(text);
    if (found === null) return undefined;
    const [, digits, unit, sign, signUnit] = found;
    if (digits !== undefined) list.push({ number: Number(digits), suffix: unit ?? "" });
    else if (sign !== undefined) list.push({ sign, suffix: signUnit ?? "" });
  }
  return list;
}

/** Binding strength: fio's grammar. */
const STRENGTH: Readonly<Record<string, number>> = { "+": 1, "-": 1, "*": 2, "/": 2, "^": 3, "%": 4 };

class Evaluator {
  readonly list: readonly Token[];
  readonly factor: SuffixFactor;
  next = 0;
  units = false;

  constructor(list: readonly Token[], factor: SuffixFactor) {
    this.list = list;
    this.factor = factor;
  }

  /** NaN if the text is no expression. */
  expression(strength: number): number {
    let left = this.operand();
    for (;;) {
      const sign = this.list[this.next]?.sign ?? "";
      const own = STRENGTH[sign];
      if (own === undefined || own < strength || this.list[this.next]?.suffix !== "") return left;
      this.next++;
      const right = this.expression(sign === "^" ? own : own + 1);
      left = combine(sign, left, right);
    }
  }

  operand(): number {
    const token = this.list[this.next++];
    if (token === undefined) return Number.NaN;
    if (token.number !== undefined) return this.scaled(token.number, token.suffix);
    if (token.suffix === "" && token.sign === "-") return -this.operand();
    if (token.suffix !== "" || token.sign !== "(") return Number.NaN;
    const inner = this.expression(1);
    const close = this.list[this.next++];
    return close?.sign === ")" ? this.scaled(inner, close.suffix) : Number.NaN;
  }

  scaled(value: number, suffix: string): number {
    if (suffix === "") return value;
    this.units = true;
    return value * (this.factor(suffix) ?? Number.NaN);
  }
}

function combine(sign: string, left: number, right: number): number {
  if (sign === "+") return left + right;
  if (sign === "-") return left - right;
  if (sign === "*") return left * right;
  if (sign === "^") return Math.trunc(left ** right);
  if (right === 0) return Number.NaN;
  return sign === "/" ? Math.trunc(left / right) : left % right;
}

/** The value and whether a suffix stood somewhere; undefined if `text` is no expression. */
export function evaluate(text: string, factor: SuffixFactor): { value: number; units: boolean } | undefined {
  const list = tokens(text);
  if (list === undefined || list.length === 0) return undefined;
  const evaluator = new Evaluator(list, factor);
  const value = evaluator.expression(1);
  if (evaluator.next !== list.length || !Number.isFinite(value)) return undefined;
  return { value, units: evaluator.units };
}
