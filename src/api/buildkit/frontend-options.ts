/** The options of the front end "dockerfile.v0". Source: moby/buildkit frontend/dockerui/config.go. */
import { LighterError } from "../../base/errors.ts";
import { type ProvenanceOptions, parseProvenance } from "../../engine/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import { type ImageDocument, type Platform, parseImageDocument } from "../../spec/oci-image.ts";
import { parseTargetPlatforms } from "../build/target-platforms.ts";

type Options = ReadonlyMap<string, string>;

/** What the options ask of a build, apart from its files. */
interface FrontendOptions {
  filename: string;
  target: string;
  buildArgs: Map<string, string>;
  labels: Record<string, string>;
  /** Contexts by name. */
  contexts: Map<string, string>;
  network: "default" | "host" | "none";
  noCache: boolean;
  noCacheStages: readonly string[];
  /** Whether images are to be pulled even if they are there. */
  pull: boolean;
  targetPlatforms: readonly Platform[] | undefined;
  provenance: ProvenanceOptions | undefined;
  vcs: ReadonlyMap<string, string>;
  /** What commands see as the name of their host. */
  hostname: string | undefined;
  hostConfig: DockerHostConfig;
}

/** What a client says of the results of other builds that it hands in: "containerimage.config", in base64. */
const INPUT_METADATA = "input-metadata:";

/** The config of the image that an input is the root file system of; undefined if it is not said. @throws LighterError */
export function inputImageOf(options: Options, key: string): ImageDocument | undefined {
  const text = options.get(`${INPUT_METADATA}${key}`);
  if (text === undefined) return undefined;
  const metadata = parseGoJson(Buffer.from(text));
  const config = new Map(Object.entries(metadata as object)).get("containerimage.config");
  if (config === undefined) return undefined;
  return parseImageDocument(Buffer.from(String(config), "base64").toString(), `the config of the input ${key}`);
}

/** Options that change nothing here: clients send them always, or they are advice. */
const IGNORED = /^(source|cmdline|context(dir|key)?|dockerfilekey|cache-(imports|from)|frontend\.caps)$/;

/** @throws LighterError "not-supported" for an option that this daemon does not know, "invalid" for a malformed one */
export function parseFrontendOptions(options: Options): FrontendOptions {
  for (const [key, value] of options) refuseUnknown(key, value);
  return {
    filename: options.get("filename") || "Dockerfile",
    target: options.get("target") ?? "",
    buildArgs: withPrefix(options, "build-arg:"),
    labels: Object.fromEntries(withPrefix(options, "label:")),
    contexts: withPrefix(options, "context:"),
    network: networkOf(options.get("force-network-mode")),
    noCache: options.get("no-cache") === "",
    noCacheStages: (options.get("no-cache") ?? "").split(","),
    pull: options.get("image-resolve-mode") === "pull",
    targetPlatforms: parseTargetPlatforms(options.get("platform") ?? ""),
    provenance: provenanceOf(options),
    vcs: withPrefix(options, "vcs:"),
    hostname: options.get("hostname"),
    hostConfig: hostConfigOf(options),
  };
}

const KNOWN =
  /^(requestid|filename|target|platform|multi-platform|build-arg:.+|label:.+|context:.+|input-metadata:.+|vcs:.+|attest:provenance|force-network-mode|no-cache|image-resolve-mode|hostname|add-hosts|shm-size|ulimit|cgroup-parent)$/;

function refuseUnknown(key: string, value: string): void {
  if (KNOWN.test(key) || IGNORED.test(key)) return;
  if (key === "attest:sbom")
    throw new LighterError("not-supported", "an SBOM needs the image of a scanner, which is not supported");
  throw new LighterError("not-supported", `building with ${key}=${value} is not supported yet`);
}

function provenanceOf(options: Options): ProvenanceOptions | undefined {
  const text = options.get("attest:provenance");
  return text === undefined ? undefined : parseProvenance(text);
}

function withPrefix(options: Options, prefix: string): Map<string, string> {
  const own = [...options].filter(([key]) => key.startsWith(prefix));
  return new Map(own.map(([key, value]) => [key.slice(prefix.length), value]));
}

function networkOf(mode = ""): FrontendOptions["network"] {
  if (mode === "host" || mode === "none") return mode;
  if (mode === "" || mode === "default" || mode === "sandbox") return "default";
  throw new LighterError("invalid", `invalid network mode "${mode}"`);
}

function hostConfigOf(options: Options): DockerHostConfig {
  const shmSize = options.get("shm-size");
  return {
    ExtraHosts: listOf(options, "add-hosts").map((each) => each.replace("=", ":")),
    Ulimits: listOf(options, "ulimit").map(parseUlimit),
    CgroupParent: options.get("cgroup-parent") ?? "",
    ShmSize: shmSize === undefined ? 0 : wholeNumber(shmSize, "shm-size"),
  };
}

function listOf(options: Options, key: string): string[] {
  return (options.get(key) ?? "").split(",").filter((each) => each !== "");
}

/** "nofile=1024:2048" */
function parseUlimit(text: string): { Name: string; Soft: number; Hard: number } {
  const [, Name, soft, hard] = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text) ?? [];
  if (Name === undefined || soft === undefined) throw new LighterError("invalid", `invalid ulimit "${text}"`);
  return { Name, Soft: Number(soft), Hard: Number(hard ?? soft) };
}

function wholeNumber(text: string, name: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new LighterError("invalid", `invalid ${name} "${text}"`);
  return value;
}
