/** Contexts that a build is given by name, `--build-context NAME=SOURCE`. Source: moby/buildkit frontend/dockerui/namedcontext.go. */
import { familiarReference, parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import type { ImageDocument } from "../../spec/oci-image.ts";
import type { Vertex } from "./llb.ts";
import { invalid } from "./refuse.ts";
import { parseGitSource } from "./remote-source.ts";

/**
 * By name: "docker-image://REFERENCE", "local:NAME" of a directory that the client serves, "input:KEY" of another build's result, or
 * the URL of a git repository.
 */
export type NamedContexts = ReadonlyMap<string, string>;

/** A result of another build. */
export interface InputContext {
  vertex: Vertex;
  /** The image that it is the root file system of; undefined if it is none. */
  image: Pick<ImageDocument, "config" | "history" | "created"> | undefined;
}

type NamedContext = { image: string } | { source: Vertex } | { input: InputContext };

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
  const git = parseGitSource(value);
  if (git === undefined) throw invalid(`unsupported context source ${value} for ${name}`);
  return { source: { op: git, inputs: [], name: value } };
}

/** "debian" for "debian:latest" and "docker.io/library/debian"; other words stay as they are. */
function familiarName(name: string): string {
  try {
    return familiarReference(withDefaultTag(parseReference(name))).replace(/:latest$/, "");
  } catch {
    return name; // a stage's name need not be a reference
  }
}
