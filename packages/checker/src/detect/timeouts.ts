/**
 * Time-outs: an execution that went on only because a wait ran out of time, when nothing else could run, hides a lost
 * wake-up or a deadlock behind its time-out. For lazy time-outs; early ones are choices, not symptoms.
 */
import type { ControlledMemory } from "../controlled-memory.ts";
import type { Monitor } from "../monitor.ts";
import { siteText } from "../runtime.ts";
import type { World } from "../world.ts";
import { hex } from "./race-report.ts";

export class Timeouts implements Monitor {
  readonly name: string = "timeouts";
  private world: World | undefined = undefined;
  private late: boolean = false;
  private thread: number = 0;
  private site: number = 0;
  private place: number = 0;

  begin(): void {
    this.late = false;
  }

  executed(mem: ControlledMemory): void {
    this.world = mem.world;
  }

  woken(sleeper: number, waker: number): void {
    const mem = this.world?.threads[sleeper]?.mem;
    if (waker >= 0 || this.late || mem === undefined || mem.waitResult !== "timed-out") return;
    this.late = true;
    this.thread = sleeper;
    this.site = mem.site;
    this.place = mem.p;
  }

  end(): void {
    const { world } = this;
    if (!this.late || world === undefined) return;
    const who = `${world.nameOf(this.thread)} at ${siteText(this.site)}`;
    world.find({
      kind: "lost-wakeup",
      message: `progress by time-out only: nothing could run until the wait of ${who} on ${hex(this.place)} timed out`,
      thread: this.thread,
      site: this.site,
    });
  }
}
