/**
 * The adversary: an exporter that evicts, restores, moves, invalidates and holds reservations of the I/O
 * tasks' buffers, at random, as long as the machine runs.
 */
import { EINTR, ENOMEM, ERESTARTSYS, errname } from "@ringside/core/debug/errno";
import { violation } from "@ringside/core/debug/warn";
import { vram_async_move } from "@ringside/core/dma/exporters/vram-async";
import {
  vram_evict,
  vram_hold_resv,
  vram_invalidate,
  vram_invalidate_and_hold,
  vram_move,
  vram_restore,
} from "@ringside/core/dma/exporters/vram-move";
import type { VramBufPtr } from "@ringside/core/dma/exporters/vram";
import type { Cpu } from "@ringside/core/sched/cpu";
import { machine_should_stop } from "@ringside/core/sched/kthread";
import { cond_resched, schedule_timeout } from "@ringside/core/sched/schedule";
import { set_current_state, TASK_UNINTERRUPTIBLE } from "@ringside/core/sched/task";
import { ACTIONS, stress_count } from "./stress-counters.ts";
import { registry_borrow, registry_return } from "./stress-registry.ts";
import { type Args, number_arg, type Result } from "./workload.ts";

/** How long it keeps a reservation (ms): long enough for others to queue up behind it. */
const HOLD_MS = 2;

/** One action on a buffer. Chances in percent: evict 25, restore 20, move 20, async 15, invalidate 10, hold 10. */
function act(cpu: Cpu, buf: VramBufPtr): number {
  const dice = cpu.random32() % 100;
  if (dice < 25) return vram_evict(cpu, buf);
  if (dice < 45) return vram_restore(cpu, buf);
  if (dice < 65) return vram_move(cpu, buf);
  if (dice < 80) return vram_async_move(cpu, buf, dice < 72);
  if (dice < 90) return vram_invalidate(cpu, buf);
  if (dice < 95) return vram_invalidate_and_hold(cpu, buf, HOLD_MS);
  return vram_hold_resv(cpu, buf, HOLD_MS);
}

/** Short of memory or interrupted is life; anything else an exporter's verb does not return. */
function expected(error: number): boolean {
  return error >= 0 || error === -ENOMEM || error === -EINTR || error === -ERESTARTSYS;
}

function pause_ms(cpu: Cpu, ms: number): void {
  set_current_state(cpu, TASK_UNINTERRUPTIBLE);
  if (!machine_should_stop(cpu)) schedule_timeout(cpu, ms);
  else cond_resched(cpu);
}

/** args: invalidateMs, the pause between actions. Runs until the machine stops. */
export function stress_exporter(cpu: Cpu, args: Args): Result {
  const pause = number_arg(args, "invalidateMs");
  let failures = 0;
  while (!machine_should_stop(cpu)) {
    const buf = registry_borrow(cpu);
    if (buf !== 0) {
      const error = act(cpu, buf);
      if (error < 0) failures++;
      if (!expected(error)) violation(cpu, "exporter-error", `an exporter's move returned ${errname(error)}`);
      registry_return(cpu, buf);
    }
    // Finding nothing to do is progress too.
    stress_count(cpu, ACTIONS, 1);
    pause_ms(cpu, pause);
  }
  return { failures };
}
