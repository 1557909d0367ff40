/**
 * Compares names so that numbers in them count as numbers: "web2" before "web10". The stock client sorts volumes,
 * networks and ports this way. Of equal numbers the shorter text comes first ("2" before "02").
 */
export function compareNatural(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x = "", y = ""] = [left[i], right[i]];
    if (x === y) continue;
    if (/^\d/.test(x) && /^\d/.test(y)) {
      const [bareX, bareY] = [x.replace(/^0+/, ""), y.replace(/^0+/, "")];
      const order = bareX.length - bareY.length || compareText(bareX, bareY) || x.length - y.length;
      if (order !== 0) return order;
    } else return rank(x) - rank(y) || compareText(x, y);
  }
  return left.length - right.length;
}

/** Splits a name into runs of digits and single other characters. */
function split(text: string): string[] {
  return text.match(/\d+|\D/gsu) ?? [];
}

/** Ranks digits before everything else. */
function rank(part: string): number {
  return /^\d/.test(part) ? 0 : 1;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
