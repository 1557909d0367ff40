/**
 * Indents JSON text without touching its tokens: numbers too big for JavaScript and the order of keys stay as the
 * daemon wrote them. As Go's json.Indent does, empty objects and lists stay on one line. The text must be valid JSON.
 */
export function indentJson(json: string, indent: string): string {
  let out = "";
  let depth = 0;
  const newline = () => `\n${indent.repeat(depth)}`;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s"[\]{},:]+/g)) {
    if (token === "{" || token === "[") {
      depth++;
      out += token + newline();
    } else if (token === "}" || token === "]") {
      depth--;
      out = /[[{]\s*$/.test(out.slice(-(indent.length * (depth + 1) + 2))) ? out.trimEnd() : out + newline();
      out += token;
    } else if (token === ",") out += token + newline();
    else if (token === ":") out += ": ";
    else out += token;
  }
  return out;
}
