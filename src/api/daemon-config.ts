/** What `lighter daemon` is told: by its command line, and by a file in the form of Docker's daemon.json. */
import { readFileSync, statSync } from "node:fs";
import { parseArgs } from "node:util";
import { errnoOf, LighterError, messageOf } from "../base/errors.ts";
import { DAEMON_CONFIG_MAX_BYTES, REGISTRY_ADDRESSES_MAX } from "../base/limits.ts";
import { parseMirror, type RegistryConfig } from "../engine/mod.ts";
import { list, object, readDocument, string } from "../spec/reader.ts";

const DEFAULT_CONFIG_PATH = "/etc/lighter/daemon.json";

export interface DaemonOptions {
  socketPath: string;
  dataRoot: string;
  execRoot: string;
  registry: RegistryConfig;
}

interface ConfigFile {
  "registry-mirrors"?: string[];
  "insecure-registries"?: string[];
}

const addresses = list(string, REGISTRY_ADDRESSES_MAX);
const FIELDS = { "registry-mirrors": addresses, "insecure-registries": addresses };
const readFields = object<ConfigFile>(FIELDS);

/** Undefined: help was asked for. @throws Error for wrong usage */
export function parseDaemonOptions(args: string[]): DaemonOptions | undefined {
  const { values } = parseArgs({
    args,
    options: {
      host: { type: "string", short: "H", default: "unix:///run/lighter/lighter.sock" },
      "data-root": { type: "string", default: "/var/lib/lighter" },
      "exec-root": { type: "string", default: "/run/lighter" },
      "config-file": { type: "string" },
      "registry-mirror": { type: "string", multiple: true },
      "insecure-registry": { type: "string", multiple: true },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const socketPath = /^unix:\/\/(\/.+)$/.exec(values.host)?.[1];
  if (socketPath === undefined)
    throw new LighterError("invalid", `--host: "${values.host}" is not of the form unix:///path/to/socket`);
  for (const name of ["data-root", "exec-root"] as const)
    if (!values[name].startsWith("/")) throw new LighterError("invalid", `--${name}: must be an absolute path`);
  const file = readConfigFile(values["config-file"]);
  const both = (flag: string[] | undefined, key: keyof ConfigFile): string[] => {
    if (flag !== undefined && file[key] !== undefined)
      throw new LighterError("invalid", `${key} is given both as a flag and in the configuration file`);
    return flag ?? file[key] ?? [];
  };
  const mirrors = both(values["registry-mirror"], "registry-mirrors");
  for (const mirror of mirrors) parseMirror(mirror);
  const insecureRegistries = both(values["insecure-registry"], "insecure-registries");
  return {
    socketPath,
    dataRoot: values["data-root"],
    execRoot: values["exec-root"],
    registry: { mirrors, insecureRegistries },
  };
}

/** The default one may be missing; one that was asked for may not. @throws LighterError ("invalid"). */
function readConfigFile(askedPath: string | undefined): ConfigFile {
  const path = askedPath ?? DEFAULT_CONFIG_PATH;
  let text: string;
  try {
    if (statSync(path).size > DAEMON_CONFIG_MAX_BYTES)
      throw new LighterError("invalid", `it is larger than the limit of ${DAEMON_CONFIG_MAX_BYTES} bytes`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && askedPath === undefined) return {};
    throw new LighterError("invalid", `read the configuration "${path}": ${messageOf(error)}`, { cause: error });
  }
  const where = `configuration "${path}"`;
  const fields = readDocument(readFields, text, where);
  const unknown = Object.keys(JSON.parse(text) as object).filter((key) => !Object.hasOwn(FIELDS, key));
  if (unknown.length > 0)
    throw new LighterError("invalid", `${where}: these settings are not known: ${unknown.join(", ")}`);
  return fields;
}
