import type { Reporter, TestModule } from "vitest/node";

/** Ends the run with the plain line that scripts can read: `N passed, N failed`. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0;
    let failed = 0;
    for (const module of modules) {
      if (!module.ok() && [...module.children.allTests()].length === 0) failed++;
      for (const test of module.children.allTests("passed")) if (test.ok()) passed++;
      failed += [...module.children.allTests("failed")].length;
    }
    console.log(`${passed} passed, ${failed} failed`);
  }
}
