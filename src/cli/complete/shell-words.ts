/**
 * Splits a command line that is being typed into words, as a POSIX shell does: at blanks, without quotes and
 * backslashes. An open quote ends with the line. The last word is the one under the cursor, "" after a blank.
 * Expansions are left as they were typed. Only the last command of the line counts: what follows the last ";", "|" or
 * "&".
 */
export function splitShellWords(line: string): string[] {
  let words: string[] = [];
  let word = "";
  let quote = "";
  const chars = [...line];
  for (let at = 0; at < chars.length; at++) {
    const char = chars[at] ?? "";
    if (quote === "'") {
      if (char === "'") quote = "";
      else word += char;
    } else if (char === "\\") word += chars[++at] ?? "";
    else if (char === '"') quote = quote === "" ? '"' : "";
    else if (quote !== "") word += char;
    else if (char === "'") quote = "'";
    else if (char === " " || char === "\t" || char === "\n") {
      if (word !== "" || /["']/.test(chars[at - 1] ?? "")) words.push(word);
      word = "";
    } else if (char === ";" || char === "|" || char === "&") {
      words = [];
      word = "";
    } else word += char;
  }
  return [...words, word];
}
