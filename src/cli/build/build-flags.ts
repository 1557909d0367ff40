/** The flags of `build`, and what the daemon is asked because of them. */
import { parseRamBytes } from "../../base/value-syntax.ts";
import { CliError } from "../exit.ts";
import { aliasFlag, boolFlag, type FlagValues, intFlag, listFlag, stringFlag, valueFlag } from "../flags.ts";
import type { Query } from "../http/client.ts";
import { pairsToObject } from "../values/env-file.ts";
import { parseLabel } from "../values/labels.ts";
import { parseExtraHost } from "../values/network-values.ts";
import { parseMemorySwap, parseUlimit } from "../values/resource-values.ts";
import { parseAttestation, provenanceIn } from "./attestations.ts";
import { parseCacheOption } from "./build-cache.ts";
import { namedSource, parseNamedContext } from "./build-context.ts";
import { parseAgent, parseSecret } from "./build-inputs.ts";
import { annotated, type BuildOutput, parseAnnotation, parseOutput } from "./build-outputs.ts";

const PROGRESS = ["auto", "plain", "tty", "rawjson", "quiet"] as const;
export type ProgressKind = (typeof PROGRESS)[number];

function parseProgress(text: string): ProgressKind {
  const kind = PROGRESS.find((each) => each === text);
  if (kind === undefined) throw new Error(`invalid progress mode ${text}`);
  return kind;
}

function bytesFlag(help: string, extra: { short?: string; hidden?: true } = {}) {
  return valueFlag(help, "bytes", 0, parseRamBytes, extra);
}

export const buildFlags = {
  "add-host": listFlag("Extra line for /etc/hosts (name:ip)", { item: parseExtraHost }),
  allow: listFlag("What the Dockerfile may ask for (security.insecure, network.host)", { type: "strings" }),
  annotation: listFlag("Annotation for the image where it is sent to ([manifest:|index:]KEY=VALUE)", {
    type: "stringArray",
    item: parseAnnotation,
  }),
  attest: listFlag("What to tell about how the image was made (type=provenance,mode=max)", {
    type: "stringArray",
    item: parseAttestation,
  }),
  "build-arg": listFlag("Set the value of an ARG: NAME=VALUE, or NAME for that of the environment"),
  "build-context": listFlag("Another context, by its name (NAME=DIRECTORY, docker-image://IMAGE or a git URL)", {
    type: "stringArray",
    item: parseNamedContext,
  }),
  builder: stringFlag("", { hidden: true }),
  "cache-from": listFlag("Caches to take steps from (IMAGE, type=registry,ref=IMAGE or type=local,src=DIRECTORY)", {
    type: "stringArray",
    item: parseCacheOption,
  }),
  "cache-to": listFlag("Where to leave the steps (type=inline, type=registry,ref=IMAGE or type=local,dest=DIRECTORY)", {
    type: "stringArray",
    item: parseCacheOption,
  }),
  call: stringFlag(
    'What to do: "build", "check" the Dockerfile, "explain" which steps are cached, list "targets", or "outline" one',
    { initial: "build" },
  ),
  "cgroup-parent": stringFlag("Parent cgroup of the steps' containers"),
  check: boolFlag('Check the Dockerfile: the same as "--call=check"'),
  compress: boolFlag("", { hidden: true }),
  "cpu-period": intFlag("", { hidden: true }),
  "cpu-quota": intFlag("", { hidden: true }),
  "cpu-shares": intFlag("", { hidden: true, short: "c" }),
  "cpuset-cpus": stringFlag("", { hidden: true }),
  "cpuset-mems": stringFlag("", { hidden: true }),
  debug: boolFlag("Open a shell where a RUN fails"),
  "disable-content-trust": boolFlag("", { hidden: true, initial: true }),
  file: stringFlag("Name of the Dockerfile (default: PATH/Dockerfile)", { short: "f" }),
  "force-rm": boolFlag("", { hidden: true }),
  iidfile: stringFlag("Write the image's ID to this file"),
  isolation: stringFlag("", { hidden: true }),
  label: listFlag("Label for the image", { item: parseLabel }),
  memory: bytesFlag("", { hidden: true, short: "m" }),
  "memory-swap": valueFlag("", "bytes", 0, parseMemorySwap, { hidden: true }),
  "metadata-file": stringFlag("Write what was made to this file, as JSON"),
  load: boolFlag("Load the image into the daemon: what happens without --output, too"),
  network: stringFlag("Network of the RUN steps", { initial: "default" }),
  net: aliasFlag("network"),
  "no-cache": boolFlag("Do not use what earlier builds have done"),
  "no-cache-filter": listFlag("The same for stages of these names alone", { type: "stringArray" }),
  output: listFlag("Where what is built goes (type=local,dest=PATH; local, tar, oci, docker, image, registry)", {
    short: "o",
    type: "stringArray",
    item: parseOutput,
  }),
  platform: listFlag("Platforms to build for (linux/amd64,linux/arm64)", { type: "stringArray" }),
  progress: valueFlag(
    "How to show progress: auto, plain, tty, rawjson or quiet",
    "string",
    "auto" as ProgressKind,
    parseProgress,
    { shown: '"auto"' },
  ),
  provenance: stringFlag("Tell how the image was made where it is sent to (true, mode=min or mode=max)"),
  pull: boolFlag("Pull base images even if they are there"),
  push: boolFlag("Push the image: the same as --output=type=registry"),
  quiet: boolFlag("Show nothing but the image's ID", { short: "q" }),
  rm: boolFlag("", { hidden: true, initial: true }),
  sbom: stringFlag("", { hidden: true }),
  secret: listFlag("Secret for RUN --mount=type=secret (id=NAME[,src=PATH|,env=VARIABLE])", {
    type: "stringArray",
    item: parseSecret,
  }),
  "security-opt": listFlag("", { hidden: true }),
  "shm-size": bytesFlag("Size of /dev/shm in the steps' containers"),
  squash: boolFlag("", { hidden: true }),
  tag: listFlag("Name for the image (name:tag)", { short: "t" }),
  ssh: listFlag("Agent for RUN --mount=type=ssh (default|ID[=SOCKET])", { type: "stringArray", item: parseAgent }),
  target: stringFlag("Stage to build"),
  ulimit: listFlag("Resource limit of the steps' processes (name=soft[:hard])", {
    type: "ulimit",
    item: parseUlimit,
  }),
};

/** The outputs that are asked for; none means an image in the daemon. */
export function outputsOf({ output, push, load, annotation }: BuildFlags): BuildOutput[] {
  const image = { Type: "image", Attrs: {} };
  const given = load && output.length > 0 ? [...output, image] : output;
  const outputs = push ? [...output, { ...image, Attrs: { push: "true" } }] : given;
  return annotated(outputs, annotation.flat());
}

export type BuildFlags = FlagValues<typeof buildFlags>;

/** Returns "NAME=VALUE" as a pair; a name alone has the value of the environment, if there is one. */
export function parseBuildArg(text: string): [name: string, value: string][] {
  const at = text.indexOf("=");
  if (at >= 0) return [[text.slice(0, at), text.slice(at + 1)]];
  const value = process.env[text];
  return value === undefined ? [] : [[text, value]];
}

/** Returns the parameters of POST /build, in Docker's spelling. */
export function queryOf(values: BuildFlags): Query {
  if (!["", "default"].includes(values.builder))
    throw new CliError(`no builder ${JSON.stringify(values.builder)} found`);
  if (values.squash) throw new CliError('"--squash" needs an experimental daemon of Docker');
  const json = (value: object) => JSON.stringify(value);
  const flag = (value: boolean) => (value ? "1" : undefined);
  const outputs = outputsOf(values);
  const epoch = ["SOURCE_DATE_EPOCH"]; // that of the environment, unless it is given
  const count = (value: number) => (value === 0 ? undefined : String(value));
  return {
    allow: values.allow,
    buildargs: json(Object.fromEntries([...epoch, ...values["build-arg"]].flatMap(parseBuildArg))),
    cacheexports: values["cache-to"].length === 0 ? undefined : json(values["cache-to"].flat()),
    cgroupparent: values["cgroup-parent"] || undefined,
    contexts:
      values["build-context"].length === 0
        ? undefined
        : json(Object.fromEntries(values["build-context"].map(namedSource))),
    cpuperiod: count(values["cpu-period"]),
    cpuquota: count(values["cpu-quota"]),
    cpusetcpus: values["cpuset-cpus"] || undefined,
    cpusetmems: values["cpuset-mems"] || undefined,
    cpushares: count(values["cpu-shares"]),
    extrahosts: values["add-host"],
    labels: json(pairsToObject(values.label)),
    memory: count(values.memory),
    memswap: count(values["memory-swap"]),
    networkmode: values.network,
    outputs: outputs.length === 0 ? undefined : json(outputs.map(({ Type, Attrs }) => ({ Type, Attrs }))),
    nocache: flag(values["no-cache"]),
    nocachefilter: values["no-cache-filter"].flatMap((names) => names.split(",")),
    platform: values.platform.join(",") || undefined,
    provenance: provenanceIn(values),
    pull: flag(values.pull),
    rm: values.rm ? "1" : "0",
    securityopt: values["security-opt"],
    shmsize: count(values["shm-size"]),
    t: values.tag,
    target: values.target || undefined,
    ulimits: values.ulimit.length === 0 ? undefined : json(values.ulimit),
    version: "1",
  };
}
