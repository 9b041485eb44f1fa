/**
 * Names of sites for machines under control: a table beside the shared memory, so that executions do not fill one anew.
 * A number is a hash of its text: equal in every execution, every thread and every process that meets the same texts.
 */
import { SITE_RECORDS } from "@ringside/core/mm/memory-map";
import type { SiteNames } from "@ringside/core/sched/cpu";

const ids = new Map<string, number>(); // link time: the same numbers in every thread
const texts: (string | undefined)[] = ["unknown"]; // link time: as ids

function hash_of(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

export const site_names: SiteNames = {
  site_number(text) {
    const known = ids.get(text);
    if (known !== undefined) return known;
    let id = 1 + (hash_of(text) % (SITE_RECORDS - 1));
    while (texts[id] !== undefined) id = 1 + (id % (SITE_RECORDS - 1));
    ids.set(text, id);
    texts[id] = text;
    return id;
  },
  site_name: (id) => texts[id] ?? "unknown",
};
