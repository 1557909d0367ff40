/** Image names as users write them. (distribution/reference grammar) */

const PATH = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const HOST =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?";
const NAME = new RegExp(`^(?:${HOST}/)?${PATH}(?:/${PATH})*$`);
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$/;

const DEFAULT_DOMAIN = "docker.io";
const OFFICIAL_PREFIX = "library/";

export interface ImageReference {
  /** The registry: "docker.io", "localhost:5000". */
  readonly domain: string;
  /** Without the default registry and "library/": what the Engine API calls the image. */
  readonly name: string;
  /** With them: "docker.io/library/busybox". */
  readonly fullName: string;
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * Splits a name, adding nothing: "busybox" has neither tag nor digest.
 * @throws Error "invalid reference format…"
 */
export function parseNamedReference(text: string): ImageReference {
  if (/^[a-f0-9]{64}$/.test(text))
    throw new Error(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  const at = text.indexOf("@");
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const rest = at === -1 ? text : text.slice(0, at);
  const colon = rest.indexOf(":", rest.lastIndexOf("/") + 1);
  const tag = colon === -1 ? undefined : rest.slice(colon + 1);
  const { domain, path } = splitDomain(colon === -1 ? rest : rest.slice(0, colon));
  if (path !== path.toLowerCase())
    throw new Error(`invalid reference format: repository name (${path}) must be lowercase`);
  const fullName = `${domain}/${path}`;
  if (!NAME.test(fullName) || (tag !== undefined && !TAG.test(tag)) || (digest !== undefined && !DIGEST.test(digest)))
    throw new Error("invalid reference format");
  const official = path.startsWith(OFFICIAL_PREFIX) && !path.slice(OFFICIAL_PREFIX.length).includes("/");
  const familiar = official ? path.slice(OFFICIAL_PREFIX.length) : path;
  return {
    domain,
    name: domain === DEFAULT_DOMAIN ? familiar : fullName,
    fullName,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The registry and the path in it. A first part is a host if it has a dot, a port or a capital, or is "localhost". */
export function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash === -1 ? "" : name.slice(0, slash);
  const isHost = /[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase();
  const domain = !isHost || first === "index.docker.io" ? DEFAULT_DOMAIN : first;
  const path = isHost ? name.slice(slash + 1) : name;
  return { domain, path: domain === DEFAULT_DOMAIN && !path.includes("/") ? OFFICIAL_PREFIX + path : path };
}

/** Whether images of this registry are the default's. */
export function isDefaultDomain(domain: string): boolean {
  return domain === DEFAULT_DOMAIN;
}

/** A name with neither tag nor digest means "latest". */
export function withDefaultTag(reference: ImageReference): ImageReference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: "latest" } : reference;
}

/**
 * "busybox" → name busybox, tag latest. Undefined for a full 64-digit ID, which names no repository.
 * @throws Error "invalid reference format…"
 */
export function parseImageReference(text: string): ImageReference | undefined {
  if (/^(?:sha256:)?[a-f0-9]{64}$/.test(text)) return undefined;
  return withDefaultTag(parseNamedReference(text));
}

export function formatImageReference(reference: ImageReference): string {
  return reference.name + suffix(reference);
}

/** With registry and "library/": "docker.io/library/busybox:latest". */
export function formatFullReference(reference: ImageReference): string {
  return reference.fullName + suffix(reference);
}

function suffix({ tag, digest }: ImageReference): string {
  return (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);
}
