/** Outputs of builds and their options, which are BuildKit's. Source: moby/buildkit exporter/containerimage/exptypes/keys.go. */
import { LighterError } from "../../base/errors.ts";
import type { AnnotationLevel, Annotations, LayerForm } from "../../image/mod.ts";
import type { Platform } from "../../spec/oci-image.ts";
import { formatPlatform } from "../../spec/platform.ts";
import { parseFlag, parseLayerForm } from "../cache/layer-form.ts";

const OUTPUT_TYPES = ["cacheonly", "docker", "image", "local", "oci", "tar"] as const;

/** One exporter, with BuildKit's options. */
export interface BuildOutput {
  type: (typeof OUTPUT_TYPES)[number];
  attrs: Readonly<Record<string, string>>;
}

const FORM_OPTIONS = ["compression", "compression-level", "force-compression"];
/** Options of images; those that are about another kind of store are taken, and change nothing here. */
const IMAGE_OPTIONS = [
  ...FORM_OPTIONS,
  ...["name", "rewrite-timestamp", "oci-mediatypes", "unpack", "store", "name-canonical", "dangling-name-prefix"],
  ...["buildinfo", "buildinfo-attrs"],
];
const OPTIONS: Readonly<Record<BuildOutput["type"], readonly string[]>> = {
  cacheonly: [],
  docker: [...IMAGE_OPTIONS, "tar"],
  image: [...IMAGE_OPTIONS, "push", "push-by-digest"],
  local: ["platform-split"],
  oci: [...IMAGE_OPTIONS, "tar"],
  tar: ["platform-split"],
};

const ANNOTATION = /^annotation(?:-(manifest|index|manifest-descriptor|index-descriptor))?(?:\[([^\]]+)\])?\.(.+)$/s;

function isKnown(type: BuildOutput["type"], name: string): boolean {
  return OPTIONS[type].includes(name) || (OPTIONS[type].includes("name") && ANNOTATION.test(name));
}

/**
 * Checks an output. `isLenient`: options that are not known are left out, as BuildKit does.
 * @throws LighterError for what is no output, and for an option that is not supported
 */
export function checkOutput(type: string, given: BuildOutput["attrs"], isLenient = false): BuildOutput {
  const known = OUTPUT_TYPES.find((each) => each === type);
  if (known === undefined) throw new LighterError("invalid", `exporter "${type}" could not be found`);
  const unknown = Object.keys(given).find((name) => !isKnown(known, name));
  if (unknown !== undefined && !isLenient)
    throw new LighterError("not-supported", `exporter "${type}": the option "${unknown}" is not supported yet`);
  const attrs = Object.fromEntries(Object.entries(given).filter(([name]) => isKnown(known, name)));
  parseLayerForm(attrs);
  for (const name of ["oci-mediatypes", "push-by-digest", "rewrite-timestamp"]) parseFlag(attrs, name, false);
  if (!parseFlag(attrs, "tar", true) && known !== "oci")
    throw new LighterError("not-supported", `exporter "${type}": only a tar can be made`);
  return { type: known, attrs };
}

/** How an image is to leave; undefined: as it is stored. */
interface OutputForm {
  layers: LayerForm;
  isOci: boolean | undefined;
  annotations: Annotations;
}

/** The form that the options ask for. */
export function formOf({ type, attrs }: BuildOutput): OutputForm {
  const hasForm = FORM_OPTIONS.some((name) => attrs[name] !== undefined);
  const layers = parseLayerForm(attrs);
  const isPlain = !hasForm && type !== "image"; // an archive takes layers as they are, a registry compressed ones
  const isOci = attrs["oci-mediatypes"] === undefined ? undefined : parseFlag(attrs, "oci-mediatypes", true);
  return {
    layers: isPlain ? { ...layers, compression: undefined } : layers,
    isOci: layers.compression === "zstd" && hasForm ? true : isOci, // Docker's family has no such type
    annotations: annotationsOf(attrs),
  };
}

/** Tells whether an image that is pushed is not to be the one that is stored. */
export function isFormed({ attrs }: BuildOutput): boolean {
  const names = [...FORM_OPTIONS.slice(1), "oci-mediatypes", "push-by-digest"];
  const hasOwn = attrs.compression === "uncompressed" || names.some((name) => attrs[name] !== undefined);
  return hasOwn || Object.keys(attrs).some((name) => ANNOTATION.test(name));
}

function annotationsOf(attrs: BuildOutput["attrs"]): Annotations {
  const all = Object.entries(attrs).flatMap(([name, value]) => {
    const [, level = "manifest", platform, key] = ANNOTATION.exec(name) ?? [];
    return key === undefined ? [] : [{ level, platform, key, value }];
  });
  return (level: AnnotationLevel, platform?: Platform) => {
    const own = platform && formatPlatform(platform);
    const chosen = all.filter((each) => each.level === level && (each.platform === undefined || each.platform === own));
    return Object.fromEntries(chosen.map(({ key, value }) => [key, value]));
  };
}
