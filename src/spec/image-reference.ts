/**
 * Image references: "[domain[:port]/]path[:tag][@digest]", read and written as Docker does. A familiar name is what people type
 * ("hello"); the normalised one has its domain and, on docker.io, "library/" ("docker.io/library/hello").
 * Source: the grammar in the doc of github.com/distribution/reference, and its behaviour for the errors.
 */
import { LighterError } from "../base/errors.ts";

export interface Reference {
  /** "docker.io", "localhost:5000". */
  domain: string;
  /** "library/hello". */
  path: string;
  tag?: string;
  /** "sha256:…", or a digest by another registered algorithm. */
  digest?: string;
}

export const DEFAULT_DOMAIN = "docker.io";
const LEGACY_DEFAULT_DOMAIN = "index.docker.io";
const OFFICIAL_PREFIX = "library/";
const DEFAULT_TAG = "latest";
/** The longest path without the domain. Source: distribution/reference 0.6, RepositoryNameTotalLengthMax. */
const PATH_MAX_LENGTH = 255;

const domainComponent = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domainPattern = `(?:${domainComponent}(?:\\.${domainComponent})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const pathComponent = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const pathPattern = `${pathComponent}(?:/${pathComponent})*`;
const tagPattern = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
const digestPattern = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
const referenceRegExp = new RegExp(
  `^((?:${domainPattern}/)?${pathPattern})(?::(${tagPattern}))?(?:@(${digestPattern}))?$`,
);
const tagRegExp = new RegExp(`^${tagPattern}$`);
const anchoredDomain = new RegExp(`^(?:(${domainPattern})/)?(${pathPattern})$`);

/** A length far above any valid reference, and small enough for any regular expression. */
const REFERENCE_MAX_LENGTH = 1024;

/** The number of hex digits for the registered digest algorithms (image-spec descriptor.md#registered-algorithms). */
const DIGEST_HEX_LENGTH: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}

function checkDigest(digest: string): void {
  const colon = digest.indexOf(":");
  const hex = digest.slice(colon + 1);
  const length = DIGEST_HEX_LENGTH[digest.slice(0, colon)];
  if (length === undefined) throw invalid("unsupported digest algorithm");
  if (hex.length !== length) throw invalid("invalid checksum digest length");
  if (!/^[0-9a-f]+$/.test(hex)) throw invalid("invalid checksum digest format");
}

/**
 * Splits off the domain. "ubuntu" is on docker.io; "host.tld/x", "host:5000/x", "localhost/x" and "HOST/x" name their registry.
 * Checks nothing.
 */
export function splitDomain(name: string): { domain: string; rest: string } {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isDomain = slash >= 0 && (/[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first);
  const domain = isDomain && first !== LEGACY_DEFAULT_DOMAIN ? first : DEFAULT_DOMAIN;
  const rest = isDomain ? name.slice(slash + 1) : name;
  return { domain, rest: domain === DEFAULT_DOMAIN && !rest.includes("/") ? OFFICIAL_PREFIX + rest : rest };
}

/**
 * Parses a familiar or full name. No tag is added: see `withDefaultTag`.
 * @throws LighterError ("invalid") with Docker's wording.
 */
export function parseReference(text: string): Reference {
  if (/^[a-f0-9]{64}$/.test(text))
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  if (text.length > REFERENCE_MAX_LENGTH) throw invalid("invalid reference format");
  const { domain, rest } = splitDomain(text);
  const colon = rest.indexOf(":");
  const remoteName = colon < 0 ? rest : rest.slice(0, colon);
  if (remoteName.toLowerCase() !== remoteName)
    throw invalid(`invalid reference format: repository name (${remoteName}) must be lowercase`);
  const match = referenceRegExp.exec(`${domain}/${rest}`);
  if (match === null) throw invalid("invalid reference format");
  const [, name = "", tag, digest] = match;
  const [, named = "", path = name] = anchoredDomain.exec(name) ?? [];
  if (path.length > PATH_MAX_LENGTH)
    throw invalid(`repository name must not be more than ${PATH_MAX_LENGTH} characters`);
  if (digest !== undefined) checkDigest(digest);
  return {
    domain: named,
    path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/**
 * Parses a name as `parseReference` does, adding "latest" if there is no tag. Undefined for the full id of an image, which is no
 * name.
 */
export function parseUnlessId(text: string): Reference | undefined {
  return /^(?:sha256:)?[a-f0-9]{64}$/.test(text) ? undefined : withDefaultTag(parseReference(text));
}

/** Whether the reference names neither tag nor digest. */
export function isNameOnly(reference: Reference): boolean {
  return reference.tag === undefined && reference.digest === undefined;
}

export function withDefaultTag(reference: Reference): Reference {
  return isNameOnly(reference) ? { ...reference, tag: DEFAULT_TAG } : reference;
}

/** The same repository with this tag and without a digest. @throws LighterError ("invalid"). */
export function withTag(reference: Reference, tag: string): Reference {
  if (!tagRegExp.test(tag)) throw invalid("invalid tag format");
  return { domain: reference.domain, path: reference.path, tag };
}

function suffixOf(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  return reference.digest === undefined ? tag : `${tag}@${reference.digest}`;
}

/** Formats a full reference: "docker.io/library/hello:latest". */
export function formatReference(reference: Reference): string {
  return `${reference.domain}/${reference.path}${suffixOf(reference)}`;
}

/** The name without tag and digest, as Docker shows it: "hello", "localhost:5000/x". */
export function familiarName(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return `${reference.domain}/${reference.path}`;
  const short = reference.path.startsWith(OFFICIAL_PREFIX) ? reference.path.slice(OFFICIAL_PREFIX.length) : undefined;
  return short !== undefined && !short.includes("/") ? short : reference.path;
}

/** The reference as Docker shows it: "hello:latest". */
export function familiarReference(reference: Reference): string {
  return familiarName(reference) + suffixOf(reference);
}

/** Whether two references name the same repository, whatever the tag. */
export function isSameRepository(a: Reference, b: Reference): boolean {
  return a.domain === b.domain && a.path === b.path;
}
