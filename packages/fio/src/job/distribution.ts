/**
 * random_distribution: how often which offset is hit. `zipf:theta[:center]`, `pareto:h[:center]`,
 * `normal:deviation[:center]`, `zoned:percent/size:...` (lists for read, write, trim apart by commas).
 */
import { type Complaint } from "./errors.ts";
import type { Distribution, PerDdir } from "./job.ts";
import { complain } from "./option.ts";
import { readZones, splitLists } from "./split.ts";
import { readFloat } from "./units.ts";

const EXPECTED =
  "random, zipf:theta[:center], pareto:h[:center], normal:deviation[:center], zoned:percent/size:... or zoned_abs:...";

/** What fio takes when a distribution stands without its number. */
const DEFAULT_ZIPF = 1.1;
const DEFAULT_PARETO = 0.2;

function zoned(kind: "zoned" | "zoned_abs", text: string): PerDdir<Distribution> | Complaint {
  const lists = splitLists(text, (list) => readZones(list, kind === "zoned_abs"));
  if (typeof lists === "string") return complain(EXPECTED, lists);
  if (lists.some((zones) => zones.length === 0)) {
    return complain(EXPECTED, `fio: mismatch in zoned input <${kind}>`);
  }
  return lists.map((zones) => ({ kind, zones })) as unknown as PerDdir<Distribution>;
}

/** `text` is what stands behind the colon, if there is one. */
function numbered(kind: "zipf" | "pareto" | "normal", text: string | undefined): Distribution | Complaint {
  const [first = "", second, ...rest] = (text ?? "").split(":");
  const fallback = kind === "zipf" ? DEFAULT_ZIPF : kind === "pareto" ? DEFAULT_PARETO : 0;
  const value = text === undefined ? fallback : readFloat(first);
  const center = second === undefined ? undefined : readFloat(second);
  if (value === undefined || rest.length > 0 || (second !== undefined && center === undefined)) {
    return complain(EXPECTED, "fio: random postfix parsing failed");
  }
  if (center !== undefined && (center < 0 || center > 1)) {
    return complain("a center of 0.0 ... 1.0", "fio: distribution center out of range (0 <= center <= 1.0)");
  }
  const around = center === undefined ? {} : { center };
  if (kind === "zipf") {
    if (value !== 1 && value > 0) return { kind, theta: value, ...around };
    const own = value === 1 ? ["fio: zipf theta must different than 1.0"] : [];
    return complain("theta above 0, not 1.0", ...own);
  }
  if (kind === "pareto") {
    if (value > 0 && value < 1) return { kind, h: value, ...around };
    return complain("0 < h < 1", "fio: pareto input out of range (0 < input < 1.0)");
  }
  if (value >= 0 && value < 100) return { kind, deviation: value, ...around };
  return complain("0 <= deviation < 100", "fio: normal deviation out of range (0 <= input < 100.0)");
}

export function readDistribution(text: string): PerDdir<Distribution> | Complaint {
  const colon = text.indexOf(":");
  const kind = colon < 0 ? text : text.slice(0, colon);
  const rest = colon < 0 ? "" : text.slice(colon + 1);
  if (kind === "zoned" || kind === "zoned_abs") {
    return colon < 0 ? complain(EXPECTED, `fio: mismatch in zoned input <${kind}>`) : zoned(kind, rest);
  }
  if (kind === "random" && colon < 0) return [{ kind }, { kind }, { kind }];
  if (kind !== "zipf" && kind !== "pareto" && kind !== "normal") return complain(EXPECTED);
  const one = numbered(kind, colon < 0 ? undefined : rest);
  return "kind" in one ? [one, one, one] : one;
}
