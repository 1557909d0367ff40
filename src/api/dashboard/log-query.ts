/** What a page wants to see of a container's log. */
import { LighterError } from "../../base/errors.ts";
import { parseRfc3339 } from "../../base/time.ts";
import type { LogQuery } from "../../engine/mod.ts";
import type { PageRequest } from "../../spec/dashboard.ts";
import { logPath } from "../containers/logs.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

/** @throws LighterError if there is no such container, or it has no log */
export function logQueryOf(
  daemon: Daemon,
  { id, tail, since }: Extract<PageRequest, { topic: "logs" }>,
  signal: AbortSignal,
): { path: string; query: LogQuery } {
  const container = daemon.engine.find(id);
  const sinceNs = since === undefined ? undefined : parseRfc3339(since);
  if (since !== undefined && sinceNs === undefined) throw new LighterError("invalid", `"${since}" is not a time`);
  return {
    path: logPath(daemon, container),
    query: {
      ...{ tail, signal, onDamage: () => {} },
      ...(sinceNs === undefined ? {} : { sinceNs }),
      ...(container.isRunning ? { followUntil: container.wait("not-running") } : {}),
    },
  };
}
