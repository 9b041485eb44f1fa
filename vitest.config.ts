import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{packages/*,workers,scenarios,bench,test,tools}/**/*.test.ts"],
    reporters: ["default", "./test/src/closing-line.ts"],
    // Tests and sources run under Node's own loader, exactly as in production.
    experimental: { viteModuleRunner: false },
    // Two cores: one test file boots machines while another computes.
    maxWorkers: 2,
    // Concurrent tests are those that mostly wait, for machines that hang.
    maxConcurrency: 3,
    testTimeout: 60_000,
  },
});
