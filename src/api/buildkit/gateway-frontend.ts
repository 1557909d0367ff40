/** The front end "gateway.v0": another image's program, which asks for what it needs on its standard streams. */
import { LighterError } from "../../base/errors.ts";
import { FRONTEND_END_MS, FRONTENDS_MAX } from "../../base/limits.ts";
import { StepFailed } from "../../engine/mod.ts";
import { type Methods, serveGrpc } from "../../grpc/server.ts";
import type { Result } from "../../spec/buildkit.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { fetcherFor } from "./frontend.ts";
import type { Job } from "./jobs.ts";
import { statusMessage } from "./status-message.ts";
import { workers } from "./workers.ts";

interface GatewayRun {
  job: Job;
  /** The image. */
  source: string;
  options: ReadonlyMap<string, string>;
  /** Gives the methods that the front end calls; it hands its result to `returned`. */
  methods: (returned: PromiseWithResolvers<Result | undefined>) => Methods;
  signal: AbortSignal;
}

/** Runs the front end. Resolves with what it returns. @throws GrpcError if it returns one, LighterError if it returns nothing */
export async function runGateway(daemon: Daemon, { job, source, options, methods, signal }: GatewayRun) {
  const { sessionId } = await job.request.promise;
  const session = await daemon.buildkit.sessions.find(sessionId, signal);
  const returned = Promise.withResolvers<Result | undefined>();
  const end = new AbortController();
  // One that has returned has nothing more to do.
  let timer: NodeJS.Timeout | undefined;
  let hasReturned = false;
  const onReturned = () => {
    hasReturned = true;
    timer = setTimeout(() => end.abort(new LighterError("conflict", "the front end does not end")), FRONTEND_END_MS);
  };
  returned.promise.then(onReturned, onReturned);
  if (job.frontendCount >= FRONTENDS_MAX)
    throw new LighterError("invalid", `more than ${FRONTENDS_MAX} front ends have one another run`);
  job.frontendCount++;
  try {
    await daemon.builder.runFrontend(
      {
        reference: source,
        env: environmentOf(daemon, options, sessionId),
        fetchImage: fetcherFor(daemon, session, { isPull: options.get("image-resolve-mode") === "pull", signal }),
        signal: AbortSignal.any([signal, end.signal]),
        onStatus: (status) => job.publish(statusMessage(status)),
      },
      (stdio) => serveGrpc(stdio, methods(returned)),
    );
  } catch (error) {
    if (!hasReturned) throw error instanceof StepFailed ? new LighterError("invalid", error.processText) : error;
  } finally {
    job.frontendCount--;
    clearTimeout(timer);
  }
  if (!hasReturned) throw new LighterError("invalid", `the front end ${source} has returned nothing`);
  return await returned.promise;
}

/** How a front end is told what it is to do. Source: moby/buildkit frontend/gateway/gateway.go, grpcclient/client.go. */
function environmentOf(daemon: Daemon, options: ReadonlyMap<string, string>, sessionId: string): string[] {
  const shown = workers(daemon).map(({ id: ID, labels, platforms: Platforms }) => ({
    ...{ ID, Labels: Object.fromEntries(labels), Platforms },
  }));
  return [
    ...[...options].map(([key, value], index) => `BUILDKIT_FRONTEND_OPT_${index}=${key}=${value}`),
    `BUILDKIT_SESSION_ID=${sessionId}`,
    `BUILDKIT_WORKERS=${JSON.stringify(shown)}`,
    "BUILDKIT_EXPORTEDPRODUCT=",
  ];
}
