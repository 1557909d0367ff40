/** The last builds in BuildKit's API: ListenBuildHistory, UpdateBuildHistory, and what builds that have ended have said. */
import type { HistoryEvent, PastBuild, RunningBuild } from "../../engine/mod.ts";
import { UNKNOWN } from "../../grpc/status.ts";
import type { BuildStatus, HistoryEventDraft, HistoryRequest, HistoryUpdate } from "../../spec/buildkit.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { statusMessage, timestampOfMs } from "./status-message.ts";

const KINDS = { started: 0, ended: 1, removed: 2 };

/** Yields the records that there are and, unless that is all that is wanted, what happens until the client goes. */
export async function* listenToHistory(
  { builder: { history } }: Daemon,
  { activeOnly, ref, earlyExit }: HistoryRequest,
  signal: AbortSignal,
): AsyncGenerator<HistoryEventDraft> {
  const waiting: HistoryEvent[] = [];
  let heard = Promise.withResolvers<void>();
  const wake = () => heard.resolve();
  signal.addEventListener("abort", wake);
  using _listening = history.listen((event) => {
    waiting.push(event);
    wake();
  });
  const [past, running] = [activeOnly ? [] : history.list().reverse(), history.running()];
  const isMeant = (id: string) => ref === "" || id === ref;
  for (const build of past) if (isMeant(build.id)) yield eventOf({ kind: "ended", build });
  for (const build of running) if (isMeant(build.id)) yield eventOf({ kind: "started", build });
  while (!earlyExit && !signal.aborted) {
    await heard.promise;
    heard = Promise.withResolvers();
    for (const event of waiting.splice(0)) if (isMeant(event.build.id)) yield eventOf(event);
  }
}

/** Removes, pins or frees a record. @throws LighterError "not-found" */
export function updateHistory({ builder: { history } }: Daemon, { ref, pinned, isRemoved }: HistoryUpdate): object {
  if (isRemoved) history.remove(ref);
  else history.setPinned(ref, pinned);
  return {};
}

/** Yields what a build that has ended has said. */
export async function* pastStatus({ builder: { history } }: Daemon, ref: string): AsyncGenerator<BuildStatus> {
  for (const status of history.get(ref).statuses) yield statusMessage(status);
}

function eventOf({ kind, build }: HistoryEvent): HistoryEventDraft {
  return { type: KINDS[kind], record: kind === "started" ? startedRecord(build) : endedRecord(build) };
}

function startedRecord({ id, startedMs }: RunningBuild): NonNullable<HistoryEventDraft["record"]> {
  return { ref: id, frontend: "dockerfile.v0", createdAt: timestampOfMs(startedMs) };
}

function endedRecord(build: PastBuild): NonNullable<HistoryEventDraft["record"]> {
  const { image, error, endedMs, steps, cachedSteps, isPinned } = build;
  return {
    ...startedRecord(build),
    completedAt: timestampOfMs(endedMs),
    ...(error === "" ? {} : { error: { code: UNKNOWN, message: error, details: [] } }),
    exporterResponse: new Map(image === "" ? [] : [["containerimage.config.digest", image]]),
    ...{ isPinned, cachedSteps, steps, completedSteps: steps },
  };
}
