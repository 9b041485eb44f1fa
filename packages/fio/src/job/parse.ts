/**
 * Job files and command-line jobs, as fio 3.33 reads them: `parseJobFiles`, `parseCommandLine`.
 *
 * The first section or job with an error ends the reading and the run: all errors of that section are told, nothing
 * runs. Further job files begin behind a stonewall and with fresh defaults: a [global] is for its own file.
 * Where fio would quietly take something else than what is written (an unknown suffix, a value cut in the
 * middle, a missing include), this refuses; README.md lists these places.
 */
import { applyOptions, type Given } from "./apply.ts";
import { copyDraft, type Draft, newDraft } from "./draft.ts";
import { COMMAND_LINE, type JobFileError, jobError, withLine } from "./errors.ts";
import type { EmulatorSettings, FioJob } from "./job.ts";
import { applyPragmas } from "./pragmas.ts";
import { isGlobal, type JobFile, type OptionText, readSections, type Section } from "./sections.ts";
import { expand, type Pending } from "./stages.ts";
import type { Surroundings } from "./substitute.ts";
import { takesArgument } from "./table.ts";

/** What parsing needs to know of the world. */
export interface JobEnv extends Surroundings {
  /** A file's text; throws if it cannot be read. For `include`. */
  read(path: string): string;
  /** Bytes of the namespace where no pragma says them. */
  readonly media: number;
  /** Settings where no pragma says them. */
  readonly emulator?: Partial<EmulatorSettings>;
}

export interface JobSource {
  readonly name: string;
  readonly text: string;
}

export interface JobFilter {
  /** --section: only sections of these names (and global ones). */
  readonly sections?: readonly string[];
}

/** `jobs` may be empty: only defaults, or no section passed the filter. fio then says NO_JOBS and exits with 1. */
export type ParseResult =
  | { readonly jobs: readonly FioJob[]; readonly notes: readonly string[] }
  | { readonly errors: readonly JobFileError[] };

export const NO_JOBS = "No job(s) defined";

/** What has been read: for the jobs, and for --showcmd the options of every section. */
export interface Reading {
  readonly pending: Pending[];
  /** Options of [global] so far, of the file that is read. */
  globals: Given[];
  /** Sections in order, global ones too; a new list for each file. */
  readonly shown: { readonly name: string; readonly global: boolean; readonly given: readonly Given[] }[][];
  errors: readonly JobFileError[];
}

function wants(section: string, filter: JobFilter): boolean {
  if (filter.sections === undefined || filter.sections.length === 0) return true;
  return isGlobal(section) || filter.sections.includes(section);
}

function readSection(
  section: Section,
  defaults: Draft,
  stonewall: boolean,
  env: JobEnv,
): { draft: Draft; given: readonly Given[]; errors: readonly JobFileError[] } {
  const draft = section.global ? defaults : copyDraft(defaults);
  // its own stonewall=0 stands
  if (stonewall) draft.stonewall = true;
  const bad = applyPragmas(draft.emulator, section.pragmas);
  const { given, errors } = applyOptions(draft, section.options, env);
  return { draft, given, errors: [...errors, ...bad] };
}

/** The errors of a section, with fio's last word behind them. */
function dropped(errors: readonly JobFileError[], name: string): JobFileError[] {
  const all = [...errors].sort((a, b) => a.line - b.line);
  const last = all.pop();
  return last === undefined ? [] : [...all, withLine(last, `fio: job ${name} dropped`)];
}

function readFile(file: JobFile, defaults: Draft, stonewall: boolean, env: JobEnv, to: Reading): void {
  to.shown.push([]);
  to.errors = applyPragmas(defaults.emulator, file.pragmas);
  if (to.errors.length > 0) return;
  let first = stonewall;
  for (const section of file.sections) {
    const { draft, given, errors } = readSection(section, defaults, first && !section.global, env);
    if (errors.length > 0) {
      to.errors = dropped(errors, section.name);
      return;
    }
    if (section.global) to.globals.push(...given);
    // fio tells all defaults so far at each [global]
    const told = section.global ? [...to.globals] : given;
    to.shown.at(-1)?.push({ name: section.name, global: section.global, given: told });
    if (section.global) continue;
    first = false;
    const { name, file: from, line } = section;
    to.pending.push({ name, draft, given, file: from, line });
  }
  to.errors = file.errors;
}

function readSources(
  sources: readonly JobSource[],
  defaults: Draft,
  env: JobEnv,
  filter: JobFilter,
  to: Reading,
): void {
  for (const [index, source] of sources.entries()) {
    const wanted = (name: string): boolean => wants(name, filter);
    const file = readSections(source.name, source.text, (path) => env.read(path), wanted);
    if (index > 0) to.globals = [];
    readFile(file, index === 0 ? defaults : newDraft(), index > 0, env, to);
    if (to.errors.length > 0) return;
  }
}

/** Options of the command line as sections: a name opens one, what stands before it is global. */
function commandLineSections(args: readonly string[]): Section[] | JobFileError {
  const sections: { name: string; global: boolean; options: OptionText[]; pragmas: OptionText[] }[] = [];
  const place = { file: COMMAND_LINE, line: 0 };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    let text = arg.replace(/^--?/, "");
    if (text === arg) return jobError(place, arg, "--option or --option=value", [`fio: unexpected '${arg}'`]);
    const next = args[i + 1];
    if (!text.includes("=") && takesArgument(text) && next !== undefined) {
      text = `${text}=${next}`;
      i++;
    }
    const name = /^name=(.*)$/.exec(text)?.[1];
    if (name !== undefined || sections.length === 0) {
      const global = name === undefined || isGlobal(name);
      sections.push({ name: name ?? "global", global, options: [], pragmas: [] });
    }
    const pragma = /^emu=(.*)$/.exec(text)?.[1];
    if (pragma === undefined) sections.at(-1)?.options.push({ ...place, text });
    else sections.at(-1)?.pragmas.push({ ...place, text: pragma });
  }
  return sections.map((section) => ({ ...section, ...place }));
}

function readCommandLine(
  args: readonly string[],
  defaults: Draft,
  env: JobEnv,
  filter: JobFilter,
  to: Reading,
): void {
  const sections = commandLineSections(args);
  if (!Array.isArray(sections)) {
    to.errors = [sections];
    return;
  }
  for (const section of sections) {
    if (!wants(section.name, filter)) continue;
    const { draft, given, errors } = readSection(section, defaults, false, env);
    if (errors.length > 0) {
      to.errors = errors;
      return;
    }
    if (section.global) to.globals.push(...given.filter(([key]) => key !== "name"));
    else to.pending.push({ name: section.name, draft, given, file: COMMAND_LINE, line: 0 });
  }
}

/** Everything up to the point where jobs are made. */
export function readAll(
  args: readonly string[],
  sources: readonly JobSource[],
  env: JobEnv,
  filter: JobFilter,
): Reading {
  const to: Reading = { pending: [], globals: [], shown: [], errors: [] };
  const defaults = newDraft();
  readCommandLine(args, defaults, env, filter, to);
  if (to.errors.length === 0) readSources(sources, defaults, env, filter, to);
  return to;
}

/**
 * Jobs of the command line (`--name=a --rw=read --emu=buf=dmabuf --name=b ...`: job options only), then those of
 * the files. Global options of the command line are for the first file, too, as in fio.
 */
export function parseCommandLine(
  args: readonly string[],
  sources: readonly JobSource[],
  env: JobEnv,
  filter: JobFilter = {},
): ParseResult {
  const reading = readAll(args, sources, env, filter);
  const defaults = { media: env.media, emulator: env.emulator ?? {} };
  const { jobs, notes, errors } = expand(reading.pending, reading.globals, defaults);
  // what was read before the error stands before it
  if (errors.length > 0) return { errors };
  return reading.errors.length > 0 ? { errors: reading.errors } : { jobs, notes };
}

export function parseJobFiles(
  sources: readonly JobSource[],
  env: JobEnv,
  filter: JobFilter = {},
): ParseResult {
  return parseCommandLine([], sources, env, filter);
}
