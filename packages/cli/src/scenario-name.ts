/** What `ringside check` is asked to check: a path of a module, or a scenario with a form; or the nearest names. */
import { nearest } from "@ringside/mutants/nearest";
import { check_scenarios } from "@ringside/scenarios/check/index";
import { type CheckTarget, CheckUsageError, type ScenarioTarget } from "@ringside/workers/check-request";

/** Has a folder or the ending of a module; names of scenarios have neither. */
export function is_path(text: string): boolean {
  return /[/\\]/.test(text) || /\.[cm]?[jt]s(#|$)/.test(text);
}

interface Choices {
  readonly form?: string | undefined;
  readonly variant?: ScenarioTarget["variant"] | undefined;
  readonly mutant?: string | undefined;
}

/** Throws CheckUsageError. */
export function scenario_target(name: string, { form, variant, mutant }: Choices): CheckTarget {
  const scenario = check_scenarios.find((each) => each.name === name);
  if (scenario === undefined) {
    const names = check_scenarios.map((each) => each.name);
    throw unknown("scenario", name, names, "ringside list scenarios; paths begin with ./");
  }
  if (form !== undefined && !Object.hasOwn(scenario.forms, form)) {
    throw unknown(`form of ${name}`, form, Object.keys(scenario.forms), "ringside list scenarios");
  }
  return {
    scenario: name,
    ...(form === undefined ? {} : { form }),
    ...(variant === undefined ? {} : { variant }),
    ...(mutant === undefined ? {} : { mutant }),
  };
}

function unknown(what: string, name: string, names: readonly string[], see: string): CheckUsageError {
  const close = nearest(name, names);
  const hint = close.length > 0 ? `nearest: ${close.join(", ")}` : "there are none";
  return new CheckUsageError(`unknown ${what} "${name}"; ${hint} (see ${see})`);
}
