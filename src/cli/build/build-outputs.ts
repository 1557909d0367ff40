/** `--output`: where what is built goes. */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseCsvLine } from "../../base/value-syntax.ts";
import { isTerminal } from "../../linux/sys/tty.ts";
import { Unpacker } from "../copy/copy-unpack.ts";
import { CliError } from "../exit.ts";
import { stdout } from "../output.ts";
import { errnoText } from "../values/env-file.ts";
import type { ClientStream, StreamProvider } from "./build-session.ts";

/** An exporter, as Docker's API has it, and the path on this machine that receives what it makes. */
export interface BuildOutput {
  readonly Type: string;
  readonly Attrs: Readonly<Record<string, string>>;
  readonly dest?: string;
}

const TYPES = ["cacheonly", "docker", "image", "local", "oci", "registry", "tar"];

/** @throws Error in the words of Docker's client */
export function parseOutput(text: string): BuildOutput {
  const fields = parseCsvLine(text);
  if (fields.length === 1 && !text.includes("="))
    return text === "-" ? checked("tar", {}, "-") : checked("local", {}, text);
  const attrs: Record<string, string> = {};
  for (const field of fields) {
    const at = field.indexOf("=");
    if (at < 0) throw new Error(`invalid value ${field}`);
    attrs[field.slice(0, at).toLowerCase()] = field.slice(at + 1);
  }
  const { type = "", dest, ...rest } = attrs;
  if (type === "") throw new Error(`type is required for output`);
  return checked(type, rest, dest);
}

function checked(type: string, attrs: Record<string, string>, dest: string | undefined): BuildOutput {
  if (!TYPES.includes(type)) throw new Error(`exporter "${type}" could not be found`);
  if (type === "registry") return { Type: "image", Attrs: { ...attrs, push: "true" } };
  if (type === "image" || type === "cacheonly") return { Type: type, Attrs: attrs };
  if (type === "docker" && dest === undefined) return { Type: "image", Attrs: attrs }; // into the daemon's store
  if (type === "local" && (dest === undefined || dest === "-")) throw new Error("dest is required for local exporter");
  if (attrs.tar === "false" && (dest === undefined || dest === "-"))
    throw new Error(`dest is required for ${type} exporter with tar=false`);
  return { Type: type, Attrs: attrs, dest: dest ?? "-" };
}

const ANNOTATION_LEVELS = ["index", "index-descriptor", "manifest", "manifest-descriptor"];

/** "[LEVEL[PLATFORM],…:]KEY=VALUE", as options of outputs. @throws Error in the words of Docker's client */
export function parseAnnotation(text: string): [name: string, value: string][] {
  const [, given, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (given === undefined || value === undefined) throw new Error(`invalid annotation "${text}", expected key=value`);
  const at = given.indexOf(":");
  if (at < 0) return [[`annotation.${given}`, value]];
  const key = given.slice(at + 1);
  return given
    .slice(0, at)
    .split(",")
    .map((each) => {
      const [, level = "", platform = ""] = /^([a-z-]+)(\[[A-Za-z0-9_/-]+\])?$/.exec(each) ?? [];
      if (!ANNOTATION_LEVELS.includes(level)) throw new Error(`unknown annotation type "${level || each}"`);
      return [`annotation-${level}${platform}.${key}`, value];
    });
}

const ANNOTATED_TYPES = ["docker", "image", "oci"];

/** The outputs with these options, as far as they have an image. */
export function annotated(outputs: readonly BuildOutput[], options: readonly [string, string][]): BuildOutput[] {
  const added = Object.fromEntries(options);
  return outputs.map((output) =>
    ANNOTATED_TYPES.includes(output.Type) ? { ...output, Attrs: { ...output.Attrs, ...added } } : output,
  );
}

/** Tells whether the output is a directory with an OCI layout. */
export function isLayout(output: BuildOutput): output is BuildOutput & { dest: string } {
  return output.Attrs.tar === "false" && output.dest !== undefined;
}

/** @throws CliError if an output cannot take what is built */
export function checkOutputs(outputs: readonly BuildOutput[]): void {
  for (const output of outputs) {
    const { Type, dest } = output;
    if (isLayout(output)) continue;
    if (dest === "-" && isTerminal(1))
      throw new CliError(`dest file is required for ${Type} exporter. refusing to write to console`);
    if (dest !== undefined && dest !== "-" && Type !== "local" && isDirectory(dest))
      throw new CliError(`destination directory ${dest} is a directory, and a file is needed`);
  }
}

/** Takes what the daemon exports. The id of a stream is the index of its output. */
export function outputProvider(outputs: readonly BuildOutput[]): StreamProvider {
  return async (id, { end }) => {
    const output = outputs[Number(id)];
    if (output?.dest === undefined) return undefined;
    const taken =
      output.Type === "local" ? unpackInto(output.dest) : output.dest === "-" ? toStdout() : toFile(output.dest);
    return {
      ...taken,
      end: async () => {
        await taken.end();
        end(); // the daemon waits for it: the build has ended when its output is complete
      },
    };
  };
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function unpackInto(directory: string): ClientStream {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (cause) {
    throw new CliError(`mkdir ${directory}: ${errnoText(cause)}`);
  }
  const unpacker = new Unpacker({ directory });
  return { data: (bytes) => unpacker.push(bytes), end: () => unpacker.end(), close: () => unpacker.close() };
}

function toStdout(): ClientStream {
  return { data: (bytes) => void stdout.write(bytes), end: () => stdout.flush(), close: () => {} };
}

/** Writes a file that appears when it is complete. */
function toFile(path: string): ClientStream {
  const temporaryPath = join(dirname(path), `.lighter_temp_${crypto.randomUUID()}`);
  let fd: number | undefined;
  const explained = <T>(work: () => T): T => {
    try {
      return work();
    } catch (cause) {
      throw new CliError(`write ${path}: ${errnoText(cause)}`);
    }
  };
  const close = () => {
    if (fd === undefined) return;
    closeSync(fd);
    fd = undefined;
    rmSync(temporaryPath, { force: true });
  };
  fd = explained(() => openSync(temporaryPath, "wx", 0o644));
  const opened = fd;
  return {
    data: (bytes) => {
      for (let done = 0; done < bytes.length; ) done += explained(() => writeSync(opened, bytes, done));
    },
    end: () => {
      explained(() => renameSync(temporaryPath, path));
      close();
    },
    close,
  };
}
