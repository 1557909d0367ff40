/** BuildKit's service "Control": builds, their progress, and what builds here. */
import { LighterError } from "../../base/errors.ts";
import { answerStream, type Call, type Methods, unary } from "../../grpc/server.ts";
import {
  buildStatusType,
  diskUsageAnswerType,
  diskUsageType,
  emptyType,
  infoAnswerType,
  listWorkersAnswerType,
  pruneType,
  type SolveRequest,
  solveAnswerType,
  solveType,
  statusRequestType,
  usageRecordType,
} from "../../spec/buildkit.ts";
import { familiarReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { diskUsage, prune } from "./cache.ts";
import { BUILDKIT_VERSION, workers } from "./workers.ts";

export function controlMethods(daemon: Daemon): Methods {
  const { jobs } = daemon.buildkit;
  return new Map([
    [
      "/moby.buildkit.v1.Control/ListWorkers",
      unary({ request: emptyType, answer: listWorkersAnswerType }, () => ({ workers: workers(daemon) })),
    ],
    [
      "/moby.buildkit.v1.Control/Info",
      unary({ request: emptyType, answer: infoAnswerType }, () => ({ buildkitVersion: BUILDKIT_VERSION })),
    ],
    [
      "/moby.buildkit.v1.Control/DiskUsage",
      unary({ request: diskUsageType, answer: diskUsageAnswerType }, (request) => diskUsage(daemon, request)),
    ],
    [
      "/moby.buildkit.v1.Control/Prune",
      answerStream({ request: pruneType, answer: usageRecordType }, (request) => prune(daemon, request)),
    ],
    [
      "/moby.buildkit.v1.Control/Solve",
      unary({ request: solveType, answer: solveAnswerType }, (request, call) => solve(daemon, request, call)),
    ],
    [
      "/moby.buildkit.v1.Control/Status",
      answerStream({ request: statusRequestType, answer: buildStatusType }, ({ ref }, { signal }) =>
        jobs.get(ref).events(signal),
      ),
    ],
  ]);
}

/** Waits until the client has had its result built by the gateway, and says under which names it is to be found. */
async function solve(daemon: Daemon, request: SolveRequest, { signal }: Call) {
  const { jobs } = daemon.buildkit;
  if (request.frontend !== "" || request.definition !== undefined)
    throw new LighterError("not-supported", "a build whose client does not use the gateway is not supported yet");
  const names = request.exporters.flatMap(namesOf);
  signal.throwIfAborted();
  const job = jobs.get(request.ref);
  const cancel = () => jobs.end(request.ref);
  signal.addEventListener("abort", cancel);
  try {
    job.request.resolve({
      sessionId: request.session,
      tags: names.map((name) => familiarReference(withDefaultTag(parseReference(name)))),
    });
    const { ref = "" } = await job.returned.promise;
    const hasImage = ref !== "" && request.exporters.length > 0;
    return { exporterResponse: hasImage ? answerOf(ref, names) : new Map() };
  } finally {
    signal.removeEventListener("abort", cancel);
    jobs.end(request.ref);
  }
}

/** The names that an exporter is to give the image. @throws LighterError "not-supported" for one that makes something else */
function namesOf({ type, attributes }: SolveRequest["exporters"][number]): string[] {
  if (type !== "moby" && type !== "image")
    throw new LighterError("not-supported", `the exporter "${type}" is not supported yet`);
  return (attributes.get("name") ?? "").split(",").filter((name) => name !== "");
}

function answerOf(id: string, names: readonly string[]): Map<string, string> {
  const answer = new Map([
    ["containerimage.digest", id],
    ["containerimage.config.digest", id],
  ]);
  return names.length === 0 ? answer : answer.set("image.name", names.join(","));
}
