/**
 * Mutant × strategy × executions: how soon each strategy finds each broken form of the check scenarios, and what told.
 *
 * Interface: `for await (const row of mutantTable(options))`, then tableText(rows) for the whole. One thread; forms one
 * after the other.
 */
import { defaultMonitors } from "@ringside/checker/detect/index";
import { Execution } from "@ringside/checker/execution";
import { explore } from "@ringside/checker/explore";
import { makeStrategy } from "@ringside/checker/strategy/index";
import { check_scenarios } from "@ringside/scenarios/check/index";
import { CORRECT, is_expected } from "@ringside/scenarios/check/scenario";
import { loadScenario } from "./load.ts";

export const TABLE_STRATEGIES: readonly string[] = ["random", "pct", "pos", "surw", "bounded", "portfolio"];

/** Searches without chance: one tells all. */
const SEEDLESS: readonly string[] = ["bounded", "dfs", "dpor"];

export interface TableOptions {
  /** Default TABLE_STRATEGIES. */
  readonly strategies?: readonly string[];
  /** Searches for each cell, with seeds 1, 2, ...; default 3. Odd, so that there is one in the middle. */
  readonly seeds?: number;
  /** Executions of one search at most; default 10,000. */
  readonly limit?: number;
  /** Names of scenarios; default all. */
  readonly scenarios?: readonly string[];
}

/** The searches of one strategy for one form. */
export interface Cell {
  readonly strategy: string;
  /** Executions to the first finding, that one included, in ascending order; Infinity where there was none. */
  readonly executions: readonly number[];
  /** Kinds of the findings. */
  readonly kinds: readonly string[];
}

export interface Row {
  readonly scenario: string;
  readonly form: string;
  readonly mutant: string | undefined;
  readonly expect: string;
  readonly cells: readonly Cell[];
}

/** A row for each form that is expected to fail. */
export async function* mutantTable(options: TableOptions = {}): AsyncGenerator<Row> {
  for (const { name, forms } of check_scenarios) {
    if (options.scenarios !== undefined && !options.scenarios.includes(name)) continue;
    for (const [form, { mutant, expect }] of Object.entries(forms)) {
      if (form === CORRECT || is_expected(expect, undefined)) continue;
      yield { scenario: name, form, mutant, expect, cells: await cellsOf(name, form, options) };
    }
  }
}

async function cellsOf(scenario: string, form: string, options: TableOptions): Promise<Cell[]> {
  const { strategies = TABLE_STRATEGIES, seeds = 3, limit = 10_000 } = options;
  const { program } = await loadScenario({ scenario, form });
  return strategies.map((strategy) => {
    const executions: number[] = [];
    const kinds = new Set<string>();
    const searches = SEEDLESS.includes(strategy) ? 1 : seeds;
    for (let seed = 1; seed <= searches; seed++) {
      const execution = new Execution(program, { monitors: defaultMonitors() });
      const found = explore(execution, makeStrategy(strategy, { seed }), { executions: limit });
      executions.push(found.failure === undefined ? Number.POSITIVE_INFINITY : found.executions);
      if (found.failure?.outcome.finding !== undefined) kinds.add(found.failure.outcome.finding.kind);
    }
    return { strategy, executions: executions.toSorted((a, b) => a - b), kinds: [...kinds] };
  });
}

/** The one in the middle; "-" if that found nothing. */
export function median({ executions }: Cell): string {
  const middle = executions[executions.length >> 1] as number;
  return middle === Number.POSITIVE_INFINITY ? "-" : String(middle);
}

/** A Markdown table: medians, and what told, over all strategies. */
export function tableText(rows: readonly Row[]): string {
  const strategies = rows[0]?.cells.map((cell) => cell.strategy) ?? [];
  const head = ["scenario", "form", "mutant", ...strategies, "found as"];
  const lines = rows.map(({ scenario, form, mutant, cells }) => {
    const kinds = [...new Set(cells.flatMap((cell) => cell.kinds))];
    const planted = mutant === undefined ? "" : `\`${mutant}\``;
    return [scenario, form, planted, ...cells.map(median), kinds.join(", ")];
  });
  const rule = head.map((_, i) => (i > 2 && i < head.length - 1 ? "--:" : "---"));
  return [head, rule, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
