/** Attributes of exporters that say how layers are sent. Source: moby/buildkit util/compression/attrs.go, exporter/util. */
import { LighterError } from "../../base/errors.ts";
import type { LayerForm } from "../../image/mod.ts";

type Attributes = Readonly<Record<string, string>>;

const COMPRESSIONS = { uncompressed: "none", gzip: "gzip", zstd: "zstd" } as const;
/** The numbers that the compressions know. Others are taken for the nearest. */
const LEVELS = { none: [0, 0], gzip: [0, 12], zstd: [1, 19] } as const;

/** @throws LighterError "invalid", "not-supported" */
export function parseLayerForm(attrs: Attributes): LayerForm {
  const { compression = "gzip", "compression-level": level } = attrs;
  if (compression === "estargz") throw new LighterError("not-supported", "the compression estargz is not supported");
  if (!Object.hasOwn(COMPRESSIONS, compression))
    throw new LighterError("invalid", `unsupported compression type ${compression}`);
  const kind = COMPRESSIONS[compression as keyof typeof COMPRESSIONS];
  return { compression: kind, level: levelOf(level, kind), isForced: parseFlag(attrs, "force-compression", false) };
}

function levelOf(text: string | undefined, kind: keyof typeof LEVELS): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[+-]?\d{1,9}$/.test(text))
    throw new LighterError("invalid", `non-int value ${text} specified for compression-level`);
  const [least, most] = LEVELS[kind];
  return Math.min(Math.max(Number(text), least), most);
}

/** A flag as Go reads it; empty means yes. @throws LighterError "invalid" */
export function parseFlag(attrs: Attributes, name: string, initial: boolean): boolean {
  const text = attrs[name];
  if (text === undefined) return initial;
  if (["", "1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw new LighterError("invalid", `non-bool value ${text} specified for ${name}`);
}
