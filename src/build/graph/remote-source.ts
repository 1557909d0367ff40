/**
 * Sources that are fetched: URLs of files, and git repositories with a fragment, "#REF:SUBDIRECTORY", or a query that says the same.
 * Sources: Docker's documents, "Build context", "Git repositories" and "URL queries"; moby/buildkit dfgitutil (what is which).
 */
import { posix } from "node:path";
import { goQuote } from "../../base/go-escapes.ts";
import { invalid } from "./refuse.ts";

export interface GitSource {
  kind: "git";
  /** The repository, as git takes it. */
  remote: string;
  /** A branch, a tag, a commit or a full name; "" is what the repository's HEAD names. */
  ref: string;
  /** Relative to the root of the repository, "" for itself. */
  subdirectory: string;
  /** The commit that it must be, or how it must begin; "" for any. */
  checksum: string;
  keepGitDir: boolean | undefined;
  submodules: boolean;
  /** The secrets of the client that the server is told, if they have other names than the usual ones. */
  secrets?: Partial<GitSecrets>;
}

/** The names of secrets: an Authorization header, and a token for one. */
interface GitSecrets {
  header: string;
  token: string;
}

export const GIT_SECRETS: GitSecrets = { header: "GIT_AUTH_HEADER", token: "GIT_AUTH_TOKEN" };

export interface HttpSource {
  kind: "http";
  url: string;
  /** The name that the file gets. */
  fileName: string;
  /** A digest that it must have; "" for any. */
  checksum: string;
}

const URL_PARTS = /^([a-z0-9]+):\/\/([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/is;
const SCP_PARTS = /^([a-zA-Z0-9-_]+@[a-zA-Z0-9-.]+:[^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;
const UNNAMED = "__unnamed__";

/** A git repository, or undefined. @throws LighterError ("invalid") for a query that says nothing, or two things. */
export function parseGitSource(text: string): GitSource | undefined {
  const [, scheme, rest, query, fragment] = URL_PARTS.exec(text) ?? [];
  if (scheme !== undefined) {
    const isHttp = /^https?$/i.test(scheme);
    if (isHttp ? !rest!.endsWith(".git") : !/^(git|ssh)$/i.test(scheme)) return undefined;
    return gitSource(`${scheme}://${rest}`, query, fragment);
  }
  const [, remote, scpQuery, scpFragment] = SCP_PARTS.exec(text) ?? [];
  return remote === undefined ? undefined : gitSource(remote, scpQuery, scpFragment);
}

function gitSource(remote: string, query: string | undefined, fragment: string | undefined): GitSource {
  const [ref = "", subdirectory = ""] = decodeURIComponentIf(fragment ?? "").split(/:(.*)/s);
  const source: GitSource = {
    kind: "git",
    remote,
    ref,
    subdirectory: posix.join("/", subdirectory).slice(1),
    checksum: "",
    keepGitDir: undefined,
    submodules: true,
  };
  applyQuery(source, new URLSearchParams(query ?? ""));
  if (source.ref === "") source.ref = source.checksum;
  if (/^-|[\0-\x20\x7f]/.test(source.ref)) throw invalid(`invalid git ref ${goQuote(source.ref)}`);
  return source;
}

function decodeURIComponentIf(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function applyQuery(source: GitSource, query: URLSearchParams): void {
  const names = [...query.keys()];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw invalid(`query ${goQuote(twice)} has multiple values`);
  if (query.has("tag") && query.has("branch")) throw invalid("branch conflicts with tag");
  for (const [name, value] of query) {
    const isFlag = name === "submodules" || name === "keep-git-dir";
    if (value === "" && !isFlag) throw invalid(`query ${goQuote(name)} has no value`);
    if (name === "ref") agree(source, "ref", value, "ref");
    else if (name === "tag") agree(source, "ref", withPrefix("refs/tags/", value), "ref");
    else if (name === "branch") agree(source, "ref", withPrefix("refs/heads/", value), "ref");
    else if (name === "subdir") agree(source, "subdirectory", posix.join("/", value).slice(1), "subdir");
    else if (name === "checksum" || name === "commit") source.checksum = value;
    else if (name === "keep-git-dir") source.keepGitDir = booleanOf(name, value);
    else if (name === "submodules") source.submodules = booleanOf(name, value);
    else throw invalid(`unexpected query ${goQuote(name)}`);
  }
}

function withPrefix(prefix: string, name: string): string {
  return name.startsWith(prefix) ? name : prefix + name;
}

function agree(source: GitSource, key: "ref" | "subdirectory", value: string, name: string): void {
  if (source[key] !== "" && source[key] !== value)
    throw invalid(`${name} conflicts: ${goQuote(source[key])} vs ${goQuote(value)}`);
  source[key] = value;
}

function booleanOf(name: string, value: string): boolean {
  if (["", "1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
  throw invalid(`invalid ${name} value: ${goQuote(value)}`);
}

/** A file by http or https, or undefined. */
export function parseHttpSource(text: string): HttpSource | undefined {
  if (!/^https?:\/\//.test(text)) return undefined;
  let path: string;
  try {
    path = decodeURIComponentIf(new URL(text).pathname);
  } catch {
    throw invalid(`${goQuote(text)} is no valid URL`);
  }
  const fileName = posix.basename(path);
  return {
    kind: "http",
    url: text,
    fileName: fileName === "" || fileName.includes("\0") ? UNNAMED : fileName,
    checksum: "",
  };
}
