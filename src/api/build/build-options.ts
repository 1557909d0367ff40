/** What requests for builds say in their queries and headers. */
import type { IncomingMessage } from "node:http";
import { LighterError } from "../../base/errors.ts";
import type { Entitlement } from "../../engine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import { familiarReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { authKeyOfDomain, parseAuthConfig } from "../../spec/registry-auth.ts";
import type { Query } from "../http/query.ts";
import { outputsOf } from "./outputs.ts";
import { parseTargetPlatforms } from "./target-platforms.ts";

/** What the query asks for, of BuildKit or of Docker's classic builder. @throws LighterError */
export function buildOptions(query: Query, isBuildKit: boolean) {
  return {
    dockerfile: query.text("dockerfile") || "Dockerfile",
    remote: query.text("remote") || undefined,
    id: query.text("buildid"),
    tags: query.all("t").map((name) => familiarReference(withDefaultTag(parseReference(name)))),
    outputs: outputsOf(query),
    contexts: new Map(Object.entries(mapOf(query, "contexts"))),
    target: query.text("target") ?? "",
    ...argsOf(query),
    labels: mapOf(query, "labels"),
    network: networkOf(query),
    entitlements: entitlementsOf(query),
    targetPlatforms: platformsOf(query, isBuildKit),
    noCacheStages: query.all("nocachefilter"),
    hostConfig: hostConfigOf(query),
  };
}

/** The platforms that are built for, if the request names any: Docker's classic builder has one. */
function platformsOf(query: Query, mayBeSeveral: boolean): Platform[] | undefined {
  const text = query.text("platform") ?? "";
  return mayBeSeveral ? parseTargetPlatforms(text) : parseTargetPlatforms(text, 1);
}

/** The parameter's JSON object of strings; null stands for no value. @throws LighterError "invalid" */
function entriesOf(query: Query, name: string): [name: string, value: string | null][] {
  const text = query.text(name);
  const value: unknown = text === undefined ? null : parseGoJson(Buffer.from(text));
  if (value === null) return [];
  const entries = typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (entries === undefined || entries.some(([, each]) => each !== null && typeof each !== "string"))
    throw new LighterError("invalid", `${name}: not a JSON object of strings`);
  return entries;
}

const hasValue = (entry: [string, string | null]): entry is [string, string] => entry[1] !== null;

/** The same without the names that have no value. */
function mapOf(query: Query, name: string): Record<string, string> {
  return Object.fromEntries(entriesOf(query, name).filter(hasValue));
}

function argsOf(query: Query) {
  const entries = entriesOf(query, "buildargs");
  return {
    buildArgs: new Map(entries.filter(hasValue)),
    unsetArgs: entries.flatMap(([name, value]) => (value === null ? [name] : [])),
  };
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
export function credentialsFor({ headers }: IncomingMessage, domain: string) {
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
