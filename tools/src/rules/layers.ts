/**
 * layers: imports run downwards only, and across packages only by package name.
 *
 * The order is the table below. Two packages that are not in each other's row never meet: nvme-emu and
 * uring-emu know each other only through core. The packages that run as coroutines and in a browser take
 * no Node module and no dependency.
 */
import type { SourceFile } from "@ringside/checker/transform/source";
import { importsOf } from "../imports.ts";
import { isTest, packageOf } from "../source.ts";
import { type Finding, finding, type Rule } from "./rule.ts";

const KERNEL = ["atomics-sync", "core", "nvme-emu", "uring-emu", "scenarios"];
const ANYTHING = [
  ...KERNEL,
  "mutants",
  "checker",
  "fio",
  "workers",
  "conformance",
  "bench",
  "cli",
  "tools",
  "test",
];

/** What each package may import, besides itself. A package that is not listed may import nothing of ours. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "atomics-sync": [],
  mutants: [],
  fio: [],
  core: ["atomics-sync"],
  "nvme-emu": ["atomics-sync", "core"],
  "uring-emu": ["atomics-sync", "core"],
  scenarios: ["atomics-sync", "core", "nvme-emu", "uring-emu"],
  checker: ["atomics-sync"],
  workers: [...KERNEL, "mutants", "checker", "fio"],
  conformance: [...KERNEL, "mutants", "checker", "workers"],
  bench: [...KERNEL, "mutants", "checker", "workers", "conformance"],
  cli: [...KERNEL, "mutants", "checker", "fio", "workers", "conformance", "bench"],
  test: ANYTHING,
  tools: ANYTHING,
};

function isSelfContained(path: string): boolean {
  return KERNEL.includes(packageOf(path)) && path.includes("/src/") && !isTest(path);
}

export const layers: Rule = { name: "layers", check: (files) => files.flatMap(checkFile) };

function checkFile(file: SourceFile): Finding[] {
  const findings: Finding[] = [];
  const from = packageOf(file.path);
  const report = (offset: number, message: string): number =>
    findings.push(finding(file, offset, "layers", message));

  for (const { specifier, target, offset } of importsOf(file)) {
    if (target === undefined) {
      if (isSelfContained(file.path)) {
        report(offset, `${from} runs in a browser and under the checker: no "${specifier}" here`);
      }
      continue;
    }
    const to = packageOf(target);
    if (from === to) {
      if (target.endsWith(".test.ts")) report(offset, `"${specifier}" is a test: nothing imports tests`);
      continue;
    }
    const allowed = MAY_IMPORT[from] ?? [];
    if (!allowed.includes(to)) {
      const may = allowed.length === 0 ? "nothing of ours" : allowed.join(", ");
      report(offset, `${from} may not import ${to} (it may import ${may})`);
    } else if (specifier.startsWith(".")) {
      report(offset, `"${specifier}" leaves ${from}: import ${to} by its package name`);
    }
  }
  return findings;
}
