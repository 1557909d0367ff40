/** Quantities as Kubernetes writes them. */
import { invalid } from "./errors.ts";

const FACTORS: Readonly<Record<string, number>> = {
  ...{ "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 },
  ...{ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50 },
};

/** Parses a whole quantity: "10M", "1Gi". @throws LighterError "invalid" */
export function parseQuantity(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,15}(?:\.\d{1,9})?)([kMGTP]|[KMGTP]i)?$/.exec(text) ?? [];
  const value = Math.round(Number(digits) * FACTORS[unit]!);
  if (digits === "" || !Number.isSafeInteger(value)) throw invalid(`${JSON.stringify(text)} is no quantity`);
  return value;
}
