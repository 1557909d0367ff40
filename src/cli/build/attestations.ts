/** `--attest`, `--provenance` and `--sbom`: what goes with an image about how it was made. */
import { parseCsvLine } from "../../base/value-syntax.ts";
import { CliError } from "../exit.ts";

interface Attestation {
  readonly type: string;
  /** The rest of the option. */
  readonly options: string;
}

/** Parses "type=provenance,mode=max". @throws Error in the words of Docker's client */
export function parseAttestation(text: string): Attestation {
  const fields = parseCsvLine(text);
  const isType = (field: string) => /^type=/i.test(field);
  const type = fields.find(isType)?.slice("type=".length).toLowerCase() ?? "";
  if (type === "") throw new Error("attestation type not specified");
  if (type !== "provenance" && type !== "sbom") throw new Error(`unsupported attestation type: ${type}`);
  return { type, options: fields.filter((field) => !isType(field)).join(",") };
}

/** "true" and "false" stand for the default and for none, as with Docker's client. */
function provenanceOf(text: string): string | undefined {
  if (isOff(text)) return undefined;
  return ["1", "t", "true"].includes(text.toLowerCase()) ? "mode=min" : text;
}

function isOff(text: string): boolean {
  return ["", "0", "f", "false"].includes(text.toLowerCase()) || /(^|,)disabled=(1|t|true)(,|$)/i.test(text);
}

/** What the daemon is to tell of how the image was made. The flags of their own come last. @throws CliError for an SBOM */
export function provenanceIn(values: {
  readonly attest: readonly Attestation[];
  readonly provenance: string;
  readonly sbom: string;
}): string | undefined {
  const lastOf = (wanted: string) => values.attest.findLast(({ type }) => type === wanted);
  const bill = lastOf("sbom");
  if (!isOff(values.sbom || (bill === undefined ? "" : bill.options || "true")))
    throw new CliError("an SBOM needs the image of a scanner, which is not supported");
  const asked = lastOf("provenance");
  return provenanceOf(values.provenance || (asked === undefined ? "" : asked.options || "true"));
}
