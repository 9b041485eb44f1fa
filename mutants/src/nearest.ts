/** Names that resemble a mistyped one. */

/** Up to three of `names`, the most alike first: those that contain the text, then by edit distance. */
export function nearest(name: string, names: readonly string[]): string[] {
  return [...new Set(names)]
    .map((each) => ({ each, distance: each.includes(name) ? 0 : editDistance(name, each) }))
    .toSorted((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ each }) => each);
}

/** Levenshtein's, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
