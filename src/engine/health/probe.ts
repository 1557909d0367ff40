/** Runs one health check in a container. */
import { messageOf } from "../../base/errors.ts";
import { histograms } from "../../base/metrics.ts";
import { SIGNALS } from "../../base/signals.ts";
import { formatNow } from "../../base/time.ts";
import { settlesWithin } from "../../base/timer.ts";
import type { Container } from "../container.ts";
import { PendingAttach } from "../process/attach.ts";
import type { Exec } from "../process/exec.ts";
import type { Execs } from "../process/execs.ts";
import type { HealthCheck, HealthResult } from "./health-state.ts";
import { LimitedOutput } from "./limited-output.ts";

const starts = histograms(
  "engine_daemon_health_check_start_duration_seconds",
  "The number of seconds it takes to prepare to run health checks",
);

/** The limit of Docker. */
const OUTPUT_MAX_BYTES = 4096;
/** The exit code of a check that could not be run, or took too long. */
const NOT_RUN_EXIT_CODE = -1;

/** Runs the check once, in the container. Never rejects: a check that cannot be run is a result, too. */
export async function runProbe(
  execs: Execs,
  container: Container,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<HealthResult> {
  const start = formatNow();
  const output = new LimitedOutput(OUTPUT_MAX_BYTES);
  let exec: Exec | undefined;
  try {
    exec = execs.create(container, { ...PROBE_OPTIONS, Cmd: check.command });
    const outcome = await runUntil(execs, exec, output, check.timeoutMs, signal);
    if (outcome !== "timeout") return { start, end: formatNow(), exitCode: outcome, output: output.text };
    const text = output.text;
    const message = `Health check exceeded timeout (${formatGoDuration(check.timeoutMs)})${text === "" ? "" : `: ${text}`}`;
    return { start, end: formatNow(), exitCode: NOT_RUN_EXIT_CODE, output: message };
  } catch (error) {
    return { start, end: formatNow(), exitCode: NOT_RUN_EXIT_CODE, output: messageOf(error) };
  } finally {
    if (exec !== undefined) execs.forget(exec);
  }
}

/** The options of a command whose output is for whoever asks, and that is no event. */
export const PROBE_OPTIONS = {
  attachStdin: false,
  attachStdout: true,
  attachStderr: true,
  detachKeys: "",
  isProbe: true,
};

async function runUntil(
  execs: Execs,
  exec: Exec,
  output: LimitedOutput,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<number | "timeout"> {
  const pending = new PendingAttach(exec.attachPlan);
  const startMs = performance.now();
  await execs.start(exec, pending, undefined);
  starts.observe((performance.now() - startMs) / 1000);
  const connection = (await pending.connection)?.socket;
  // Iterated and not listened to: a check without output may have closed it already, which is not announced a second time.
  const closed = (connection === undefined ? Promise.resolve() : output.readFrom(connection)).catch(() => {});
  try {
    // Processes that the check left running may hold its output open: waiting for them has to end in time, too.
    const ended = exec.end.then(() => closed);
    if (await settlesWithin(ended, timeoutMs, signal)) return await exec.end;
    if (exec.isRunning) {
      await exec.supervised?.signal(SIGNALS.KILL!);
      await exec.end;
    }
    return "timeout";
  } finally {
    connection?.destroy();
  }
}

/** Formats a duration of milliseconds or more as Go does: "500ms", "1.5s", "1m30s", "1h0m0s". */
export function formatGoDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const seconds = Number(((ms % 60_000) / 1000).toFixed(9));
  const minutes = Math.floor(ms / 60_000);
  if (minutes === 0) return `${seconds}s`;
  return minutes < 60 ? `${minutes}m${seconds}s` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}s`;
}
