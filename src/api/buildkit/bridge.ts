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
  returnType,
} from "../../spec/buildkit.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { FRONTEND_CAPABILITIES, LLB_CAPABILITIES } from "./capabilities.ts";
import { buildDockerfile } from "./frontend.ts";
import type { Job } from "./jobs.ts";
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
        const result = await buildDockerfile(daemon, { job, options, inputs, signal });
        const { definition, document } = result;
        const config = Buffer.from(JSON.stringify({ ...document, rootfs: { type: "layers", diff_ids: [] } }));
        const metadata = new Map([["containerimage.config", config]]);
        return { result: { ref: { id: job.keep(result), definition }, metadata } };
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
        else returned.resolve({ ref: result?.ref?.id });
        return {};
      }),
    ],
  ]);
}

function jobOf({ buildkit }: Daemon, { metadata }: Call): Job {
  return buildkit.jobs.get(metadata.get("buildkit-controlapi-buildid")?.[0] ?? "");
}
