/** The log tells its platform. */
import { expect, test } from "vitest";
import { boot_solo } from "../testing/solo.ts";
import { LOG_BUG, LOG_INFO, LOG_WARN, printk, printk_lines } from "./dmesg.ts";

test("a platform that asks hears of warnings as they enter the log, and of no information", () => {
  const heard: [number, string][] = [];
  const cpu = boot_solo({ platform: { now: () => 0, logged: (level, text) => heard.push([level, text]) } });
  printk(cpu, LOG_INFO, "all is well");
  printk(cpu, LOG_WARN, "it is not");
  printk_lines(cpu, LOG_BUG, ["a report", "of two lines"]);
  expect(heard).toEqual([
    [LOG_WARN, "it is not"],
    [LOG_BUG, "a report\nof two lines"],
  ]);
});
