/** Tells what parts of a program are about. */
import type { ExplainedPhase, ExplainedSection } from "../../spec/explanation.ts";
import type { PhaseStart } from "./builder.ts";
import type { Op } from "./op.ts";

/** The phases of ops for which none was said. */
const SECTION_PHASES: Readonly<Record<ExplainedSection, ExplainedPhase>> = {
  host: "namespaces",
  init: "identity",
  cleanup: "cleanup",
};

/** The phase of the op at this place of its section. `starts`: where the section's phases begin. */
export function phaseOf(
  section: ExplainedSection,
  starts: readonly PhaseStart[],
  { kind }: Op,
  at: number,
): ExplainedPhase {
  if (kind === "execute") return "execve";
  return starts.findLast((start) => start.at <= at)?.phase ?? SECTION_PHASES[section];
}
