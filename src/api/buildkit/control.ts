/** BuildKit's service "Control": builds, their progress, and what builds here. */
import { formatNow } from "../../base/time.ts";
import { type BuildOutput, checkOutput } from "../../engine/mod.ts";
import { GrpcClient } from "../../grpc/client.ts";
import { answerStream, type Call, type Methods, unary } from "../../grpc/server.ts";
import { openTunnel } from "../../grpc/tunnel.ts";
import {
  buildStatusType,
  diskUsageAnswerType,
  diskUsageType,
  emptyType,
  historyEventType,
  historyRequestType,
  historyUpdateType,
  infoAnswerType,
  listWorkersAnswerType,
  pruneType,
  type ResultDraft,
  type SolveRequest,
  solveAnswerType,
  solveType,
  statusRequestType,
  usageRecordType,
} from "../../spec/buildkit.ts";
import type { CacheOption } from "../build/cache-places.ts";
import { resultOf } from "../build/outputs.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { refusePolicies, solve as solveForCaller } from "./bridge.ts";
import { diskUsage, prune } from "./cache.ts";
import { exportResult } from "./export-result.ts";
import { listenToHistory, pastStatus, updateHistory } from "./history.ts";
import type { Job } from "./jobs.ts";
import { dataOf, piecesOf } from "./pieces.ts";
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
      answerStream({ request: statusRequestType, answer: buildStatusType }, ({ ref }, { signal, answerMetadata }) => {
        answerMetadata[TIMESTAMP] = formatNow(); // by which a client knows how its clock differs
        return daemon.builder.history.has(ref) && !jobs.has(ref)
          ? pastStatus(daemon, ref)
          : jobs.get(ref).events(signal);
      }),
    ],
    [
      "/moby.buildkit.v1.Control/ListenBuildHistory",
      answerStream({ request: historyRequestType, answer: historyEventType }, (request, { signal }) =>
        listenToHistory(daemon, request, signal),
      ),
    ],
    [
      "/moby.buildkit.v1.Control/UpdateBuildHistory",
      unary({ request: historyUpdateType, answer: emptyType }, (request) => updateHistory(daemon, request)),
    ],
    ["/moby.buildkit.v1.Control/Session", (requests, call) => carrySession(daemon, requests, call)],
  ]);
}

/** Carries a session inside of the call, for clients without POST /session. */
async function* carrySession(
  { buildkit: { sessions } }: Daemon,
  requests: AsyncIterable<Uint8Array>,
  { metadata }: Call,
): AsyncGenerator<Uint8Array> {
  const announced = sessions.announced((key) => metadata.get(key) ?? []);
  const outgoing = Promise.withResolvers<AsyncIterable<Uint8Array>>();
  const connection = openTunnel((written) => {
    outgoing.resolve(written);
    return dataOf(requests);
  });
  const carried = sessions.carry(announced, new GrpcClient(connection));
  try {
    yield* piecesOf(await outgoing.promise);
  } finally {
    connection.destroy();
    await carried;
  }
}

/** Builds what the request says or, as most clients want, waits until they have had it built by the gateway. */
async function solve(daemon: Daemon, request: SolveRequest, { signal }: Call) {
  const { jobs, sessions } = daemon.buildkit;
  const job = jobs.get(request.ref);
  const cancel = () => jobs.end(request.ref);
  signal.addEventListener("abort", cancel);
  using _bound = sessions.bind(request.session, (reason) => jobs.end(request.ref, reason));
  try {
    signal.throwIfAborted(); // Status may wait for this job: it ends with it
    refusePolicies([request.sourcePolicy]);
    const asked = exportersOf(request).map(outputOf);
    const outputs = asked.length === 0 ? NO_OUTPUT : asked;
    const { session: sessionId, frontendInputs: inputs } = request;
    const entitlements = new Set(request.entitlements.filter((name) => name === "security.insecure"));
    job.request.resolve({
      ...{ sessionId, outputs, inputs, entitlements },
      cacheImports: (request.cache?.imports ?? []).map(cacheOptionOf),
      cacheExports: (request.cache?.exports ?? []).map(cacheOptionOf),
    });
    const result = await (isWhole(request) ? solveAtOnce(daemon, job, request) : job.returned.promise);
    const built = await exportResult(daemon, job, { result, sessionId, outputs });
    return { exporterResponse: new Map([...Object.entries(resultOf({ built, outputs: asked })), ...job.answers]) };
  } finally {
    signal.removeEventListener("abort", cancel);
    jobs.end(request.ref);
  }
}

/** The exporters; older clients name one in another field. */
function exportersOf(request: SolveRequest): SolveRequest["exporters"] {
  const { exporters, exporterDeprecated: type, exporterAttributesDeprecated: attributes } = request;
  return exporters.length > 0 || type === "" ? exporters : [{ type, attributes }];
}

/** Whether the request says all, and no gateway is used. */
function isWhole({ frontend, definition }: SolveRequest): boolean {
  return frontend !== "" || definition !== undefined;
}

async function solveAtOnce(daemon: Daemon, job: Job, request: SolveRequest): Promise<ResultDraft> {
  const { frontend, definition, frontendAttributes: frontendOptions, frontendInputs } = request;
  const bridged = { frontend, definition, frontendOptions, frontendInputs, evaluate: false, sourcePolicies: [] };
  return await solveForCaller(daemon, { job, isExported: true }, { request: bridged, signal: job.signal });
}

const TIMESTAMP = "buildkit-current-timestamp";
const NO_OUTPUT: readonly BuildOutput[] = [{ type: "cacheonly", attrs: {} }];

function cacheOptionOf({ type, attributes }: SolveRequest["exporters"][number]): CacheOption {
  return { type, attrs: Object.fromEntries(attributes) };
}

/** An exporter as a build's output. Images are pushed by the client, which says so nevertheless. */
function outputOf({ type, attributes }: SolveRequest["exporters"][number]): BuildOutput {
  const { push: _, ...attrs } = Object.fromEntries(attributes);
  return checkOutput(type === "moby" ? "image" : type, attrs, true);
}
