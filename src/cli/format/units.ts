/**
 * Sizes and durations as container tools write and read them: exactly the formats of the Go package docker/go-units,
 * because scripts parse them.
 */

const DECIMAL_UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

function scale(bytes: number, base: number, units: readonly string[], precision: number): string {
  let value = bytes;
  let index = 0;
  while (value >= base && index < units.length - 1) {
    value /= base;
    index++;
  }
  return formatG(value, precision) + units[index];
}

/**
 * Formats a size in powers of 1000: "2.03MB". `precision` is the number of significant digits (images and ps use 3, the
 * default elsewhere is 4).
 */
export function formatSize(bytes: number, precision = 4): string {
  return scale(bytes, 1000, DECIMAL_UNITS, precision);
}

/** Formats a size in powers of 1024 with four significant digits: "25.28GiB". */
export function formatBinarySize(bytes: number): string {
  return scale(bytes, 1024, BINARY_UNITS, 4);
}

/** Formats as "%.<precision>g" of C and Go does. */
export function formatG(value: number, precision: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  if (value === 0) return "0";
  const digits = Math.max(precision, 1);
  const [mantissa = "", exponentText = "0"] = value.toExponential(digits - 1).split("e");
  const exponent = Number(exponentText);
  if (exponent < -4 || exponent >= digits) {
    const sign = exponent < 0 ? "-" : "+";
    return `${trimZeros(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return trimZeros(value.toFixed(Math.max(digits - 1 - exponent, 0)));
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Shortens a text to `maxChars` code points, of which the last is "…" if any were cut. */
export function ellipsis(text: string, maxChars: number): string {
  const chars = [...text];
  return chars.length <= maxChars ? text : `${chars.slice(0, maxChars - 1).join("")}…`;
}
