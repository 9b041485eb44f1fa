/** Export: a failure in the formats of other tools. The execution that found it is repeated for its whole trace. */
import type { Execution } from "./execution.ts";
import { chromeTrace } from "./explain/chrome.ts";
import { type Failure, recordingOf } from "./explain/failure.ts";
import { failureJson } from "./explain/json.ts";
import type { Recording } from "./explain/record.ts";
import { sarifLog } from "./explain/sarif.ts";
import { shivizLog } from "./explain/shiviz.ts";
import { decodeToken } from "./explain/token.ts";

/** json: the failure as data. chrome: opens in Perfetto. shiviz: a log for ShiViz. sarif: for code scanning. */
export const EXPORT_FORMATS = ["json", "chrome", "shiviz", "sarif"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** `execution` must be of the program of the failure, under the same options. */
export function exportFailure(execution: Execution, failure: Failure, format: ExportFormat): string {
  if (format === "json") return failureJson(failure, 2);
  if (format === "sarif") return JSON.stringify(sarifLog([failure]), undefined, 2);
  if (format === "shiviz") return shivizLog(repeated(execution, failure.replay));
  return JSON.stringify(chromeTrace(runsOf(execution, failure)));
}

/** The failing execution, and beside it the nearest passing one. */
function runsOf(execution: Execution, failure: Failure): { name: string; recording: Recording }[] {
  const runs = [{ name: "failing", recording: repeated(execution, failure.replay) }];
  if (failure.passing !== null) {
    runs.push({ name: "passing", recording: repeated(execution, failure.passing.replay) });
  }
  return runs;
}

function repeated(execution: Execution, token: string): Recording {
  return recordingOf(execution, decodeToken(token), execution.program.describe);
}
