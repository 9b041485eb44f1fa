/**
 * Settings of the emulated machine in comments: `;emu buf=dmabuf iommu=strict,media=64m`. Real fio skips the
 * line, so one job file runs on both. Pairs are apart by blanks or commas. A pragma before the first section is
 * for all jobs of the file, one inside [global] for the jobs behind it, one inside a section for that job.
 */
import type { Draft } from "./draft.ts";
import { type JobFileError, jobError } from "./errors.ts";
import type { EmulatorSettings } from "./job.ts";
import type { OptionText } from "./sections.ts";
import { BYTE_SUFFIXES, readAmount, readTime, TIME_SUFFIXES } from "./units.ts";

const WORDS = {
  buf: ["registered", "dmabuf"],
  iommu: ["strict", "lazy", "passthrough"],
  percpu: ["atomic", "owner"],
  completion: ["irq", "poll"],
  variant: ["v3", "v3-fixed"],
} as const;

type WordKey = keyof typeof WORDS;

/** What a machine has when nothing is said, but for the namespace's size. */
export const DEFAULT_EMULATOR: Omit<EmulatorSettings, "media"> = {
  buf: "registered",
  iommu: "strict",
  percpu: "atomic",
  completion: "irq",
  variant: "v3-fixed",
  invalidateMs: 0,
};

/** Bytes of a logical block of the namespace. */
export const BLOCK_SIZE = 512;

/** Sets one pair; answers what was expected if it cannot. */
function setPair(emulator: Draft["emulator"], key: string, value: string): string | undefined {
  if (Object.hasOwn(WORDS, key)) {
    const allowed: readonly string[] = WORDS[key as WordKey];
    if (!allowed.includes(value)) return `${key}=${allowed.join("|")}`;
    Object.assign(emulator, { [key]: value });
    return undefined;
  }
  if (key === "media") {
    const amount = readAmount(value);
    if (amount === undefined || amount.percent || amount.value < 4096 || amount.value % 4096 !== 0) {
      return `media=bytes, a multiple of 4096, with ${BYTE_SUFFIXES}`;
    }
    emulator.media = amount.value;
    return undefined;
  }
  if (key === "invalidate") {
    const us = readTime(value, 1000);
    if (us === undefined) return `invalidate=time with ${TIME_SUFFIXES} (without: ms), 0 for never`;
    emulator.invalidateMs = us / 1000;
    return undefined;
  }
  return `${[...Object.keys(WORDS), "media", "invalidate"].join("=, ")}=`;
}

export function applyPragmas(emulator: Draft["emulator"], pragmas: readonly OptionText[]): JobFileError[] {
  const errors: JobFileError[] = [];
  for (const pragma of pragmas) {
    const pairs = pragma.text.split(/[\s,]+/).filter((pair) => pair !== "");
    if (pairs.length === 0) {
      errors.push(jobError(pragma, ";emu", "key=value pairs", []));
    }
    for (const pair of pairs) {
      const equals = pair.indexOf("=");
      const [key, value] = equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
      const expected = setPair(emulator, key, value);
      if (expected === undefined) continue;
      errors.push(jobError(pragma, `;emu ${pair}`, expected, [`Bad setting <;emu ${pair}>`]));
    }
  }
  return errors;
}
