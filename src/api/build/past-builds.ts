/** Builds under way and the last ones, and the end of one that runs. */
import { LighterError } from "../../base/errors.ts";
import type { PastBuild, RunningBuild } from "../../engine/mod.ts";
import { sendEmpty, sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";

function describe({ id, name, startedMs, endedMs, image, error, steps, cachedSteps }: PastBuild): object {
  return {
    ...{ Id: id, Name: name, StartedMs: startedMs, EndedMs: endedMs, Image: image, Error: error },
    ...{ Steps: steps, CachedSteps: cachedSteps },
  };
}

/** A build that has not ended is told by the time 0. */
function describeRunning(build: RunningBuild): object {
  return describe({ ...build, endedMs: 0, image: "", error: "", steps: 0, cachedSteps: 0, isPinned: false });
}

/** GET /lighter/builds: those under way first, and the last one of each first. */
export function listBuilds({ daemon, response }: AnswerCall): void {
  const { history } = daemon.builder;
  sendJson(response, 200, [...history.running().reverse().map(describeRunning), ...history.list().map(describe)]);
}

/** GET /lighter/builds/{id}: a build with all that it has said. */
export function showBuild({ daemon, parameter, response }: AnswerCall): void {
  const build = daemon.builder.history.get(parameter("id"));
  sendJson(response, 200, { ...describe(build), Statuses: build.statuses, Failure: build.failure });
}

/** POST /build/cancel */
export function cancelBuild({ daemon, query, response }: AnswerCall): void {
  const id = query.text("id");
  if (id === undefined) throw new LighterError("invalid", "build ID not provided");
  daemon.builder.cancel(id);
  sendEmpty(response, 200);
}
