import { defineConfig } from "vitest/config";
import { compileCache } from "./workers/src/thread-start.ts";
import SlowFirst from "./test/src/slow-first.ts";

// Every process and thread of a run loads stripped sources from the cache that machines use.
Object.assign(process.env, compileCache());

export default defineConfig({
  test: {
    include: ["{packages/*,workers,scenarios,bench,test,tools}/**/*.test.ts"],
    reporters: ["default", "./test/src/closing-line.ts"],
    // Tests and sources run under Node's own loader, exactly as in production.
    experimental: { viteModuleRunner: false },
    // Threads live for a second and mostly load modules: in a small young generation a fifth of that is collecting.
    execArgv: ["--min-semi-space-size=4"],
    // Two cores: one test file boots machines while another computes.
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
    // Concurrent tests are those that mostly wait, for machines that hang.
    maxConcurrency: 3,
    testTimeout: 60_000,
  },
});
