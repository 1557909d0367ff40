/** BuildKit's service "LLBBridge": what a client, or a front end in a container, asks of a build. */
import { LighterError } from "../../base/errors.ts";
import { decodeSource, isBuiltIn, type LayoutSource, RootReader, readLayoutImage } from "../../engine/mod.ts";
import { type Call, type Methods, unary } from "../../grpc/server.ts";
import { GrpcError, OK } from "../../grpc/status.ts";
import {
  type BridgeSolveRequest,
  bridgeSolveAnswerType,
  bridgeSolveType,
  directoryType,
  emptyType,
  evaluateType,
  fileDataType,
  fileStatType,
  imageConfigType,
  inputsType,
  pongType,
  type Result,
  type ResultDraft,
  type RootStat,
  readDirectoryType,
  readFileType,
  resolveImageType,
  resolveSourceType,
  returnType,
  sourceMetaType,
  statFileType,
  warnType,
} from "../../spec/buildkit.ts";
import { parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Definition } from "../../spec/llb.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { BRIDGE, FRONTEND_CAPABILITIES, LLB_CAPABILITIES } from "./capabilities.ts";
import { containerMethods } from "./containers.ts";
import { askDockerfile, buildDockerfile, fetcherFor } from "./frontend.ts";
import { runGateway } from "./gateway-frontend.ts";
import type { Job, JobResult } from "./jobs.ts";
import { openLayout } from "./session-content.ts";
import { solveDefinition } from "./solve-definition.ts";
import { workers } from "./workers.ts";

/** Who asks. */
interface BridgeCaller {
  job: Job;
  /** The graphs that it was given. */
  inputs(): Promise<ReadonlyMap<string, Definition>>;
  /** Whether what a front end makes goes to where the client wants it at once. */
  isExported: boolean;
  returned: PromiseWithResolvers<Result | undefined>;
}

type FindCaller = (call: Call) => BridgeCaller;

/** `find` finds out who has made a call. */
export function bridgeMethods(daemon: Daemon, find: FindCaller): Methods {
  return new Map([
    ...buildMethods(daemon, find),
    ...resultMethods(daemon, find),
    ...imageMethods(daemon, find),
    ...containerMethods(daemon, (call) => find(call).job),
  ]);
}

/** The caller of a connection that names its build in each call. */
export function callerOf({ buildkit }: Daemon, { metadata }: Call): BridgeCaller {
  const job = buildkit.jobs.get(metadata.get("buildkit-controlapi-buildid")?.[0] ?? "");
  return {
    ...{ job, isExported: true, returned: job.returned },
    inputs: async () => (await job.request.promise).inputs,
  };
}

function buildMethods(daemon: Daemon, find: FindCaller): Methods {
  const capabilities = {
    frontendCapabilities: FRONTEND_CAPABILITIES.map((id) => ({ id, enabled: true })),
    llbCapabilities: LLB_CAPABILITIES.map((id) => ({ id, enabled: true })),
  };
  return new Map([
    [
      `${BRIDGE}Ping`,
      unary({ request: emptyType, answer: pongType }, () => ({ ...capabilities, workers: workers(daemon) })),
    ],
    [
      `${BRIDGE}Solve`,
      unary({ request: bridgeSolveType, answer: bridgeSolveAnswerType }, async (request, call) => {
        const caller = find(call);
        const signal = AbortSignal.any([call.signal, caller.job.signal]);
        return { result: await solve(daemon, caller, { request, signal }) };
      }),
    ],
    [
      `${BRIDGE}Return`,
      unary({ request: returnType, answer: emptyType }, ({ result, error }, call) => {
        const { returned } = find(call);
        if (error !== undefined && error.code !== OK) returned.reject(new GrpcError(error));
        else returned.resolve(result);
        return {};
      }),
    ],
    [
      `${BRIDGE}Inputs`,
      unary({ request: emptyType, answer: inputsType }, async (_, call) => ({
        definitions: await find(call).inputs(),
      })),
    ],
    [
      `${BRIDGE}Warn`,
      unary({ request: warnType, answer: emptyType }, ({ digest: vertex, ...warning }, call) => {
        find(call).job.publish({ warnings: [{ vertex, ...warning }] });
        return {};
      }),
    ],
  ]);
}

/** Whoever says what a build may fetch is to hear that it is not heeded. @throws LighterError "not-supported" */
export function refusePolicies(policies: readonly Uint8Array[]): void {
  if (policies.some((policy) => policy.length > 0))
    throw new LighterError("not-supported", "a policy for the sources of a build is not supported yet");
}

/** Solves a definition, or has a front end make one of its options. */
export async function solve(
  daemon: Daemon,
  { job, isExported }: Pick<BridgeCaller, "job" | "isExported">,
  { request, signal }: { request: BridgeSolveRequest; signal: AbortSignal },
): Promise<ResultDraft> {
  const { frontend, definition, frontendOptions: options, frontendInputs: inputs } = request;
  refusePolicies(request.sourcePolicies);
  if (frontend !== "" && definition !== undefined)
    throw new LighterError("invalid", "cannot solve with both Definition and Frontend specified");
  const source = options.get("source") ?? "";
  if (frontend === "gateway.v0" && !isBuiltIn(source))
    return await runForeign(daemon, job, { request, source, signal });
  if (frontend === "dockerfile.v0" || frontend === "gateway.v0") {
    const build = { job, options, inputs, isExported, signal };
    const made = await (options.has("requestid") ? askDockerfile(daemon, build) : buildDockerfile(daemon, build));
    if (made instanceof Map) return { metadata: made };
    if (Array.isArray(made)) return resultOf(job, made, options.get("multi-platform") === "true");
    const { image, line } = made;
    const frontendOptions = new Map([...options, ["source", image], ["cmdline", line]]);
    return await runForeign(daemon, job, { request: { ...request, frontendOptions }, source: image, signal });
  }
  if (frontend !== "") throw new LighterError("not-supported", `the frontend "${frontend}" is not supported yet`);
  if (definition === undefined) return {}; // of an empty root file system there is no ref
  return { ref: { id: job.keep(await solveDefinition(daemon, { job, definition, signal })), definition } };
}

/** Has another image's front end make the result. */
async function runForeign(
  daemon: Daemon,
  job: Job,
  { request, source, signal }: { request: BridgeSolveRequest; source: string; signal: AbortSignal },
): Promise<ResultDraft> {
  if (source === "") throw new LighterError("invalid", "no source specified for gateway");
  const { frontendOptions: options, frontendInputs } = request;
  const caller = { job, isExported: false, inputs: async () => frontendInputs };
  const methods = (returned: BridgeCaller["returned"]) => bridgeMethods(daemon, () => ({ ...caller, returned }));
  const result = await runGateway(daemon, { job, source, options, methods, signal });
  if (result === undefined) return {};
  const known = (ref: Ref): Ref => (ref.id === "" ? ref : { id: ref.id, definition: job.result(ref.id).definition });
  const refs = new Map([...(result.refs?.refs ?? [])].map(([key, ref]) => [key, known(ref)]));
  return { ...result, ref: result.ref && known(result.ref), refs: refs.size === 0 ? undefined : { refs } };
}

type Ref = NonNullable<ResultDraft["ref"]> & { id: string };

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

/** What is read of results. */
function resultMethods({ images }: Daemon, find: FindCaller): Methods {
  const readerOf = (ref: string, call: Call) =>
    new RootReader(images, ref === "" ? "" : find(call).job.result(ref).root);
  const statOf = ({ path, linkPath, size, ...stat }: ReturnType<RootReader["stat"]>): RootStat => ({
    ...{ ...stat, path: Buffer.from(path), linkPath: Buffer.from(linkPath), size: BigInt(size) },
  });
  return new Map([
    [
      `${BRIDGE}Evaluate`,
      unary({ request: evaluateType, answer: emptyType }, ({ ref }, call) => {
        readerOf(ref, call); // nothing is lazy
        return {};
      }),
    ],
    [
      `${BRIDGE}ReadFile`,
      unary({ request: readFileType, answer: fileDataType }, ({ ref, path, range }, call) => ({
        data: readerOf(ref, call).readFile(path, range),
      })),
    ],
    [
      `${BRIDGE}ReadDir`,
      unary({ request: readDirectoryType, answer: directoryType }, ({ ref, path, pattern }, call) => ({
        entries: readerOf(ref, call).list(path, pattern).map(statOf),
      })),
    ],
    [
      `${BRIDGE}StatFile`,
      unary({ request: statFileType, answer: fileStatType }, ({ ref, path }, call) => ({
        stat: statOf(readerOf(ref, call).stat(path)),
      })),
    ],
  ]);
}

/** An image as a client asks for it. */
interface AskedImage {
  source: { kind: "image"; reference: string } | LayoutSource;
  resolveMode: string;
  platform: Partial<Platform> | undefined;
}

/** What is said of sources before they are used. */
function imageMethods(daemon: Daemon, find: FindCaller): Methods {
  const describe = async (asked: AskedImage, call: Call) => {
    const { job } = find(call);
    const signal = AbortSignal.any([call.signal, job.signal]);
    const own = (await job.request.promise).sessionId;
    const { source } = asked;
    const session = await daemon.buildkit.sessions.find((source.kind === "layout" && source.session) || own, signal);
    const { os = "", architecture = "", variant = "" } = asked.platform ?? {};
    const platform = os === "" ? undefined : { os, architecture, ...(variant === "" ? {} : { variant }) };
    if (source.kind === "layout") {
      const place = await openLayout(session, source, signal);
      const { digest, document } = await readLayoutImage(place, source.digest, platform ?? daemon.images.platform);
      return { digest, config: encode(document) };
    }
    const reference = withDefaultTag(parseReference(source.reference));
    const fetch = fetcherFor(daemon, session, { isPull: asked.resolveMode === "pull", signal });
    const { document, repoDigests } = daemon.images.get(await fetch(source.reference, () => {}, platform));
    const { domain, path } = reference;
    const digests = repoDigests.flatMap((name) => {
      const known = parseReference(name);
      return known.domain === domain && known.path === path ? (known.digest ?? []) : [];
    });
    return { digest: reference.digest ?? digests[0] ?? "", config: encode(document) };
  };
  return new Map([
    [
      `${BRIDGE}ResolveImageConfig`,
      unary({ request: resolveImageType, answer: imageConfigType }, async (request, call) => {
        const { ref, resolveMode, platform, resolver, sessionId, storeId } = request;
        const digest = ref.split("@")[1] ?? "";
        const source: AskedImage["source"] =
          resolver === LAYOUT_RESOLVER
            ? { kind: "layout", store: storeId, digest, session: sessionId }
            : { kind: "image", reference: ref };
        return { ...(await describe({ source, resolveMode, platform }, call)), ref };
      }),
    ],
    [
      `${BRIDGE}ResolveSourceMeta`,
      unary({ request: resolveSourceType, answer: sourceMetaType }, async ({ source, ...asked }, call) => {
        const op = source && decodeSource(source, undefined);
        if (op === undefined || (op.kind !== "image" && op.kind !== "layout")) return { source };
        return { source, image: await describe({ source: op, ...asked }, call) };
      }),
    ],
  ]);
}

const LAYOUT_RESOLVER = 1;

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document));
}
