/** Where a gated thread gets its program: a module, as it stands, and the name of one of its exports. */
import type { Program } from "../program.ts";

export interface ModuleRef {
  /** file: URL. */
  readonly url: string;
  /** The export; default "default". For a program: a Program, or a function without arguments that makes one. */
  readonly name?: string;
}

/** Throws an Error that says what is missing. */
export async function loadExport(ref: ModuleRef): Promise<unknown> {
  const name = ref.name ?? "default";
  const module = (await import(ref.url)) as Record<string, unknown>;
  if (!(name in module)) {
    throw new Error(
      `${ref.url} exports no ${name}; it has ${Object.keys(module).join(", ") || "no exports"}`,
    );
  }
  return module[name];
}

/** Throws an Error if the export is no program. */
export async function loadProgram(ref: ModuleRef): Promise<Program> {
  const exported = await loadExport(ref);
  const program: unknown = typeof exported === "function" ? exported() : exported;
  if (!isProgram(program)) throw new Error(`${ref.url}: ${ref.name ?? "default"} is no Program`);
  return program;
}

/** Looks like a Program: has a name and threads. */
export function isProgram(value: unknown): value is Program {
  if (typeof value !== "object" || value === null) return false;
  const { name, threads } = value as { name?: unknown; threads?: unknown };
  return typeof name === "string" && Array.isArray(threads);
}
