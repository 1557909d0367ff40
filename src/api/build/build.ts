/** Docker's classic POST /build, and the cache of builds. */
import type { IncomingMessage } from "node:http";
import { LighterError } from "../../base/errors.ts";
import {
  type BuildRequest,
  type Entitlement,
  type ProvenanceOptions,
  parseProvenance,
  StepFailed,
} from "../../engine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import { familiarReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { authKeyOfDomain, parseAuthConfig } from "../../spec/registry-auth.ts";
import { BUILD_FAILURE_ID, BUILD_RESULT_ID, SOLVE_STATUS_ID, SOLVE_STATUS_TYPE } from "../../spec/solve-status.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import type { Query } from "../http/query.ts";
import type { AnswerCall } from "../http/router.ts";
import { failureOf, ProgressStream } from "../streams/progress-stream.ts";
import { cacheExports, cacheImports } from "./cache-places.ts";
import { findSession } from "./client-session.ts";
import { imageFetcher } from "./fetch-image.ts";
import { outputsOf, readTypes, resultOf, targetsOf } from "./outputs.ts";
import { parseTargetPlatforms } from "./target-platforms.ts";

/** POST /build */
export async function build(call: AnswerCall): Promise<void> {
  const { daemon, query, request, response } = call;
  const hasStatus = request.headers.accept === SOLVE_STATUS_TYPE;
  refuseUnknown(query, hasStatus);
  const sessionId = hasStatus ? query.text("session") : undefined;
  const stream = new ProgressStream(response);
  const tags = query.all("t").map((name) => familiarReference(withDefaultTag(parseReference(name))));
  const options = {
    dockerfile: query.text("dockerfile") || "Dockerfile",
    remote: query.text("remote") || undefined,
    id: query.text("buildid"),
    outputs: outputsOf(query),
    contexts: new Map(Object.entries(mapOf(query, "contexts"))),
    ...(sessionId === undefined ? {} : ofSession(findSession(daemon.clientSessions, sessionId))),
    target: query.text("target") ?? "",
    buildArgs: new Map(Object.entries(mapOf(query, "buildargs"))),
    labels: mapOf(query, "labels"),
    network: networkOf(query),
    entitlements: entitlementsOf(query),
    targetPlatforms: platformsOf(query, hasStatus),
    noCache: query.boolean("nocache") || (!hasStatus && lacksCache(daemon, query)),
    noCacheStages: query.all("nocachefilter"),
    provenance: provenanceOf(query),
    hostConfig: hostConfigOf(query),
  };
  const answers: Record<string, string> = {};
  const quiet = query.boolean("q");
  const transfer = {
    isPull: query.boolean("pull"),
    credentialsFor: (domain: string) => credentialsFor(request, domain),
    signal: stream.signal,
  };
  const listeners = {
    say: (text: string) => (quiet || hasStatus ? undefined : stream.send({ stream: text })),
    ...(quiet ? {} : { onImage: (ID: string) => stream.send({ aux: { ID } }) }),
    onStatus: (aux: object) => (hasStatus ? stream.send({ id: SOLVE_STATUS_ID, aux }) : undefined),
    wantsWarnings: hasStatus,
    hasStepImages: !hasStatus,
    ...(hasStatus ? cachesOf(daemon, query, { sessionId, ...transfer }) : {}),
    onAnswer: (name: string, value: string) => {
      answers[name] = value;
    },
    onFailure: (aux: object) => (hasStatus ? stream.send({ id: BUILD_FAILURE_ID, aux }) : undefined),
    fetchImage: imageFetcher(daemon, transfer),
  };
  const work = async () => {
    try {
      const pushed: string[] = [];
      const onPushed = (digest: string) => void pushed.push(digest);
      const targets = targetsOf(daemon, { ...transfer, sessionId, onPushed });
      const asked = { ...options, tags, targets, context: request, signal: stream.signal, ...listeners };
      if (hasStatus && query.text("call") === "explain") {
        stream.send({ id: BUILD_RESULT_ID, aux: { text: await daemon.builder.explain(asked) } });
        return;
      }
      const built = await daemon.builder.build(asked);
      if (quiet) stream.send({ stream: `${built.id}\n` });
      if (hasStatus)
        stream.send({
          id: BUILD_RESULT_ID,
          aux: { ...resultOf({ built, digest: pushed.at(-1), outputs: options.outputs ?? [], tags }), ...answers },
        });
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      stream.send(failureMessage(error, hasStatus));
    }
  };
  await stream.carry(work);
}

/** What a client is told of a step that has failed. */
function failureMessage(error: StepFailed, hasStatus: boolean): object {
  const { errorDetail, ...rest } = failureOf(error) as { errorDetail: object };
  const text = hasStatus ? { error: error.processText } : {};
  const message = hasStatus ? { message: error.processText } : {};
  return { errorDetail: { code: error.exitCode, ...errorDetail, ...message }, ...rest, ...text };
}

/** What a build gets of its client's session. */
function ofSession(session: ReturnType<typeof findSession>): Pick<BuildRequest, "inputs" | "namedContext"> {
  return { inputs: session, namedContext: ({ name }) => session.context(name) };
}

/** The caches that are kept elsewhere: [{"Type": "registry", "Attrs": {"ref": "…"}}]. */
function cachesOf(
  daemon: Daemon,
  query: Query,
  { sessionId, ...transfer }: Omit<Parameters<typeof cacheImports>[2], "directory"> & { sessionId: string | undefined },
): Pick<BuildRequest, "cacheImports" | "cacheExports" | "hasInlineCache"> {
  const client = {
    ...transfer,
    directory: (path: string) => {
      if (sessionId === undefined) throw new LighterError("invalid", "a cache of the client needs a session");
      return findSession(daemon.clientSessions, sessionId).directory(path);
    },
  };
  const optionsOf = (name: string) =>
    readTypes(query, name).map(({ Type, Attrs = {} }) => ({ type: Type, attrs: Attrs }));
  return {
    cacheImports: cacheImports(daemon, optionsOf("cacheimports"), client),
    ...cacheExports(daemon, optionsOf("cacheexports"), client),
  };
}

/** Refuses, by name, each option that Docker has and this daemon does not support. */
function refuseUnknown(query: Query, hasStatus: boolean): void {
  const version = query.text("version") ?? "1";
  if (version !== "1")
    throw new LighterError("not-supported", "BuildKit is not supported yet: DOCKER_BUILDKIT=0 helps");
  for (const name of ["squash", ...(hasStatus ? [] : ["session"])])
    if (query.has(name) && !["", "0", "false"].includes(query.text(name) ?? ""))
      throw new LighterError("not-supported", `building with "${name}" is not supported yet`);
}

/** The platforms that are built for, if the request names any: Docker's classic builder has one. */
function platformsOf(query: Query, mayBeSeveral: boolean): Platform[] | undefined {
  const text = query.text("platform") ?? "";
  return mayBeSeveral ? parseTargetPlatforms(text) : parseTargetPlatforms(text, 1);
}

function provenanceOf(query: Query): ProvenanceOptions | undefined {
  const text = query.text("provenance");
  return text === undefined ? undefined : parseProvenance(text);
}

/** The parameter's JSON object of strings; null stands for no value. @throws LighterError "invalid" */
function mapOf(query: Query, name: string): Record<string, string> {
  const text = query.text(name);
  if (text === undefined) return {};
  const value: unknown = parseGoJson(Buffer.from(text));
  if (value === null) return {};
  const entries = typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : undefined;
  const given = entries?.filter(([, each]) => each !== null);
  if (given === undefined || given.some(([, each]) => typeof each !== "string"))
    throw new LighterError("invalid", `${name}: not a JSON object of strings`);
  return Object.fromEntries(given) as Record<string, string>;
}

/** Tells whether the images whose steps alone may be taken for done are missing, so that none may. */
function lacksCache({ images }: Daemon, query: Query): boolean {
  const text = query.text("cachefrom");
  const names: unknown = text === undefined ? [] : parseGoJson(Buffer.from(text));
  if (!Array.isArray(names)) return false;
  return names.length > 0 && !names.some((name) => typeof name === "string" && images.isThere(name));
}

function networkOf(query: Query): "default" | "host" | "none" {
  const mode = query.text("networkmode");
  return mode === "host" || mode === "none" ? mode : "default";
}

/** What the Dockerfile may ask for, as with `docker buildx build --allow`. No client of Docker's has this here. */
function entitlementsOf(query: Query): Set<Entitlement> {
  const names = query.all("allow");
  const unknown = names.find((name) => name !== "security.insecure" && name !== "network.host");
  if (unknown !== undefined) throw new LighterError("invalid", `unknown entitlement ${unknown}`);
  return new Set(names.filter((name) => name === "security.insecure"));
}

function hostConfigOf(query: Query): DockerHostConfig {
  const mode = query.text("networkmode");
  const list = query.text("ulimits");
  return {
    ...(mode === undefined ? {} : { NetworkMode: mode }),
    Memory: query.integer("memory") ?? 0,
    MemorySwap: query.integer("memswap") ?? 0,
    CpuShares: query.integer("cpushares") ?? 0,
    CpuPeriod: query.integer("cpuperiod") ?? 0,
    CpuQuota: query.integer("cpuquota") ?? 0,
    CpusetCpus: query.text("cpusetcpus") ?? "",
    CpusetMems: query.text("cpusetmems") ?? "",
    CgroupParent: query.text("cgroupparent") ?? "",
    ShmSize: query.integer("shmsize") ?? 0,
    ExtraHosts: query.all("extrahosts"),
    SecurityOpt: query.all("securityopt"),
    ...(list === undefined
      ? {}
      : { Ulimits: parseGoJson(Buffer.from(list)) as NonNullable<DockerHostConfig["Ulimits"]> }),
  };
}

/**
 * The credentials for a registry, from X-Registry-Config: base64 of JSON with credentials for each registry. A header that cannot
 * be read counts as none.
 */
function credentialsFor({ headers }: IncomingMessage, domain: string) {
  const header = headers["x-registry-config"];
  if (typeof header !== "string" || header === "") return {};
  try {
    const all = parseGoJson(Buffer.from(header, "base64")) as Record<string, unknown>;
    const own = all[authKeyOfDomain(domain)] ?? all[domain];
    return own === undefined ? {} : parseAuthConfig(own, "X-Registry-Config");
  } catch (error) {
    if (error instanceof LighterError) return {};
    throw error;
  }
}
