/**
 * Loads a check scenario as a program for the checker: its sources as coroutines, with a mutant's edits where the form
 * or the caller wants one. Controlled modules are instances of their own, so this may be called in any thread, next to
 * a kernel that was loaded natively, and several times.
 *
 * Interface: `const { program, expect } = await loadScenario({ scenario: "token-recheck", form: "a1" })`, then
 * `new Execution(program)`. Throws ScenarioError for a name that is not there, OutsideSubset for sources that cannot
 * be controlled.
 */
import { fileURLToPath } from "node:url";
import type { Program } from "@ringside/checker/program";
import {
  type ControlledLoader,
  type Granularity,
  registerControlled,
} from "@ringside/checker/transform/load";
import type { KernelConfig, Variant } from "@ringside/core/mm/memory-map";
import { findMutant } from "@ringside/mutants/index";
import { mutateSource } from "@ringside/mutants/mutant";
import { check_scenarios } from "@ringside/scenarios/check/index";
import {
  type CheckScenario,
  CORRECT,
  type Expectation,
  expectation,
  type KernelForm,
  type KernelScenario,
  type MemoryForm,
  type MemoryScenario,
} from "@ringside/scenarios/check/scenario";

export interface ScenarioRequest {
  readonly scenario: string;
  /** Default "correct". */
  readonly form?: string;
  /** Default: what the form says. */
  readonly variant?: Variant;
  /** Default: what the form says. */
  readonly mutant?: string;
  /** Overrides, after the form's own. */
  readonly config?: Partial<KernelConfig>;
}

/** What is checked; plain data. */
export interface Subject {
  readonly scenario: string;
  readonly kind: CheckScenario["kind"];
  readonly summary: string;
  readonly form: string;
  readonly variant: Variant | undefined;
  readonly mutant: string | undefined;
}

export interface LoadedScenario {
  readonly program: Program;
  readonly subject: Subject;
  /** "clean" or a FailureKind. */
  readonly expect: Expectation;
  /** Part of the expected failure's message. */
  readonly message: string | undefined;
}

/** A name that is not there; the message lists those that are. */
export class ScenarioError extends Error {
  override readonly name: string = "ScenarioError";
}

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const INDEX = import.meta.resolve("@ringside/scenarios/check/index");
const MACHINE = import.meta.resolve("@ringside/scenarios/check/machine");

type Registry = typeof import("@ringside/scenarios/check/index");
type MachineModule = typeof import("@ringside/scenarios/check/machine");

/** Loaders of this thread, by granularity and mutant. */
const loaders = new Map<string, ControlledLoader>();

function loaderOf(granularity: Granularity, mutant: string | undefined): ControlledLoader {
  const key = `${granularity} ${mutant ?? ""}`;
  const known = loaders.get(key);
  if (known !== undefined) return known;
  const edits = mutant === undefined ? undefined : findMutant(mutant);
  const loader = registerControlled({
    entry: [INDEX, MACHINE],
    granularity,
    root: ROOT,
    ...(edits === undefined ? {} : { source: (path, text) => mutateSource(edits, path, text) }),
  });
  loaders.set(key, loader);
  return loader;
}

function find<T>(what: string, name: string, table: Readonly<Record<string, T>>): T {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  throw new ScenarioError(`unknown ${what} ${name}: expected ${Object.keys(table).join(", ")}`);
}

function scenarioNamed(name: string, scenarios: readonly CheckScenario[]): CheckScenario {
  return find("scenario", name, Object.fromEntries(scenarios.map((scenario) => [scenario.name, scenario])));
}

export function findScenario(name: string): CheckScenario {
  return scenarioNamed(name, check_scenarios);
}

function memoryProgram(scenario: MemoryScenario, name: string, form: MemoryForm): Program {
  const { setup, bytes, spins } = scenario;
  const { after } = form;
  return {
    name: `${scenario.name} (${name})`,
    bytes,
    threads: Object.entries(form.threads).map(([thread, body]) => ({ name: thread, body })),
    ...(spins === undefined ? {} : { spins }),
    ...(setup === undefined ? {} : { setup }),
    ...(after === undefined ? {} : { after }),
  };
}

/** The form and its mutant, as the native sources have them. */
function subjectOf(request: ScenarioRequest): {
  readonly subject: Subject;
  readonly form: KernelForm | MemoryForm;
} {
  const scenario = findScenario(request.scenario);
  const name = request.form ?? CORRECT;
  const form = find<KernelForm | MemoryForm>(`form of ${scenario.name}`, name, scenario.forms);
  if (scenario.kind === "memory") refuse_kernel(request);
  const config = "config" in form ? form.config : undefined;
  const subject = {
    scenario: scenario.name,
    kind: scenario.kind,
    summary: form.summary,
    form: name,
    variant: request.variant ?? request.config?.variant ?? config?.variant,
    mutant: request.mutant ?? form.mutant,
  };
  return { subject, form };
}

/** A scenario of atomics-sync runs no kernel: what is asked of the kernel would change nothing, and say it had. */
function refuse_kernel({ scenario, variant, mutant }: ScenarioRequest): void {
  if (variant !== undefined) throw new ScenarioError(`${scenario} runs no kernel: it has no variants`);
  const edits = mutant === undefined ? [] : (findMutant(mutant)?.edits ?? []);
  if (edits.some(({ file }) => file.startsWith("packages/atomics-sync/")) || mutant === undefined) return;
  throw new ScenarioError(`${scenario} runs no kernel: mutant ${mutant} would change nothing`);
}

export async function loadScenario(request: ScenarioRequest): Promise<LoadedScenario> {
  const { subject, form } = subjectOf(request);
  const { kind, mutant, variant } = subject;
  const loader = loaderOf(kind === "kernel" ? "sync" : "all", mutant);
  const registry = (await loader.import(INDEX)) as Registry;
  const scenario = scenarioNamed(subject.scenario, registry.check_scenarios);
  let program: Program;
  if (scenario.kind === "memory") {
    program = memoryProgram(scenario, subject.form, scenario.forms[subject.form] as MemoryForm);
  } else {
    const overrides = { ...request.config, ...(variant === undefined ? {} : { variant }) };
    const machine = (await loader.import(MACHINE)) as MachineModule;
    program = machine.kernel_program(
      scenario satisfies KernelScenario,
      subject.form,
      scenario.forms[subject.form] as KernelForm,
      overrides,
    );
  }
  return { program, subject, expect: expectation(form, variant), message: form.message };
}
