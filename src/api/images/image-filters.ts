/** The filters of lists and prunes of images. */
import { LighterError } from "../../base/errors.ts";
import { compilePathPattern } from "../../base/path-pattern.ts";
import { parseRfc3339, parseTimeNs } from "../../base/time.ts";
import type { Image } from "../../engine/mod.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import type { Filters } from "../http/filters.ts";

/** Whether an image passes the filters of `GET /images/json` or `POST /images/prune`. */
export type ImageFilter = (image: Image) => boolean;

export function createdSeconds({ document }: Image): number {
  return Math.floor((Date.parse(document.created ?? "") || 0) / 1000);
}

/** Whether the image's `createdAt` (RFC 3339) is earlier than `until`; true if `until` is undefined. */
export function isBefore(createdAt: string, until: bigint | undefined): boolean {
  return until === undefined || (parseRfc3339(createdAt) ?? 0n) < until;
}

function createdNs({ document }: Image): bigint {
  return parseRfc3339(document.created ?? "") ?? 0n;
}

/** Compiles the filters that both requests have. `until`: the result of `parseUntil`. */
export function compileCommonFilters(filters: Filters, until: bigint | undefined): ImageFilter {
  return (image) => {
    const labels = image.document.config.Labels ?? {};
    return isBefore(image.document.created ?? "", until) && filters.matchesLabels(labels);
  };
}

/**
 * Parses `until` to nanoseconds since 1970; undefined if it is not given. A time without a zone is UTC; a duration counts back
 * from now.
 */
export function parseUntil(values: readonly string[] | undefined): bigint | undefined {
  if (values === undefined) return undefined;
  if (values.length > 1) throw new LighterError("invalid", "more than one until filter specified");
  return parseTime(values[0]!);
}

function parseTime(text: string): bigint {
  const ns = parseTimeNs(text, Date.now(), "Z");
  if (ns === undefined)
    throw new LighterError("invalid", `failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return ns;
}

/** Whether the image has no name, and no other image was made from it. */
function isDangling({ repoTags, isIntermediate }: Image): boolean {
  return repoTags.length === 0 && !isIntermediate;
}

/** Compiles the filters of the list. @throws LighterError "invalid", "not-found" for a missing image in `before` or `since` */
export function compileListFilters({ images }: Daemon, filters: Filters): ImageFilter {
  const untils = filters.get("until")?.map(parseTime);
  const common = compileCommonFilters(
    filters,
    untils?.reduce((first, ns) => (ns < first ? ns : first)),
  );
  const dangling = filters.boolean("dangling");
  const times = (name: string) => filters.get(name)?.map((ref) => createdNs(images.get(ref))) ?? [];
  const [before, since] = [times("before"), times("since")];
  return (image) =>
    common(image) &&
    (dangling === undefined || dangling === isDangling(image)) &&
    before.every((ns) => createdNs(image) < ns) &&
    since.every((ns) => createdNs(image) > ns);
}

/**
 * Compiles the `reference` patterns to a function that returns the image with the names that match one of them, or undefined if
 * none does. A pattern matches the name alone or the name with its tag or digest.
 * @throws LighterError "invalid"
 */
export function compileReferenceFilter(patterns: readonly string[] | undefined): (image: Image) => Image | undefined {
  if (patterns === undefined) return (image) => image;
  const compiled = patterns.map((pattern) => {
    const matches = compilePathPattern(pattern);
    if (matches === undefined) throw new LighterError("invalid", "syntax error in pattern");
    return matches;
  });
  const fits = (reference: string) => {
    const name = reference.includes("@")
      ? reference.slice(0, reference.indexOf("@"))
      : reference.slice(0, reference.lastIndexOf(":"));
    return compiled.some((matches) => matches(reference) || matches(name));
  };
  return (image) => {
    const [repoTags, repoDigests] = [image.repoTags.filter(fits), image.repoDigests.filter(fits)];
    return repoTags.length + repoDigests.length === 0 ? undefined : { ...image, repoTags, repoDigests };
  };
}
