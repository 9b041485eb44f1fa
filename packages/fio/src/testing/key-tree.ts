/** The shape of a JSON text: every key in order with its type, where 1 is an int and 1.0 a float. */

/**
 * One line a key or element, `path type`. Bins and percentiles have other keys in every run: all their keys are one.
 * Reads the text itself, because JSON.parse forgets how a number was written and moves keys that are numbers.
 */
export function keyTree(json: string): string[] {
  const lines: string[] = [];
  const path: string[] = [];
  const arrays: boolean[] = [];
  let pending: string | undefined;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|-?\d+(?:\.\d+)?|[{}[\]]/g)) {
    if (token === "}" || token === "]") {
      path.pop();
      arrays.pop();
    } else if (/^"[^]*:$/.test(token) && arrays.at(-1) !== true)
      pending = token.slice(1, token.lastIndexOf('"'));
    else {
      const key = pending ?? (arrays.at(-1) === true ? "[]" : "");
      pending = undefined;
      const type = token.startsWith('"')
        ? "string"
        : /^[{[]$/.test(token)
          ? token
          : /\./.test(token)
            ? "float"
            : "int";
      const at = [...path, path.at(-1) === "bins" ? "*" : key].join("/");
      if (lines.at(-1) !== `${at} ${type}`) lines.push(`${at} ${type}`);
      if (type === "{" || type === "[") {
        path.push(key);
        arrays.push(type === "[");
      }
    }
  }
  return lines;
}
