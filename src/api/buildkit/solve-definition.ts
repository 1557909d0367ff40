/** Solves definitions (LLB) that clients, and front ends of theirs, hand in. */
import { decodeGraph, type LayoutSource, type LocalSource } from "../../engine/mod.ts";
import { type Definition, definitionType } from "../../spec/llb.ts";
import { HOST_PLATFORM } from "../../spec/platform.ts";
import type { BuildFailure, SolveStatus } from "../../spec/solve-status.ts";
import { cacheExports, cacheImports } from "../build/cache-places.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { buildError, fetcherFor } from "./frontend.ts";
import type { Job, JobResult } from "./jobs.ts";
import { cacheClientOf, openLayout } from "./session-content.ts";
import { servedTree, treeOf } from "./session-files.ts";
import { inputsOf } from "./session-inputs.ts";
import { statusMessage } from "./status-message.ts";

/** Makes a root file system, which goes nowhere yet. @throws GrpcError */
export async function solveDefinition(
  daemon: Daemon,
  { job, definition, signal }: { job: Job; definition: Definition; signal: AbortSignal },
): Promise<JobResult> {
  const { entitlements } = await job.request.promise;
  let failure: BuildFailure = {};
  try {
    const made = await daemon.builder.solve({
      ...(await requestOf(daemon, job, signal)),
      vertex: decodeGraph(definition, entitlements),
      onFailure: (where) => {
        failure = where;
      },
    });
    return { ...made, image: undefined, document: undefined, definition, platform: HOST_PLATFORM };
  } catch (error) {
    throw buildError(error, failure, undefined);
  }
}

/** Leaves the cache of results wherever the client wants it. */
export async function leaveCaches(daemon: Daemon, job: Job, results: readonly JobResult[]): Promise<void> {
  const { sessionId, entitlements, cacheExports: wanted } = await job.request.promise;
  if (wanted.every(({ type }) => type === "inline") || results.length === 0) return;
  const session = await daemon.buildkit.sessions.find(sessionId, job.signal);
  const definitions = results.map(({ definition }) => definitionType.decode(definitionType.encode(definition)));
  await daemon.builder.leaveCaches({
    ...(await requestOf(daemon, job, job.signal)),
    vertices: definitions.map((definition) => decodeGraph(definition, entitlements)),
    cacheExports: cacheExports(daemon, wanted, cacheClientOf(session, job.signal)).cacheExports,
    onAnswer: (name, value) => void job.answers.set(name, value),
  });
}

/** What graphs of a client are solved with. */
async function requestOf(daemon: Daemon, job: Job, signal: AbortSignal) {
  const { sessionId, cacheImports: imports } = await job.request.promise;
  const session = await daemon.buildkit.sessions.find(sessionId, signal);
  const sessionOf = async ({ session: other = "" }: { session?: string }) =>
    other === "" ? session : await daemon.buildkit.sessions.find(other, signal);
  return {
    noCache: false,
    hostConfig: {},
    fetchImage: fetcherFor(daemon, session, { isPull: false, signal }),
    inputs: inputsOf(session, signal),
    cacheImports: cacheImports(daemon, imports, cacheClientOf(session, signal)),
    openLayout: async (source: LayoutSource) => openLayout(await sessionOf(source), source, signal),
    namedContext: async (source: LocalSource) => {
      const { session: _, ...options } = source;
      const from = await sessionOf(source);
      return servedTree(from, source.name, (memory) => treeOf(from, source.name, { ...options, memory, signal }));
    },
    say: () => {},
    signal,
    onStatus: (status: SolveStatus) => job.publish(statusMessage(status)),
  };
}
