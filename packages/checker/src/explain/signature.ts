/**
 * Signature: what makes two failures the same failure, whatever the schedule they came by: the kind, the role of the
 * thread (its name without a number) and the site. The message counts with its numbers taken out, for kinds whose
 * message is the program's own; where the step limit cut an execution is chance, so there the site does not count.
 */
import { siteText } from "../runtime.ts";
import type { FailureKind, Finding, World } from "../world.ts";

const OWN_MESSAGE: readonly FailureKind[] = ["assertion", "crash", "warning"];
const NO_SITE: readonly FailureKind[] = ["livelock", "step-limit"];

export function signatureOf(world: World, finding: Finding): string {
  const { kind } = finding;
  const parts: string[] = [kind, roleOf(world.nameOf(finding.thread))];
  if (!NO_SITE.includes(kind)) parts.push(finding.site === 0 ? "?" : siteText(finding.site));
  if (OWN_MESSAGE.includes(kind)) parts.push(withoutNumbers(finding.message));
  return parts.join(" | ");
}

/** For tokens, which outlive edits: 32 bits of the signature, lines of files left out. */
export function signatureHash(world: World, finding: Finding): number {
  return hashText(signatureOf(world, finding).replace(/:\d+\)/g, ")"));
}

/** "writer 2" plays the role "writer"; "kworker/1:0" plays "kworker/". */
export function roleOf(name: string): string {
  return name.replace(/[\s:#-]*\d+(?::\d+)*$/, "");
}

function withoutNumbers(message: string): string {
  return message.replace(/\b0x[0-9a-f]+|-?\d+(?:\.\d+)?/gi, "#");
}

/** 32 bits of a text (FNV-1a). */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash | 0;
}
