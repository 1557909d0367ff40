/** Image names as users write them. (distribution/reference grammar) */

const PATH = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const HOST =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?";
const NAME = new RegExp(`^(?:${HOST}/)?${PATH}(?:/${PATH})*$`);

export interface ImageReference {
  /** Without the default registry and "library/". */
  readonly name: string;
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * "busybox" → name busybox, tag latest. Undefined for a full 64-digit ID, which names no repository.
 * @throws Error "invalid reference format…"
 */
export function parseImageReference(text: string): ImageReference | undefined {
  if (/^[a-f0-9]{64}$/.test(text) || /^sha256:[a-f0-9]{64}$/.test(text)) return undefined;
  const at = text.indexOf("@");
  const digest = at === -1 ? undefined : text.slice(at + 1);
  const rest = at === -1 ? text : text.slice(0, at);
  const colon = rest.indexOf(":", rest.lastIndexOf("/") + 1);
  const tag = colon === -1 ? undefined : rest.slice(colon + 1);
  const name = colon === -1 ? rest : rest.slice(0, colon);
  if (digest !== undefined && !/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$/.test(digest))
    throw new Error("invalid reference format");
  if (tag !== undefined && !/^\w[\w.-]{0,127}$/.test(tag)) throw new Error("invalid reference format");
  if (!NAME.test(name)) {
    if (NAME.test(name.toLowerCase()) && name !== "")
      throw new Error(
        `invalid reference format: repository name (${name.includes("/") ? name : `library/${name}`}) must be lowercase`,
      );
    throw new Error("invalid reference format");
  }
  const familiar = name.replace(/^(?:index\.)?docker\.io\//, "").replace(/^library\//, "");
  const reference = digest === undefined ? {} : { digest };
  if (tag !== undefined) return { name: familiar, tag, ...reference };
  return digest === undefined ? { name: familiar, tag: "latest" } : { name: familiar, ...reference };
}

export function formatImageReference({ name, tag, digest }: ImageReference): string {
  return name + (tag === undefined ? "" : `:${tag}`) + (digest === undefined ? "" : `@${digest}`);
}
