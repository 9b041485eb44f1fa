/**
 * The idle loop of a CPU that runs no workload. The thread is in its event loop, so that the host can reach
 * it, yet an interrupt or a timer must still be served: the queue of this CPU may carry other threads' I/O.
 *
 * Interface: `idle_loop(cpu)` once; around each workload `idle_leave`, `idle_enter`.
 */
import { timers_next_ms } from "@ringside/core/sched/timer";
import { irq_is_pending } from "@ringside/core/sched/irq";
import { cond_resched, cpu_enter, cpu_exit } from "@ringside/core/sched/schedule";
import {
  futex_retract,
  idle_announce,
  idle_until,
  idle_word,
  wake_sequence,
} from "@ringside/core/sched/task";
import { virtual_clock_join } from "@ringside/core/sched/virtual-clock";
import type { Cpu } from "@ringside/core/sched/cpu";

/** Looks at its reasons at least so often (ms): bounds the wait when the machine is torn down. */
const IDLE_MS = 1000;

/** Takes interrupts and timers once, as a safe point does. */
function serve_once(cpu: Cpu): void {
  if (is_virtual(cpu)) virtual_clock_join(cpu);
  cpu_enter(cpu);
  cond_resched(cpu);
  cpu_exit(cpu);
}

function is_virtual(cpu: Cpu): boolean {
  return cpu.config.clock === "virtual";
}

/** From here on kicks reach the event loop. */
export function idle_enter(cpu: Cpu): void {
  let sequence: number;
  do {
    sequence = wake_sequence(cpu);
    idle_announce(cpu);
    // Raised before the announcement: nobody kicked the event loop for it.
    if (irq_is_pending(cpu)) serve_once(cpu);
  } while (!idle_until(cpu, sequence, timers_next_ms(cpu)));
}

export function idle_leave(cpu: Cpu): void {
  if (is_virtual(cpu)) virtual_clock_join(cpu);
  futex_retract(cpu);
}

/** Serves this CPU between workloads, for as long as its thread lives. */
export async function idle_loop(cpu: Cpu): Promise<never> {
  const word = idle_word(cpu);
  for (;;) {
    const sequence = cpu.mem.loadAcquire(word);
    idle_enter(cpu);
    // Virtual time-outs kick.
    const limit = is_virtual(cpu) ? IDLE_MS : Math.min(IDLE_MS, timers_next_ms(cpu) - cpu.now());
    await cpu.mem.waitAsync(word, sequence, Math.max(0, limit));
    serve_once(cpu);
  }
}
