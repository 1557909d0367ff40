/** LLB's SourceOp as a source. Source: moby/buildkit solver/pb/attr.go, source (identifiers and attributes). */
import { posix } from "node:path";
import { formatReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { LlbOp, LlbSource } from "../../spec/llb.ts";
import { HOST_PLATFORM } from "../../spec/platform.ts";
import type { LayoutSource, LocalSource, SourceOp } from "../graph/llb.ts";
import { parseLayout } from "../graph/named-context.ts";
import { invalid, notSupported } from "../graph/refuse.ts";
import { parseGitSource, parseHttpSource } from "../graph/remote-source.ts";

type Attributes = ReadonlyMap<string, string>;

/** What makes no difference here: hints, and what the daemon does always. */
const HINTS =
  /^(image\.(resolvemode|recordtype|layerlimit)|oci\.layerlimit|local\.(sharedkeyhint|differ|unique|metadatatransfer))$/;

const READERS: Readonly<Record<string, (rest: string, attributes: Reader, whole: string) => SourceOp>> = {
  "docker-image": (rest) => ({ kind: "image", reference: referenceOf(rest) }),
  local: readLocal,
  "oci-layout": readLayout,
  git: (rest, attributes) => readGit(rest, attributes),
  http: (_, attributes, whole) => readHttp(whole, attributes),
  https: (_, attributes, whole) => readHttp(whole, attributes),
};

/** @throws LighterError "not-supported" for another kind of source, and for an attribute that means something */
export function decodeSource({ identifier, attributes }: LlbSource, platform: LlbOp["platform"]): SourceOp {
  const [, scheme = "", rest = ""] = /^([a-z0-9+-]+):\/\/(.*)$/s.exec(identifier) ?? [];
  const read = Object.hasOwn(READERS, scheme) ? READERS[scheme] : undefined;
  if (scheme === "") throw invalid(`${JSON.stringify(identifier)} is no source`);
  if (read === undefined) throw notSupported(`the source ${scheme}://`);
  const reader = new Reader(attributes);
  const op = read(rest, reader, identifier);
  reader.finish(scheme);
  if ((op.kind !== "image" && op.kind !== "layout") || platform === undefined) return op;
  const { os, architecture } = platform;
  if (os !== HOST_PLATFORM.os || architecture !== HOST_PLATFORM.architecture)
    throw notSupported(`an image for ${os}/${architecture} as a source`);
  return op;
}

/** Reads attributes, and refuses those that nobody has asked for. */
class Reader {
  readonly #attributes: Attributes;
  readonly #read = new Set<string>();

  constructor(attributes: Attributes) {
    this.#attributes = attributes;
  }

  text(name: string): string {
    this.#read.add(name);
    return this.#attributes.get(name) ?? "";
  }

  /** A list of texts, in JSON. */
  list(name: string): string[] {
    const text = this.text(name);
    if (text === "") return [];
    try {
      const list: unknown = JSON.parse(text);
      if (Array.isArray(list) && list.every((each) => typeof each === "string")) return list;
    } catch {
      // The error below says the same.
    }
    throw invalid(`the attribute ${name} is no list of texts`);
  }

  finish(scheme: string): void {
    const unknown = [...this.#attributes.keys()].find((name) => !this.#read.has(name) && !HINTS.test(name));
    if (unknown !== undefined) throw notSupported(`the attribute ${JSON.stringify(unknown)} of a source ${scheme}://`);
  }
}

/** An image's id stays as it is. */
function referenceOf(text: string): string {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text;
  return formatReference(withDefaultTag(parseReference(text)));
}

function readLocal(name: string, attributes: Reader): LocalSource {
  if (name === "") throw invalid("a local source has no name");
  return {
    kind: "local",
    name,
    session: attributes.text("local.session"),
    include: attributes.list("local.includepattern"),
    exclude: attributes.list("local.excludepatterns"),
    followPaths: attributes.list("local.followpaths"),
  };
}

function readLayout(reference: string, attributes: Reader): LayoutSource {
  const session = attributes.text("oci.session");
  const store = attributes.text("oci.store");
  const layout = parseLayout(reference);
  if (layout === undefined) throw invalid(`the source oci-layout://${reference} has no digest`);
  return { ...layout, store: store || layout.store, ...(session === "" ? {} : { session }) };
}

function readGit(rest: string, attributes: Reader): SourceOp {
  const fullUrl = attributes.text("git.fullurl");
  const [place, fragment = ""] = rest.split(/#(.*)/s);
  const remote = fullUrl || `https://${place}`;
  if (/[?#]/.test(remote)) throw invalid(`${JSON.stringify(remote)} is no git repository`);
  const git = parseGitSource(`${/\.git$|^(git|ssh):|@/.test(remote) ? remote : `${remote}.git`}#${fragment}`);
  if (git === undefined) throw invalid(`${JSON.stringify(remote)} is no git repository`);
  const [header, token] = [attributes.text("git.authheadersecret"), attributes.text("git.authtokensecret")];
  const secrets = { ...(header === "" ? {} : { header }), ...(token === "" ? {} : { token }) };
  return {
    ...git,
    remote,
    ...(header === "" && token === "" ? {} : { secrets }),
    checksum: attributes.text("git.checksum"),
    keepGitDir: attributes.text("git.keepgitdir") === "true" || undefined,
    submodules: attributes.text("git.skipsubmodules") !== "true",
  };
}

function readHttp(url: string, attributes: Reader): SourceOp {
  const source = parseHttpSource(url);
  const fileName = attributes.text("http.filename");
  const checksum = attributes.text("http.checksum");
  if (source === undefined || /[/\0]|^\.\.?$/.test(fileName)) throw invalid(`${JSON.stringify(url)} is no source`);
  if (checksum !== "" && !/^sha256:[0-9a-f]{64}$/.test(checksum)) throw invalid("invalid checksum digest format");
  return { ...source, fileName: posix.basename(fileName || source.fileName), checksum };
}
