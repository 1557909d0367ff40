import { goQuote } from "./go.ts";

const OS = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$/;
const PART = /^[A-Za-z0-9_-]+$/;

/** Checks "os", "arch", "os/arch" or "os/arch/variant". @throws Error with containerd's words */
export function checkPlatform(text: string): void {
  const problem = platformProblem(text);
  if (problem !== undefined) throw new Error(`error parsing specified platform: ${problem}: invalid argument`);
}

function platformProblem(text: string): string | undefined {
  const parts = text.split("/");
  if (parts.length > 3) return `${goQuote(text)}: cannot parse platform specifier`;
  for (const [index, part] of parts.entries()) {
    const shape = index === 0 ? OS : PART;
    if (shape.test(part)) continue;
    const kind = index === 0 ? "an invalid OS component" : "an invalid component";
    const rule = index === 0 ? "OSAndVersion specifier component" : "platform specifier component";
    return `${goQuote(part)} is ${kind} of ${goQuote(text)}: ${rule} must match ${goQuote(shape.source)}`;
  }
  return undefined;
}
