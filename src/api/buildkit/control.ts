/** BuildKit's service "Control": builds, their progress, and what builds here. */
import { LighterError } from "../../base/errors.ts";
import { type BuildOutput, checkOutput } from "../../engine/mod.ts";
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
import type { CacheOption } from "../build/cache-places.ts";
import { resultOf } from "../build/outputs.ts";
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

/** Waits until the client has had its result built by the gateway, and says what it is called. */
async function solve(daemon: Daemon, request: SolveRequest, { signal }: Call) {
  const { jobs } = daemon.buildkit;
  signal.throwIfAborted();
  const job = jobs.get(request.ref);
  const cancel = () => jobs.end(request.ref);
  signal.addEventListener("abort", cancel);
  try {
    if (request.frontend !== "" || request.definition !== undefined)
      throw new LighterError("not-supported", "a build whose client does not use the gateway is not supported yet");
    const outputs = request.exporters.map(outputOf);
    job.request.resolve({
      sessionId: request.session,
      outputs: outputs.length === 0 ? NO_OUTPUT : outputs,
      cacheImports: (request.cache?.imports ?? []).map(cacheOptionOf),
      cacheExports: (request.cache?.exports ?? []).map(cacheOptionOf),
    });
    const { ref = "" } = await job.returned.promise;
    const result = resultOf({ built: ref === "" ? { id: "" } : job.result(ref).image, outputs });
    return { exporterResponse: new Map([...Object.entries(result), ...job.answers]) };
  } finally {
    signal.removeEventListener("abort", cancel);
    jobs.end(request.ref);
  }
}

const NO_OUTPUT: readonly BuildOutput[] = [{ type: "cacheonly", attrs: {} }];

function cacheOptionOf({ type, attributes }: SolveRequest["exporters"][number]): CacheOption {
  return { type, attrs: Object.fromEntries(attributes) };
}

/** An exporter as a build's output. Images are pushed by the client, which says so nevertheless. */
function outputOf({ type, attributes }: SolveRequest["exporters"][number]): BuildOutput {
  const { push: _, ...attrs } = Object.fromEntries(attributes);
  return checkOutput(type === "moby" ? "image" : type, attrs, true);
}
