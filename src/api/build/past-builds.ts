/** The last builds, and the end of one that runs. */
import { LighterError } from "../../base/errors.ts";
import type { PastBuild } from "../../engine/mod.ts";
import { sendEmpty, sendJson } from "../http/protocol.ts";
import type { AnswerCall } from "../http/router.ts";

function describe({ id, name, startedMs, endedMs, image, error, steps, cachedSteps }: PastBuild): object {
  return {
    ...{ Id: id, Name: name, StartedMs: startedMs, EndedMs: endedMs, Image: image, Error: error },
    ...{ Steps: steps, CachedSteps: cachedSteps },
  };
}

/** GET /lighter/builds */
export function listBuilds({ daemon, response }: AnswerCall): void {
  sendJson(response, 200, daemon.builder.history.list().map(describe));
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
