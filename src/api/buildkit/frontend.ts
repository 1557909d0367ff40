/** The front end "dockerfile.v0": builds a Dockerfile with the files that the client's session serves. */
import { messageOf } from "../../base/errors.ts";
import {
  type BuildOutput,
  type BuildRequest,
  DockerfileError,
  decodeGraph,
  type Entitlement,
  encodeGraph,
  type ForeignFrontEnd,
  type InputContext,
  StepFailed,
} from "../../engine/mod.ts";
import { GrpcError, UNKNOWN } from "../../grpc/status.ts";
import type { Definition } from "../../spec/llb.ts";
import type { BuildFailure } from "../../spec/solve-status.ts";
import { cacheExports, cacheImports } from "../build/cache-places.ts";
import { imageFetcher } from "../build/fetch-image.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { BuildFiles } from "./build-files.ts";
import { inputImageOf, parseFrontendOptions } from "./frontend-options.ts";
import type { Job, JobResult } from "./jobs.ts";
import { cacheClientOf } from "./session-content.ts";
import { inputsOf } from "./session-inputs.ts";
import { loginOf } from "./session-login.ts";
import { targetsOf } from "./session-outputs.ts";
import type { Session } from "./sessions.ts";
import { statusMessage } from "./status-message.ts";
import { answerSubrequest } from "./subrequests.ts";

interface DockerfileBuild {
  job: Job;
  options: ReadonlyMap<string, string>;
  /** The graphs of other builds' results that are contexts of this one. */
  inputs: ReadonlyMap<string, Definition>;
  /** Whether the result goes to where the client wants it at once. */
  isExported: boolean;
  signal: AbortSignal;
}

/**
 * Builds the image. Resolves with a result for each platform or, if the Dockerfile wants another front end, with that.
 * @throws GrpcError, with the lines of the Dockerfile that it is about
 */
export async function buildDockerfile(daemon: Daemon, build: DockerfileBuild): Promise<JobResult[] | ForeignFrontEnd> {
  const { job, options, signal } = build;
  const { sessionId, outputs: wanted, entitlements, ...caches } = await job.request.promise;
  const outputs: readonly BuildOutput[] = build.isExported ? wanted : [{ type: "cacheonly", attrs: {} }];
  const session = await daemon.buildkit.sessions.find(sessionId, signal);
  const { filename, pull, ...rest } = parseFrontendOptions(options);
  const syntax = rest.buildArgs.get("BUILDKIT_SYNTAX");
  const isApart = options.has("dockerfilekey");
  const files = new BuildFiles({ daemon, session, sessionId, filename, isApart, syntax, signal });
  const credentials = (domain: string) => loginOf(session, domain, signal);
  const client = cacheClientOf(session, signal);
  let failure: BuildFailure = {};
  const made: Omit<JobResult, "image">[] = [];
  try {
    const isKnown = options.has("cmdline") || build.inputs.has("dockerfile");
    const foreign = isKnown ? undefined : await files.foreignFrontEnd(options.get("context") ?? "");
    if (foreign !== undefined) return foreign;
    const image = await daemon.builder.build({
      ...{ ...rest, ref: job.ref },
      cacheImports: cacheImports(daemon, caches.cacheImports, client),
      ...(build.isExported ? cacheExports(daemon, caches.cacheExports, client) : {}),
      onAnswer: (name, value) => void job.answers.set(name, value),
      ...files.sources(options.get("context") ?? ""),
      ...{ dockerfile: filename, tags: [], outputs, targets: targetsOf(session, outputs, signal), signal },
      cancel: (reason) => job.end(reason),
      fetchImage: imageFetcher(daemon, { isPull: pull, credentialsFor: credentials, signal }),
      inputs: inputsOf(session, signal),
      contextInputs: inputContexts(build, entitlements),
      entitlements,
      onResult: ({ platform, root, document, ...graph }) => {
        const hold = daemon.images.snapshots.hold(root);
        const definition = encodeGraph(graph.vertex, { names: graph.names, ...files.origin });
        made.push({ platform, root, document, hold, definition });
      },
      say: () => {},
      hasStepImages: false,
      wantsWarnings: true,
      onStatus: (status) => job.publish(statusMessage(status)),
      onFailure: (where) => {
        failure = where;
      },
    });
    return made.map((each) => ({ ...each, image: build.isExported ? image : undefined }));
  } catch (error) {
    for (const { hold } of made) hold[Symbol.dispose]();
    throw buildError(error, failure, { filename, text: files.dockerfile });
  }
}

/**
 * Answers a question about the Dockerfile: a result's metadata or, if it wants another front end, that.
 * @throws GrpcError, with the lines of the Dockerfile that it is about
 */
export async function askDockerfile(
  daemon: Daemon,
  { job, options, signal }: Pick<DockerfileBuild, "job" | "options" | "signal">,
): Promise<Map<string, Uint8Array> | ForeignFrontEnd> {
  const { sessionId } = await job.request.promise;
  const session = await daemon.buildkit.sessions.find(sessionId, signal);
  const { filename, buildArgs, target } = parseFrontendOptions(options);
  const syntax = buildArgs.get("BUILDKIT_SYNTAX");
  const [platform = ""] = (options.get("platform") ?? "").split(",");
  const isApart = options.has("dockerfilekey");
  const files = new BuildFiles({ daemon, session, sessionId, filename, isApart, syntax, signal });
  const id = options.get("requestid") ?? "";
  const read = () => files.readTexts(options.get("context") ?? "");
  try {
    const foreign = options.has("cmdline") ? undefined : await files.foreignFrontEnd(options.get("context") ?? "");
    if (foreign !== undefined) return foreign;
    return await answerSubrequest(daemon, { id, filename, buildArgs, platform, target, read });
  } catch (error) {
    const failure = error instanceof DockerfileError ? { ranges: error.ranges } : {};
    throw buildError(error, failure, { filename, text: files.dockerfile });
  }
}

/** Pulls with the client's credentials. */
export function fetcherFor(
  daemon: Daemon,
  session: Session,
  { isPull, signal }: { isPull: boolean; signal: AbortSignal },
): BuildRequest["fetchImage"] {
  return imageFetcher(daemon, { isPull, credentialsFor: (domain) => loginOf(session, domain, signal), signal });
}

function inputContexts(
  { inputs, options }: DockerfileBuild,
  entitlements: ReadonlySet<Entitlement>,
): Map<string, InputContext> {
  return new Map(
    [...inputs].map(([key, definition]) => [
      key,
      { vertex: decodeGraph(definition, entitlements), image: inputImageOf(options, key) },
    ]),
  );
}

/** The failure as BuildKit tells it: the details are what clients draw an excerpt of the Dockerfile from. */
export function buildError(
  error: unknown,
  { ranges, vertex }: BuildFailure,
  file: { filename: string; text: Buffer } | undefined,
): GrpcError {
  const message = error instanceof StepFailed ? error.processText : messageOf(error);
  const source = {
    info: { filename: file?.filename, data: file?.text.toString("base64") },
    ranges: (ranges ?? []).map(({ start, end }) => ({ start: { line: start }, end: { line: end } })),
  };
  return new GrpcError({
    code: UNKNOWN,
    message,
    details: [
      ...(ranges === undefined || file === undefined
        ? []
        : [detail("github.com/moby/buildkit/errdefs.Source+json", source)]),
      ...(vertex === undefined ? [] : [detail("github.com/moby/buildkit/errdefs.Vertex+json", { digest: vertex })]),
      ...(error instanceof StepFailed
        ? [detail("github.com/moby/buildkit/gatewayapi.ExitMessage+json", { Code: error.exitCode })]
        : []),
    ],
  });
}

function detail(typeUrl: string, value: object) {
  return { typeUrl, value: Buffer.from(JSON.stringify(value)) };
}
