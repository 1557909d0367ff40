/** BuildKit's service "LLBBridge": what a client asks of a build between its Solve and its end. */
import { LighterError } from "../../base/errors.ts";
import { type Call, type Methods, unary } from "../../grpc/server.ts";
import { GrpcError, OK } from "../../grpc/status.ts";
import {
  bridgeSolveAnswerType,
  bridgeSolveType,
  emptyType,
  evaluateType,
  pongType,
  type ResultDraft,
  returnType,
} from "../../spec/buildkit.ts";
import { formatPlatform } from "../../spec/platform.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { FRONTEND_CAPABILITIES, LLB_CAPABILITIES } from "./capabilities.ts";
import { buildDockerfile } from "./frontend.ts";
import type { Job, JobResult } from "./jobs.ts";
import { workers } from "./workers.ts";

export function bridgeMethods(daemon: Daemon): Methods {
  const capabilities = {
    frontendCapabilities: FRONTEND_CAPABILITIES.map((id) => ({ id, enabled: true })),
    llbCapabilities: LLB_CAPABILITIES.map((id) => ({ id, enabled: true })),
  };
  return new Map([
    [
      "/moby.buildkit.v1.frontend.LLBBridge/Ping",
      unary({ request: emptyType, answer: pongType }, () => ({ ...capabilities, workers: workers(daemon) })),
    ],
    [
      "/moby.buildkit.v1.frontend.LLBBridge/Solve",
      unary({ request: bridgeSolveType, answer: bridgeSolveAnswerType }, async (request, call) => {
        const job = jobOf(daemon, call);
        const signal = AbortSignal.any([call.signal, job.signal]);
        if (request.frontend !== "dockerfile.v0")
          throw new LighterError("not-supported", `the frontend "${request.frontend}" is not supported yet`);
        const { frontendOptions: options, frontendInputs: inputs } = request;
        const results = await buildDockerfile(daemon, { job, options, inputs, signal });
        return { result: resultOf(job, results, options.get("multi-platform") === "true") };
      }),
    ],
    [
      "/moby.buildkit.v1.frontend.LLBBridge/Evaluate",
      unary({ request: evaluateType, answer: emptyType }, ({ ref }, call) => {
        jobOf(daemon, call).result(ref); // nothing is lazy
        return {};
      }),
    ],
    [
      "/moby.buildkit.v1.frontend.LLBBridge/Return",
      unary({ request: returnType, answer: emptyType }, ({ result, error }, call) => {
        const { returned } = jobOf(daemon, call);
        if (error !== undefined && error.code !== OK) returned.reject(new GrpcError(error));
        else returned.resolve({ ref: result?.ref?.id ?? [...(result?.refs?.refs.values() ?? [])][0]?.id });
        return {};
      }),
    ],
  ]);
}

/** The result as the client gets it: one reference or, if it was built for several platforms, one for each. */
function resultOf(job: Job, results: readonly JobResult[], isMap: boolean): ResultDraft {
  const platforms = results.map(({ platform }) => ({ ID: formatPlatform(platform), Platform: platform }));
  const hasMap = isMap || results.length > 1;
  const metadata = new Map([["refs.platforms", Buffer.from(JSON.stringify({ Platforms: platforms }))]]);
  const refs = new Map<string, { id: string; definition: JobResult["definition"] }>();
  for (const [index, result] of results.entries()) {
    const { ID } = platforms[index]!;
    const config = JSON.stringify({ ...result.document, rootfs: { type: "layers", diff_ids: [] } });
    metadata.set(hasMap ? `containerimage.config/${ID}` : "containerimage.config", Buffer.from(config));
    refs.set(ID, { id: job.keep(result), definition: result.definition });
  }
  return hasMap ? { refs: { refs }, metadata } : { ref: [...refs.values()][0], metadata };
}

function jobOf({ buildkit }: Daemon, { metadata }: Call): Job {
  return buildkit.jobs.get(metadata.get("buildkit-controlapi-buildid")?.[0] ?? "");
}
