/**
 * SARIF 2.1.0 (OASIS standard, 27 March 2020): failures for code scanning and editors. The interleaving is a code flow
 * with one thread flow a thread; executionOrder numbers the locations over all of them.
 */
import { ORDER_ACQUIRE, ORDER_FULL, ORDER_RELEASE, OPS } from "../op.ts";
import type { Failure } from "./failure.ts";
import { counted } from "./story.ts";
import { isFold, type SourcePlace, type TraceOp } from "./trace.ts";

const SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

export interface SarifOptions {
  /** Of the tool; default "ringside". */
  readonly tool?: string;
  readonly version?: string;
}

/** The log as data: JSON.stringify it. */
export function sarifLog(failures: readonly Failure[], options: SarifOptions = {}): object {
  const kinds = [...new Set(failures.map((failure) => failure.kind))].toSorted();
  const driver = {
    name: options.tool ?? "ringside",
    ...(options.version === undefined ? {} : { semanticVersion: options.version }),
    rules: kinds.map((kind) => ({
      id: kind,
      name: kind,
      shortDescription: { text: `${kind} found by a schedule` },
    })),
  };
  return {
    $schema: SCHEMA,
    version: "2.1.0",
    runs: [
      {
        tool: { driver },
        originalUriBaseIds: { ROOT: { description: { text: "root of the sources" } } },
        results: failures.map((failure) => resultOf(failure, kinds.indexOf(failure.kind))),
      },
    ],
  };
}

function resultOf(failure: Failure, ruleIndex: number): object {
  const { site, trace } = failure;
  const failing = trace.find((row): row is TraceOp => !isFold(row) && row.failing === true);
  const at = site ?? failing?.site;
  const flows = failure.threads
    .map((name, thread) => threadFlow(failure, name, thread))
    .filter((flow) => flow !== undefined);
  return {
    ruleId: failure.kind,
    ruleIndex,
    level: "error",
    kind: "fail",
    message: { text: `${failure.message} (${failure.where})` },
    ...(at === undefined ? {} : { locations: [{ physicalLocation: physical(at) }] }),
    ...(flows.length === 0
      ? {}
      : {
          codeFlows: [
            { message: { text: counted(failure.contextSwitches, "context switch") }, threadFlows: flows },
          ],
        }),
    partialFingerprints: {
      "signature/v1": `${failure.kind}:${at === undefined ? "?" : `${at.file}:${at.name}`}`,
    },
    properties: {
      replay: failure.replay,
      contextSwitches: failure.contextSwitches,
      subject: failure.subject,
    },
  };
}

function threadFlow(failure: Failure, name: string, thread: number): object | undefined {
  const locations = failure.trace
    .map((row, i) => ({ row, executionOrder: i + 1 }))
    .filter(
      (one): one is { row: TraceOp; executionOrder: number } => !isFold(one.row) && one.row.thread === thread,
    )
    .map(({ row, executionOrder }) => locationOf(row, executionOrder));
  return locations.length === 0 ? undefined : { id: name, message: { text: name }, locations };
}

function locationOf(row: TraceOp, executionOrder: number): object {
  const importance = row.failing === true || row.handover !== undefined ? "essential" : "important";
  return {
    location: {
      message: { text: row.text },
      ...(row.site === undefined
        ? {}
        : {
            physicalLocation: physical(row.site),
            logicalLocations: [{ name: row.site.name, kind: "function" }],
          }),
    },
    executionOrder,
    importance,
    kinds: kindsOf(row),
    ...(row.place === "" || row.written === undefined
      ? {}
      : { state: { [row.place]: { text: String(row.written) } } }),
  };
}

/** Of those the standard names in 3.38.8. */
function kindsOf(row: TraceOp): string[] {
  const order = OPS.find((op) => op.name === row.op)?.order;
  const kinds = ["memory"];
  if (order === ORDER_ACQUIRE || order === ORDER_FULL) kinds.push("acquire");
  if (order === ORDER_RELEASE || order === ORDER_FULL) kinds.push("release");
  if (row.failing === true) kinds.push("danger");
  return kinds;
}

function physical({ file, line, column }: SourcePlace): object {
  return {
    artifactLocation: { uri: encodeURI(file), uriBaseId: "ROOT" },
    region: { startLine: Math.max(1, line), startColumn: Math.max(1, column) },
  };
}
