/** Option values of `ringside check` and `replay`. Each rejects with one sentence: what came, what was expected. */
import { accessSync, constants, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { EXPORT_FORMATS } from "@ringside/checker/export";
import { STRATEGY_NAMES } from "@ringside/checker/strategy/index";
import { parseShard, type Shard } from "@ringside/checker/strategy/shard";
import { nearest } from "@ringside/mutants/nearest";
import type { ExportText } from "@ringside/workers/check-job-types";
import { type CheckRequest, CheckUsageError, detect_list } from "@ringside/workers/check-request";

export function strategy_name(text: string): string {
  if (STRATEGY_NAMES.includes(text)) return text;
  const close = nearest(text, STRATEGY_NAMES).join(", ");
  throw new InvalidArgumentError(
    `unknown strategy "${text}"; nearest: ${close} (see ringside list strategies)`,
  );
}

export function shard_part(text: string): Shard {
  return checked(() => parseShard(text));
}

export function detect_names(text: string): NonNullable<CheckRequest["detect"]> {
  return checked(() => detect_list(text));
}

function checked<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

export interface ExportTo {
  readonly format: string;
  readonly file: string;
}

/** Of check and replay; may be given several times. */
export function export_option(): Option<"--export <format:file>", undefined, ExportTo[], ExportTo[]> {
  return new Option("--export <format:file>", "write the failure as json, chrome, shiviz or sarif")
    .argParser<ExportTo[]>((text, earlier) => export_to(text, Array.isArray(earlier) ? earlier : []))
    .default<ExportTo[]>([], "none");
}

/** "chrome:trace.json". */
function export_to(text: string, earlier: readonly ExportTo[]): ExportTo[] {
  const at = text.indexOf(":");
  const format = text.slice(0, Math.max(at, 0));
  const file = text.slice(at + 1);
  if (at < 0 || file === "" || !(EXPORT_FORMATS as readonly string[]).includes(format)) {
    throw new InvalidArgumentError(`Expected FORMAT:FILE with a format of ${EXPORT_FORMATS.join(", ")}.`);
  }
  return [...earlier, { format, file }];
}

/** Before an hour of searching: throws CheckUsageError for a file that will not be written. */
export function writable(files: readonly string[]): void {
  for (const file of files) {
    try {
      const stat = statSync(file, { throwIfNoEntry: false });
      if (stat?.isDirectory() === true) throw new Error("it is a folder");
      accessSync(stat === undefined ? dirname(file) : file, constants.W_OK);
    } catch (error) {
      throw new CheckUsageError(`${file} cannot be written: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** Throws CheckUsageError for a file that cannot be written. */
export function write_exports(wanted: readonly ExportTo[], texts: readonly ExportText[]): void {
  for (const { format, file } of wanted) {
    const text = texts.find((each) => each.format === format)?.text;
    if (text === undefined) continue;
    try {
      writeFileSync(file, text);
    } catch (error) {
      throw new CheckUsageError(`--export ${format}: ${(error as Error).message}`, { cause: error });
    }
  }
}
