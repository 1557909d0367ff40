/** Solves definitions (LLB) that clients, and front ends of theirs, hand in. */
import { decodeGraph, type LocalSource } from "../../engine/mod.ts";
import type { Definition } from "../../spec/llb.ts";
import { HOST_PLATFORM } from "../../spec/platform.ts";
import type { BuildFailure } from "../../spec/solve-status.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { buildError, fetcherFor } from "./frontend.ts";
import type { Job, JobResult } from "./jobs.ts";
import { treeOf } from "./session-files.ts";
import { inputsOf } from "./session-inputs.ts";
import { statusMessage } from "./status-message.ts";

/** Makes a root file system, which goes nowhere yet. @throws GrpcError */
export async function solveDefinition(
  daemon: Daemon,
  { job, definition, signal }: { job: Job; definition: Definition; signal: AbortSignal },
): Promise<JobResult> {
  const { sessionId, entitlements } = await job.request.promise;
  const session = await daemon.buildkit.sessions.find(sessionId, signal);
  let failure: BuildFailure = {};
  try {
    const made = await daemon.builder.solve({
      vertex: decodeGraph(definition, entitlements),
      noCache: false,
      hostConfig: {},
      fetchImage: fetcherFor(daemon, session, { isPull: false, signal }),
      inputs: inputsOf(session, signal),
      namedContext: async function* (source: LocalSource) {
        const { session: other = "", ...options } = source;
        const from = other === "" ? session : await daemon.buildkit.sessions.find(other, signal);
        yield* treeOf(from, source.name, { ...options, signal });
      },
      say: () => {},
      signal,
      onStatus: (status) => job.publish(statusMessage(status)),
      onFailure: (where) => {
        failure = where;
      },
    });
    return { ...made, image: undefined, document: undefined, definition, platform: HOST_PLATFORM };
  } catch (error) {
    throw buildError(error, failure, undefined);
  }
}
