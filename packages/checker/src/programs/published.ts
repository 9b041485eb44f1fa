/**
 * Published figures for the benchmark programs: mean schedules to the first bug over 20 trials, data to lay beside
 * ours.
 *
 * RW, PCT3, PCT10, POS, SURW: recomputed from the artifact of SURW (ASPLOS 2025), at most 10,000 schedules a trial,
 * 1,000,000 for SafeStack, every access to memory instrumented. PERIOD and RFF: artifact of RFF (ASPLOS 2024), at
 * most five minutes a trial. Steps differ with the granularity of each tool, so compare orders and found or not
 * found, not single numbers.
 *
 * A cell: mean, then in parentheses how many of the 20 trials found it if not all did; "-" if none did, "?" if there
 * is no figure.
 */
export const PUBLISHED_SOURCE =
  "SURW artifact, ASPLOS 2025 (RW, PCT3, PCT10, POS, SURW); RFF artifact, ASPLOS 2024 (PERIOD, RFF)";

/** Columns of the rows below. */
const COLUMNS = ["random", "pct3", "pct10", "pos", "surw", "PERIOD", "RFF"] as const;

const ROWS: Readonly<Record<string, readonly string[]>> = {
  "CS/account": ["18", "4", "4", "4", "6", "10", "1"],
  "CS/bluetooth_driver": ["215", "112", "83", "36", "70", "9", "45"],
  "CS/carter01": ["1", "5", "3", "2", "?", "4", "2"],
  "CS/circular_buffer": ["4", "9", "5", "2", "3", "3", "2"],
  "CS/deadlock01": ["3", "13", "7", "4", "2", "3", "5"],
  "CS/lazy01": ["21", "5", "5", "5", "2", "7", "6"],
  "CS/queue": ["1", "3", "2", "1", "2", "4", "1"],
  "CS/reorder_3": ["-", "185", "148", "86", "7", "6", "7"],
  "CS/reorder_4": ["-", "554", "362", "533", "7", "9", "6"],
  "CS/reorder_5": ["-", "647", "1094", "2169", "10", "12", "6"],
  "CS/reorder_10": ["-", "3225 (16)", "4462 (12)", "-", "17", "27", "6"],
  "CS/reorder_20": ["-", "3005", "3297 (17)", "-", "6", "39", "6"],
  "CS/reorder_50": ["-", "3304 (6)", "9422 (1)", "-", "13", "129", "6"],
  "CS/reorder_100": ["-", "-", "-", "-", "194", "297", "6"],
  "CS/stack": ["176", "3", "3", "2", "5", "8", "2"],
  "CS/token_ring": ["13", "8", "8", "9", "8", "2", "5"],
  "CS/twostage": ["464", "13", "9", "15", "8", "4", "8"],
  "CS/twostage_20": ["-", "159", "101", "156", "6", "76", "22"],
  "CS/twostage_50": ["-", "1676", "692", "1637", "20", "286", "35"],
  "CS/twostage_100": ["-", "7466 (3)", "5726 (9)", "6674 (3)", "454", "690", "56"],
  "CS/wronglock": ["36", "51", "20", "10", "7", "4", "1"],
  "CS/wronglock_3": ["36", "58", "14", "11", "9", "5", "1"],
  "CB/stringbuffer-jdk1.4": ["2243 (19)", "281", "26", "23", "8", "27", "15"],
  "Chess/InterlockedWorkStealQueue": ["-", "48", "13", "14", "6", "57", "1"],
  "Chess/InterlockedWorkStealQueueWithState": ["26", "907", "204", "5", "6", "224", "7"],
  "Chess/StateWorkStealQueue": ["?", "842", "199", "6", "7", "249", "1"],
  "Chess/WorkStealQueue": ["?", "48", "16", "12", "6", "57", "10"],
  "Inspect/boundedBuffer": ["7", "20", "6", "5", "9", "8 (16)", "8"],
  SafeStack: ["-", "-", "-", "-", "368921 (19)", "-", "-"],
  "CVE-2009-3547": ["5", "4", "3", "3", "4", "2", "1"],
  "CVE-2011-2183": ["2", "5", "3", "2", "3", "3", "2"],
  "CVE-2013-1792": ["364", "95", "50", "39", "15", "13", "23"],
  "CVE-2015-7550": ["1", "9", "4", "6", "6", "3", "6"],
  "CVE-2016-7911": ["3", "20", "15", "11", "8", "3", "13"],
  "CVE-2016-9806": ["2209", "7", "4", "7", "3", "6", "11"],
  "CVE-2017-15265": ["-", "-", "-", "-", "-", "11", "36"],
  "CVE-2017-6346": ["3", "24", "20", "10", "15", "5", "5"],
};

/** The figure for a program under a strategy, PERIOD or RFF; undefined if there is none. */
export function publishedFigure(program: string, strategy: string): string | undefined {
  const column = (COLUMNS as readonly string[]).indexOf(strategy);
  const cell = column < 0 ? undefined : ROWS[program]?.[column];
  return cell === "?" ? undefined : cell;
}

/** Names of the programs that have figures, in the order of the tables. */
export const PUBLISHED_PROGRAMS: readonly string[] = Object.keys(ROWS);
