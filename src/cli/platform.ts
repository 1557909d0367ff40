import { goQuote } from "./go.ts";

const OS = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.-]*)\))?$/;
const PART = /^[A-Za-z0-9_-]+$/;

/** Checks "os", "arch", "os/arch" or "os/arch/variant". @throws Error with containerd's words */
export function checkPlatform(text: string): void {
  const parts = text.split("/");
  if (parts.length > 3) throw new Error(`${goQuote(text)}: cannot parse platform specifier: invalid argument`);
  for (const [index, part] of parts.entries()) {
    if ((index === 0 ? OS : PART).test(part)) continue;
    const pattern = goQuote((index === 0 ? OS : PART).source.replaceAll("\\/", "/"));
    throw new Error(
      index === 0
        ? `${goQuote(part)} is an invalid OS component of ${goQuote(text)}: OSAndVersion specifier component must match ${pattern}: invalid argument`
        : `${goQuote(part)} is an invalid component of ${goQuote(text)}: platform specifier component must match ${pattern}: invalid argument`,
    );
  }
}
