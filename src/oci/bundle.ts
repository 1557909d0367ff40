/** Bundles: a directory with a config.json and, mostly, a root file system. Source: runtime-spec bundle.md. */
import { resolve } from "node:path";
import { errnoOf, LighterError } from "../base/errors.ts";
import { OCI_CONFIG_MAX_BYTES } from "../base/limits.ts";
import type { OciConfig, OciProcess, OciResources } from "../spec/oci-runtime.ts";
import { parseOciConfig, parseOciProcess, parseOciResources } from "../spec/parse-oci-config.ts";
import { readRegularFile, readToEnd } from "./read-file.ts";

export interface Bundle {
  /** The bundle's absolute path. */
  path: string;
  config: OciConfig;
  /** The bytes of config.json, unchanged. */
  configBytes: Buffer;
  /** Absolute path of `config.root.path`. */
  rootfs: string;
}

/**
 * Reads a bundle.
 * @param path The bundle's directory, relative to the current one.
 * @throws LighterError ("not-found") if there is no config.json, ("invalid"/"not-supported") naming its field.
 */
export function readBundle(path: string): Bundle {
  const bundle = resolve(path);
  const configPath = resolve(bundle, "config.json");
  const configBytes = readDocumentFile(configPath);
  const config = parseOciConfig(configBytes.toString(), "config.json");
  if (config.root === undefined) throw new LighterError("invalid", "config.json: root is missing");
  return { path: bundle, config, configBytes, rootfs: resolve(bundle, config.root.path) };
}

/** Reads the file of `exec --process`. */
export function readProcess(path: string): OciProcess {
  return parseOciProcess(readDocumentFile(path, readToEnd).toString(), path);
}

/** Reads the file of `update --resources`, which is not "-". */
export function readResources(path: string): OciResources {
  return parseOciResources(readDocumentFile(path, readToEnd).toString(), path);
}

function readDocumentFile(path: string, read: typeof readToEnd = readRegularFile): Buffer {
  try {
    return read(path, OCI_CONFIG_MAX_BYTES);
  } catch (cause) {
    if (cause instanceof LighterError) throw cause;
    const missing = ["ENOENT", "ENOTDIR"].includes(errnoOf(cause));
    const errno = errnoOf(cause);
    throw new LighterError(missing ? "not-found" : "kernel", `open "${path}": ${errno}`, { errno, cause });
  }
}
