/** Mutants of the block layer (block/*). */
import type { Mutant } from "./mutant.ts";

const BLOCK = "packages/core/src/block";

export const BLOCK_MUTANTS: readonly Mutant[] = [
  {
    name: "block-completes-twice",
    edits: [
      {
        file: `${BLOCK}/rq-state.ts`,
        find: "return cpu.mem.compareExchange(rq + STATE, IN_FLIGHT, COMPLETE) === IN_FLIGHT;",
        replace: "cpu.mem.writeOnce(rq + STATE, COMPLETE);\n  return true;",
      },
    ],
    breaks: "A time-out handler and a completion may both end a request.",
    caughtBy: ["completed once more, while the walk holds it: expected 0", "ends of request 0: expected 1"],
    conformance: { suite: "blk-mq", case: "a late completion loses" },
  },
  {
    name: "block-completes-unasked",
    edits: [
      {
        file: `${BLOCK}/rq-state.ts`,
        find: "if (cpu.mem.readOnce(rq + STATE) !== IN_FLIGHT) return false;",
        replace: "",
      },
    ],
    breaks: "A request that is complete, or was never started, can be completed.",
    caughtBy: ["the second loses"],
    conformance: { suite: "blk-mq", case: "a late completion loses" },
  },
  {
    name: "block-tag-freed-early",
    edits: [
      {
        file: `${BLOCK}/rq-state.ts`,
        find: "if (queue_iterated(cpu, q)) return cpu.mem.fetchSub(rq + REF, 1) === 1;",
        replace: "",
      },
    ],
    breaks: "A tag is free although a time-out handler holds a reference to its request.",
    caughtBy: ["tags in use during the visit: expected 1, got 0"],
    conformance: { suite: "blk-mq", case: "a tag is taken until the last reference is dropped" },
  },
  {
    name: "block-wakeup-kept",
    edits: [
      {
        file: `${BLOCK}/tags.ts`,
        find: "if (starved || current_state(cpu) === TASK_RUNNING) wake_up(cpu, wait);",
        replace: "",
      },
    ],
    breaks: "A waiter that has its tag keeps the wake-up meant for the next one.",
    caughtBy: ["a wake-up was lost"],
    conformance: { suite: "blk-mq", case: "a waiter passes its wake-up on" },
  },
  {
    name: "block-freeze-waits-for-nothing",
    edits: [
      {
        file: `${BLOCK}/freeze.ts`,
        find: "const zero = percpu_ref_is_zero(cpu, queue_usage(q));",
        replace: "const zero = true as boolean;",
      },
    ],
    breaks: "A frozen queue may still have requests inside.",
    caughtBy: ["with a request in flight: expected 0"],
    conformance: { suite: "blk-mq", case: "freeze waits for zero" },
  },
  {
    name: "block-thaws-early",
    edits: [
      {
        file: `${BLOCK}/freeze.ts`,
        find: "if (depth === 0) {\n    percpu_ref_resurrect",
        replace: "if (depth === 1) {\n    percpu_ref_resurrect",
      },
    ],
    breaks: "Freezes do not count: the last but one thaws.",
    caughtBy: ["frozen 1 times: expected"],
    conformance: { suite: "blk-mq", case: "freezes nest" },
  },
  {
    name: "block-timeout-waits-for-thaw",
    edits: [
      {
        file: `${BLOCK}/timeout.ts`,
        find: "if (!blk_queue_tryget(cpu, q)) return;",
        replace: "if (blk_queue_enter(cpu, q, 1) < 0) return;",
      },
      {
        file: `${BLOCK}/timeout.ts`,
        find: "  blk_queue_exit,\n",
        replace: "  blk_queue_enter,\n  blk_queue_exit,\n",
      },
    ],
    breaks: "Time-outs are not handled while somebody waits to freeze the queue.",
    caughtBy: ["the time-out ends what the freezer waits for", "hung"],
    conformance: { suite: "blk-mq", case: "a time-out ends what a freezer waits for" },
  },
  {
    name: "block-timer-not-reset",
    edits: [
      { file: `${BLOCK}/timeout.ts`, find: "  blk_add_timer(cpu, rq_queue(cpu, rq), rq);\n", replace: "" },
    ],
    breaks: "A driver that wants more time for a request is never asked again.",
    caughtBy: ["the driver is asked again and again"],
    conformance: { suite: "blk-mq", case: "BLK_EH_RESET_TIMER" },
  },
  {
    name: "block-death-is-silent",
    edits: [
      {
        file: `${BLOCK}/freeze.ts`,
        find: "wake_up_all(cpu, q + Q_FREEZE_WQ);\n  if (tell)",
        replace: "if (tell)",
      },
    ],
    breaks: "Who waits to enter a queue is not told that it dies.",
    caughtBy: ["hung"],
    conformance: { suite: "blk-mq", case: "removal with somebody waiting for a thaw" },
  },
  {
    name: "block-quiesced-queue-issues",
    edits: [
      {
        file: `${BLOCK}/issue.ts`,
        find: "if (blk_queue_quiesced(cpu, rq_queue(cpu, rq))) blk_mq_hold_request(cpu, rq);\n  else",
        replace: "",
      },
    ],
    breaks: "A quiesced queue sends requests to the driver.",
    caughtBy: ["requests the driver saw: expected 0"],
    conformance: { suite: "blk-mq", case: "quiesce" },
  },
];
