/** Contexts that a build is given by name, `--build-context NAME=SOURCE`. Source: moby/buildkit frontend/dockerui/namedcontext.go. */

import { goQuote } from "../../base/go-escapes.ts";
import { familiarReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { ImageDocument } from "../../spec/oci-image.ts";
import type { LayoutSource, Vertex } from "./llb.ts";
import { invalid } from "./refuse.ts";
import { parseGitSource, parseHttpSource } from "./remote-source.ts";

/**
 * By name: "docker-image://REFERENCE", "oci-layout://STORE@DIGEST" and "local:NAME" of an image and of a directory that the client
 * serves, "input:KEY" of another build's result, or the URL of a git repository or of a file.
 */
export type NamedContexts = ReadonlyMap<string, string>;

/** A result of another build. */
export interface InputContext {
  vertex: Vertex;
  /** The image that it is the root file system of; undefined if it is none. */
  image: Pick<ImageDocument, "config" | "history" | "created"> | undefined;
}

export type NamedContext = { image: string } | { layout: LayoutSource } | { source: Vertex } | { input: InputContext };

interface Contexts {
  contexts?: NamedContexts | undefined;
  /** The results of other builds, by their keys. */
  contextInputs?: ReadonlyMap<string, InputContext> | undefined;
}

/** The context of that name, which goes before a stage or an image that is called so. @throws LighterError ("invalid") */
export function findNamedContext({ contexts, contextInputs }: Contexts, name: string): NamedContext | undefined {
  if (contexts === undefined || contexts.size === 0) return undefined;
  const value = contexts.get(name.toLowerCase()) ?? contexts.get(familiarName(name));
  if (value === undefined) return undefined;
  const [, image] = /^docker-image:\/\/(.+)$/.exec(value) ?? [];
  if (image !== undefined) return { image };
  const [, directory] = /^local:(.+)$/.exec(value) ?? [];
  if (directory !== undefined)
    return { source: { op: { kind: "local", name: directory }, inputs: [], name: `context ${name}` } };
  const [, key] = /^input:(.+)$/.exec(value) ?? [];
  if (key !== undefined) {
    const input = contextInputs?.get(key);
    if (input === undefined) throw invalid(`invalid input ${key} for context ${name}: not found`);
    return { input };
  }
  const [, layout] = /^oci-layout:\/\/(.+)$/.exec(value) ?? [];
  if (layout !== undefined) {
    const source = parseLayout(layout);
    if (source === undefined) throw invalid(`oci-layout reference ${goQuote(layout)} has no digest`);
    return { layout: source };
  }
  const op = parseGitSource(value) ?? parseHttpSource(value);
  if (op === undefined) throw invalid(`unsupported context source ${value} for ${name}`);
  return { source: { op, inputs: [], name: value } };
}

/** "STORE@DIGEST", which may have a tag, too. */
export function parseLayout(reference: string): LayoutSource | undefined {
  const [, store, digest] = /^([^@:]+)(?::[^@]*)?@(sha256:[0-9a-f]{64})$/.exec(reference) ?? [];
  return store === undefined ? undefined : { kind: "layout", store, digest: digest! };
}

/** "debian" for "debian:latest" and "docker.io/library/debian"; other words stay as they are. */
function familiarName(name: string): string {
  try {
    return familiarReference(withDefaultTag(parseReference(name))).replace(/:latest$/, "");
  } catch {
    return name; // a stage's name need not be a reference
  }
}
