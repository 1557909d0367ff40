/** The row of a new container, and facts that follow from a row. */
import { LighterError } from "../../base/errors.ts";
import { formatNow, parseRfc3339, ZERO_TIME } from "../../base/time.ts";
import type { CreatePlan } from "../plan/planner.ts";
import type { ContainerRecord } from "./record.ts";

/** Makes the record of a container that has just been created. */
export function newRecord(
  { endpoints, ...plan }: Omit<CreatePlan, "warnings" | "secrets">,
  id: string,
  name: string,
): ContainerRecord {
  return {
    ...plan,
    networking: { endpoints, ports: [] },
    id,
    name,
    status: "created",
    createdAt: formatNow(),
    idMappings: null,
    pid: 0,
    exitCode: 0,
    error: "",
    oomKilled: false,
    startedAt: ZERO_TIME,
    finishedAt: ZERO_TIME,
    restartCount: 0,
    paused: false,
    manuallyStopped: false,
    health: undefined,
    machineEnd: undefined,
    removeVolumes: false,
    pod: undefined,
  };
}

/** Tells whether a container had started before a time; false too for one that has not started, as far as anybody knows. */
export function hasStartedBefore(startedAt: string, ns: bigint): boolean {
  return startedAt !== ZERO_TIME && (parseRfc3339(startedAt) ?? 0n) <= ns;
}

/** Returns a shell's exit code: 127 for a missing program, 126 for one that cannot be run. */
export function exitCodeOfStartError(error: unknown): number {
  if (!(error instanceof LighterError)) return 128;
  if (error.code === "exec-not-found") return 127;
  return error.code === "exec-denied" ? 126 : 128;
}
