/**
 * How an image came about, for who has only the image: a statement of in-toto with a predicate of SLSA, in BuildKit's form.
 * Sources: slsa.dev/provenance/v0.2; in-toto/attestation spec/v0.1; moby/buildkit docs/attestations/slsa-provenance.md.
 */
import { LighterError } from "../../base/errors.ts";
import { randomId } from "../../base/ids.ts";
import { formatNow } from "../../base/time.ts";
import { parseCsvLine } from "../../base/value-syntax.ts";
import { isScratch, type Solve, type Vertex, verticesOf } from "../../build/mod.ts";
import type { Attestation, ImageStore } from "../../image/mod.ts";
import { familiarName, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import type { BuildRequest } from "../build/build-request.ts";
import { parseFlag } from "../cache/layer-form.ts";

const PREDICATE_TYPE = "https://slsa.dev/provenance/v0.2";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v0.1";
const BUILD_TYPE = "https://mobyproject.org/buildkit@v1";

export interface ProvenanceOptions {
  /** Whether build arguments, labels and the steps are told, too. */
  isMax: boolean;
  /** Whether it goes only where it takes no place of its own: into an index. */
  isInlineOnly: boolean;
  builderId: string;
  isReproducible: boolean;
}

/** "mode=max,builder-id=ID"; undefined if it is disabled. @throws LighterError "invalid" */
export function parseProvenance(text: string): ProvenanceOptions | undefined {
  const fields = text === "" ? [] : parseCsvLine(text);
  const attrs: Record<string, string> = {};
  for (const field of fields) {
    const at = field.indexOf("=");
    if (at < 0) throw new LighterError("invalid", `invalid value ${field}`);
    attrs[field.slice(0, at).toLowerCase()] = field.slice(at + 1);
  }
  const { mode = "min", "builder-id": builderId = "" } = attrs;
  if (parseFlag(attrs, "disabled", false)) return undefined;
  if (!["min", "max", "full"].includes(mode)) throw new LighterError("invalid", `invalid mode "${mode}"`);
  return {
    isMax: mode !== "min",
    isInlineOnly: parseFlag(attrs, "inline-only", false),
    builderId,
    isReproducible: parseFlag(attrs, "reproducible", false),
  };
}

interface Material {
  uri: string;
  digest: Record<string, string>;
}

export interface ProvenanceSource {
  request: BuildRequest;
  /** What the image is made of. */
  target: Vertex | undefined;
  platform: Platform;
  solve: Solve;
  images: ImageStore;
  /** The text of the Dockerfile. */
  dockerfile: string;
  started: string;
}

/** Describes how an image was made whose steps are all solved. */
export async function describeProvenance(options: ProvenanceOptions, source: ProvenanceSource): Promise<object> {
  const { request, target, platform, started, dockerfile, images } = source;
  const vertices = target === undefined ? [] : [...verticesOf(target)];
  const materials = await materialsOf(vertices, source);
  const { isMax, builderId, isReproducible } = options;
  const told = argumentsOf(request);
  const isTold = ([name]: [string, string]) => isMax || !/^(build-arg|label):/.test(name);
  const args = told.filter(isTold);
  const hasLocal = vertices.some(({ op }) => op.kind === "local");
  const config = isMax ? { buildConfig: stepsOf(vertices) } : {};
  const infos = [{ filename: request.dockerfile, data: Buffer.from(dockerfile).toString("base64") }];
  return {
    builder: { id: builderId },
    buildType: BUILD_TYPE,
    materials: [...materials.values()],
    invocation: {
      configSource: {
        ...(request.remote === undefined ? {} : { uri: request.remote }),
        entryPoint: request.dockerfile,
      },
      parameters: {
        frontend: "dockerfile.v0",
        ...(args.length === 0 ? {} : { args: Object.fromEntries(args) }),
        ...(hasLocal || request.remote === undefined ? { locals: [{ name: "context" }, { name: "dockerfile" }] } : {}),
      },
      environment: { platform: formatPlatform(images.platform) },
    },
    ...config,
    metadata: {
      buildInvocationID: randomId(),
      buildStartedOn: started,
      buildFinishedOn: formatNow(),
      completeness: { parameters: args.length === told.length, environment: true, materials: !hasLocal },
      reproducible: isReproducible,
      [`${BUILD_TYPE}#metadata`]: {
        vcs: Object.fromEntries(request.vcs ?? []),
        ...(isMax ? { source: { infos } } : {}),
        ...(isMax ? { platform: formatPlatform(platform) } : {}),
      },
    },
  };
}

/** What the build was asked for, in the words of BuildKit's front end. */
function argumentsOf({ target, buildArgs, labels, noCache }: BuildRequest): [string, string][] {
  return [
    ...(target === "" ? [] : [["target", target] as [string, string]]),
    ...(noCache ? [["no-cache", ""] as [string, string]] : []),
    ...[...buildArgs].map(([name, value]): [string, string] => [`build-arg:${name}`, value]),
    ...Object.entries(labels).map(([name, value]): [string, string] => [`label:${name}`, value]),
  ];
}

/** What came from elsewhere, by its URI. */
async function materialsOf(
  vertices: readonly Vertex[],
  { solve, images, platform }: ProvenanceSource,
): Promise<Map<string, Material>> {
  const materials = new Map<string, Material>();
  const add = (uri: string, digest: Record<string, string>) => void materials.set(uri, { uri, digest });
  for (const vertex of vertices) {
    const { op } = vertex;
    if (op.kind === "image" && !isScratch(vertex)) {
      const { id, repoTags, repoDigests } = images.get(op.reference);
      const isName = !op.reference.startsWith("sha256:");
      const name = isName ? op.reference : (repoTags[0] ?? op.reference);
      const registered = repoDigests[0]?.split("@")[1] ?? id;
      add(packageUrl(name, platform), { sha256: hexOf(registered) });
    } else if (op.kind === "http") {
      const { id } = await solve(vertex);
      add(op.url, { sha256: hexOf(id.replace(/^http:/, "")) });
    } else if (op.kind === "git") {
      const { id } = await solve(vertex);
      const ref = op.ref === "" ? "" : `#${op.ref}`;
      add(`${op.remote}${ref}`, { sha1: id.split(":")[1] ?? "" });
    }
  }
  return materials;
}

function hexOf(digest: string): string {
  return /^sha256:([0-9a-f]{64})/.exec(digest)?.[1] ?? digest;
}

/** "pkg:docker/busybox@latest?platform=linux%2Famd64". Source: package-url/purl-spec. */
function packageUrl(name: string, platform: Platform): string {
  const own = encodeURIComponent(formatPlatform(platform));
  try {
    const reference = withDefaultTag(parseReference(name));
    const version = reference.tag === undefined ? "" : `@${reference.tag}`;
    const digest = reference.digest === undefined ? "" : `digest=${encodeURIComponent(reference.digest)}&`;
    return `pkg:docker/${familiarName(reference)}${version}?${digest}platform=${own}`;
  } catch {
    return `pkg:docker/${name}?platform=${own}`; // an id, of an image without a name
  }
}

/** The graph, each step with what it is made of. */
function stepsOf(vertices: readonly Vertex[]): object {
  const ids = new Map(vertices.map((vertex, index) => [vertex, `step${index}`]));
  return {
    llbDefinition: vertices.map((vertex) => ({
      id: ids.get(vertex)!,
      op: { Op: operationOf(vertex) },
      ...(vertex.inputs.length === 0 ? {} : { inputs: vertex.inputs.map((input) => `${ids.get(input)}:0`) }),
    })),
  };
}

function operationOf({ op, name }: Vertex): object {
  if (op.kind === "exec") return { exec: { meta: { args: op.args, env: op.env, cwd: op.cwd } } };
  if (op.kind === "image") return { source: { identifier: `docker-image://${op.reference}` } };
  if (op.kind === "local") return { source: { identifier: `local://${op.name}` } };
  if (op.kind === "http") return { source: { identifier: op.url } };
  if (op.kind === "git") return { source: { identifier: op.remote } };
  return { file: { description: name } };
}

/** The statement that an image of these names, for a platform, was made so. */
export function provenanceOf(predicate: object, names: readonly string[], platform: Platform): Attestation {
  const subjects = names.length === 0 ? ["_"] : names.map((name) => packageUrl(name, platform));
  return {
    predicateType: PREDICATE_TYPE,
    statement: (manifest) =>
      statement(
        predicate,
        subjects.map((name) => ({ name, digest: { sha256: hexOf(manifest) } })),
      ),
  };
}

/** The same of files, which it does not name one by one. */
export function statementOfFiles(predicate: object): object {
  return statement(predicate, []);
}

function statement(predicate: object, subject: readonly object[]): object {
  return { _type: STATEMENT_TYPE, predicateType: PREDICATE_TYPE, subject, predicate };
}
