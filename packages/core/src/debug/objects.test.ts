/** Debug objects: what is active is found wherever it lies, what is not is not. misuse.test.ts has the real types. */
import { beforeEach, expect, test } from "vitest";
import type { Cpu } from "../sched/cpu.ts";
import { boot_solo, dmesg } from "../testing/solo.ts";
import { kernel_symbol } from "./image.ts";
import {
  debug_check_no_obj_freed,
  debug_obj_fixup,
  debug_obj_type,
  debug_object_activate,
  debug_object_deactivate,
  debug_object_init,
} from "./objects.ts";

const THING = debug_obj_type("thing", 0);
const STUCK = debug_obj_type("stuck", 3);
let fixed: number[] = [];
debug_obj_fixup(THING, kernel_symbol(fix_thing));
const HINT = kernel_symbol(hint_of_thing);

function fix_thing(_cpu: Cpu, object: number): void {
  fixed.push(object);
}
function hint_of_thing(): void {}

const AREA = 0x100000;

let cpu: Cpu;
beforeEach(() => {
  cpu = boot_solo();
  fixed = [];
});

test("an active object in freed memory is told once, in Linux's words, and fixed", () => {
  debug_object_activate(cpu, AREA + 40, THING, HINT);
  expect(debug_check_no_obj_freed(cpu, AREA, 64)).toBe(true);
  expect(debug_check_no_obj_freed(cpu, AREA, 64)).toBe(true);
  expect(dmesg(cpu)).toEqual([
    expect.stringContaining(
      "ODEBUG: free active (active state 0) object: 0x100028 object type: thing hint: hint_of_thing",
    ),
  ]);
  expect(fixed).toEqual([AREA + 40]);
});

test("what cannot be fixed keeps its memory", () => {
  debug_object_activate(cpu, AREA, STUCK, HINT);
  expect(debug_check_no_obj_freed(cpu, AREA, 8)).toBe(false);
  expect(dmesg(cpu)[0]).toContain("(active state 3)");
});

test.each([8, 64, 4096, 1 << 20])("in %i bytes all of it is found, and nothing beside it", (bytes) => {
  const inside = [AREA, AREA + bytes - 4];
  const outside = [AREA - 4, AREA + bytes];
  for (const object of [...inside, ...outside]) debug_object_activate(cpu, object, THING, HINT);
  debug_check_no_obj_freed(cpu, AREA, bytes);
  expect(fixed.toSorted((a, b) => a - b)).toEqual(inside);
});

test("an inactive object is nobody's business, to free or to initialise", () => {
  debug_object_activate(cpu, AREA, THING, HINT);
  debug_object_deactivate(cpu, AREA);
  debug_object_deactivate(cpu, AREA);
  debug_object_init(cpu, AREA);
  expect(debug_check_no_obj_freed(cpu, AREA, 64)).toBe(true);
  expect(dmesg(cpu)).toEqual([]);
});

test("an object without room goes unwatched, the others do not", () => {
  const crowd = Array.from({ length: 16 }, (_, i) => AREA + 4 * i);
  for (const object of crowd) debug_object_activate(cpu, object, THING, HINT);
  debug_check_no_obj_freed(cpu, AREA, 64);
  expect(fixed).toEqual(crowd.slice(0, 7));
  debug_object_activate(cpu, AREA, THING, HINT);
  debug_object_init(cpu, AREA);
  expect(dmesg(cpu).at(-1)).toContain("ODEBUG: init active");
});
