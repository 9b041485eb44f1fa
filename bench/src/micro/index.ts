/** Benches of the primitives. */
import type { Bench } from "../bench.ts";
import { percpu } from "./percpu.ts";
import { rcu } from "./rcu.ts";
import { spsc } from "./spsc.ts";

export const benches: readonly Bench[] = [percpu, rcu, spsc];
