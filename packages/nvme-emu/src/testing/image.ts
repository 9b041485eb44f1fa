/**
 * The kernel image of these tests. Static and per-CPU addresses follow from the order in which modules load,
 * so the test and the device's thread both import this first; the hash proves that they agree.
 */
import "../controller/thread.ts";

export { image_hash } from "@ringside/core/debug/image";
