/** The syntax of values that people write in options: lines of CSV, and amounts of memory. */

/** One record of RFC 4180 CSV: commas separate, quotes around a field protect them, "" is a quote. @throws Error */
export function parseCsvLine(line: string): string[] {
  if (line === "") throw new Error("EOF");
  const fields: string[] = [];
  let at = 0;
  const complain = (column: number, what: string) => new Error(`parse error on line 1, column ${column}: ${what}`);
  for (;;) {
    let field = "";
    if (line[at] === '"') {
      at++;
      for (;;) {
        const quote = line.indexOf('"', at);
        if (quote === -1) throw complain(line.length + 1, `extraneous or missing " in quoted-field`);
        field += line.slice(at, quote);
        at = quote + 1;
        if (line[at] !== '"') break;
        field += '"';
        at++;
      }
      if (at < line.length && line[at] !== ",") throw complain(at, `extraneous or missing " in quoted-field`);
    } else {
      const comma = line.indexOf(",", at);
      const end = comma === -1 ? line.length : comma;
      field = line.slice(at, end);
      const quote = field.indexOf('"');
      if (quote !== -1) throw complain(at + quote + 1, `bare " in non-quoted-field`);
      at = end;
    }
    fields.push(field);
    if (at >= line.length) return fields;
    at++;
  }
}

const BINARY: Record<string, number> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40, p: 2 ** 50 };

/**
 * "512m", "1.5 GiB", "10b" or a plain number → bytes, units being powers of 1024.
 * @throws Error with the text users know ("invalid size: '3x'")
 */
export function parseRamBytes(text: string): number {
  const invalid = () => new Error(`invalid size: '${text}'`);
  const match = /^([0-9.]+) ?([a-zA-Z]*)$/.exec(text);
  if (match === null) throw invalid();
  const [, number = "", suffix = ""] = match;
  if (!/^(\d+\.?\d*|\.\d+)$/.test(number))
    throw new Error(`strconv.ParseFloat: parsing ${JSON.stringify(number)}: invalid syntax`);
  const unit = /^(?:([kmgtp])(?:b|ib)?|b)?$/.exec(suffix.toLowerCase());
  if (unit === null) throw invalid();
  return Math.trunc(Number(number) * (BINARY[unit[1] ?? ""] ?? 1));
}
