/** The front end "dockerfile.v0": builds a Dockerfile with the files that the client's session serves. */
import { LighterError, messageOf } from "../../base/errors.ts";
import { BUILD_DOCKERFILE_MAX_CHARS } from "../../base/limits.ts";
import { type BuildRequest, foreignFrontEnd, StepFailed } from "../../engine/mod.ts";
import { GrpcError, UNKNOWN } from "../../grpc/status.ts";
import { IGNORE_FILE, parseIgnoreFile } from "../../spec/docker-ignore.ts";
import type { BuildFailure } from "../../spec/solve-status.ts";
import { imageFetcher } from "../build/fetch-image.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { parseFrontendOptions } from "./frontend-options.ts";
import type { Job } from "./jobs.ts";
import { credentialsFor, readFiles, treeOf, uploadOf } from "./session-files.ts";
import { inputsOf } from "./session-inputs.ts";
import { targetsOf } from "./session-outputs.ts";
import type { Session } from "./sessions.ts";
import { statusMessage } from "./status-message.ts";

/** The context of a build whose files come otherwise. */
const NOTHING: AsyncIterable<Uint8Array> = (async function* () {})();

interface DockerfileBuild {
  job: Job;
  options: ReadonlyMap<string, string>;
  signal: AbortSignal;
}

/** Builds the image. Resolves with its id. @throws GrpcError, with the lines of the Dockerfile that it is about */
export async function buildDockerfile(daemon: Daemon, { job, options, signal }: DockerfileBuild): Promise<string> {
  const { sessionId, outputs } = await job.request.promise;
  const session = await daemon.buildkit.sessions.find(sessionId, signal);
  const { filename, pull, ...rest } = parseFrontendOptions(options);
  const files = new BuildFiles(session, { filename, syntax: rest.buildArgs.get("BUILDKIT_SYNTAX") }, signal);
  let failure: BuildFailure = {};
  try {
    return await daemon.builder.build({
      ...rest,
      ...files.sources(options.get("context") ?? ""),
      ...{ dockerfile: filename, tags: [], outputs, targets: targetsOf(session, outputs, signal), signal },
      fetchImage: imageFetcher(daemon, {
        isPull: pull,
        credentialsFor: (domain) => credentialsFor(session, domain, signal),
        signal,
      }),
      inputs: inputsOf(session, signal),
      say: () => {},
      hasStepImages: false,
      wantsWarnings: true,
      onStatus: (status) => job.publish(statusMessage(status)),
      onFailure: (where) => {
        failure = where;
      },
    });
  } catch (error) {
    throw buildError(error, failure, { filename, text: files.dockerfile });
  }
}

function patternsOf(ignoreFile: Buffer | undefined): readonly string[] {
  return ignoreFile === undefined ? [] : parseIgnoreFile(ignoreFile.toString()).patterns;
}

/** The files of a build, which come one after another as they are needed. */
class BuildFiles {
  readonly #session: Session;
  readonly #filename: string;
  readonly #signal: AbortSignal;
  readonly #syntax: string | undefined;
  #ignoreFile: Buffer | undefined;
  dockerfile: Buffer = Buffer.alloc(0);

  constructor(
    session: Session,
    { filename, syntax }: { filename: string; syntax: string | undefined },
    signal: AbortSignal,
  ) {
    this.#session = session;
    this.#filename = filename;
    this.#syntax = syntax;
    this.#signal = signal;
  }

  /** The context, and how to read the Dockerfile if it is not in there. */
  sources(context: string): Pick<BuildRequest, "context" | "remote" | "served" | "namedContext"> {
    const [, path] = /^http:\/\/buildkit-session(\/.+)$/.exec(context) ?? [];
    if (path !== undefined) return { context: uploadOf(this.#session, path, this.#signal), remote: undefined };
    if (context !== "") return { context: NOTHING, remote: context };
    const served = { readDockerfile: () => this.#readDockerfile(), context: this.#context.bind(this) };
    return { context: NOTHING, remote: undefined, served, namedContext: this.#namedContext.bind(this) };
  }

  async #readDockerfile(): Promise<Buffer> {
    const ignoreName = `${this.#filename}.dockerignore`;
    const files = await this.#read("dockerfile", [this.#filename, ignoreName]);
    const dockerfile = files.get(this.#filename);
    if (dockerfile === undefined)
      throw new LighterError(
        "not-found",
        `failed to read dockerfile: open ${this.#filename}: no such file or directory`,
      );
    this.#ignoreFile = files.get(ignoreName);
    this.dockerfile = dockerfile;
    const foreign = foreignFrontEnd(dockerfile.toString(), this.#syntax);
    if (foreign !== undefined)
      throw new LighterError("not-supported", `the front end ${foreign} (# syntax=) is not supported yet`);
    return dockerfile;
  }

  async *#context(paths: readonly string[] | undefined): AsyncGenerator<Uint8Array> {
    const file = this.#ignoreFile ?? (await this.#read("context", [IGNORE_FILE])).get(IGNORE_FILE);
    const followPaths = paths ?? [];
    yield* treeOf(this.#session, "context", { exclude: patternsOf(file), followPaths, signal: this.#signal });
  }

  async *#namedContext(name: string): AsyncGenerator<Uint8Array> {
    const file = (await this.#read(name, [IGNORE_FILE])).get(IGNORE_FILE);
    yield* treeOf(this.#session, name, { exclude: patternsOf(file), signal: this.#signal });
  }

  #read(directory: string, followPaths: readonly string[]): Promise<Map<string, Buffer>> {
    const limits = { maxBytes: BUILD_DOCKERFILE_MAX_CHARS, signal: this.#signal };
    return readFiles(this.#session, directory, { ...limits, followPaths });
  }
}

/** The failure as BuildKit tells it: the details are what clients draw an excerpt of the Dockerfile from. */
function buildError(
  error: unknown,
  { ranges, vertex }: BuildFailure,
  file: { filename: string; text: Buffer },
): GrpcError {
  const message = error instanceof StepFailed ? error.processText : messageOf(error);
  const source = {
    info: { filename: file.filename, data: file.text.toString("base64") },
    ranges: (ranges ?? []).map(({ start, end }) => ({ start: { line: start }, end: { line: end } })),
  };
  return new GrpcError({
    code: UNKNOWN,
    message,
    details: [
      ...(ranges === undefined ? [] : [detail("github.com/moby/buildkit/errdefs.Source+json", source)]),
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
