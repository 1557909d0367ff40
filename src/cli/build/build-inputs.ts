/** `--secret` and `--ssh`: what steps get of this machine. */
import { readFileSync } from "node:fs";
import { parseCsvLine } from "../../base/value-syntax.ts";
import { CliError } from "../exit.ts";
import { connect } from "../http/connect.ts";
import { errnoText } from "../values/env-file.ts";
import type { StreamProvider } from "./build-session.ts";

/** Where a secret is: in a file, or in a variable of the environment. */
type SecretSource = { readonly path: string } | { readonly variable: string };

/** @throws Error in the words of Docker's client */
export function parseSecret(text: string): [id: string, source: SecretSource] {
  const fields = new Map<string, string>();
  for (const field of parseCsvLine(text)) {
    const at = field.indexOf("=");
    if (at < 0) throw new Error(`invalid field '${field}' must be a key=value pair`);
    const key = field.slice(0, at).toLowerCase();
    if (!["type", "id", "src", "source", "env"].includes(key)) throw new Error(`unexpected key '${key}' in '${field}'`);
    fields.set(key === "src" ? "source" : key, field.slice(at + 1));
  }
  const [id = "", type = "", source, env] = ["id", "type", "source", "env"].map((name) => fields.get(name));
  if (!["", "file", "env"].includes(type)) throw new Error(`unsupported secret type "${type}"`);
  if (id === "") throw new Error("secret id is missing");
  if (type === "env") return [id, { variable: env ?? source ?? id }];
  if (env !== undefined) return [id, { variable: env }];
  if (source !== undefined) return [id, { path: source }];
  return [id, process.env[id] === undefined ? { path: id } : { variable: id }];
}

/** Reads secrets when steps ask for them. */
export function secretProvider(secrets: readonly (readonly [string, SecretSource])[]): StreamProvider {
  const sources = new Map(secrets);
  return async (id, { send, end }) => {
    const source = sources.get(id);
    if (source === undefined) return undefined;
    void send(readSecret(id, source)).then(end);
    return { data: () => {}, end: () => {}, close: () => {} };
  };
}

function readSecret(id: string, source: SecretSource): Uint8Array {
  if ("variable" in source) {
    const value = process.env[source.variable];
    if (value === undefined) throw new CliError(`secret ${id}: the variable ${source.variable} is not set`);
    return Buffer.from(value);
  }
  try {
    return readFileSync(source.path);
  } catch (cause) {
    throw new CliError(`secret ${id}: open ${source.path}: ${errnoText(cause)}`);
  }
}

/** Returns the id of an agent and the path of its socket. @throws Error */
export function parseAgent(text: string): [id: string, path: string] {
  const at = text.indexOf("=");
  const [id, path] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  const socket = path || process.env.SSH_AUTH_SOCK || "";
  if (socket === "") throw new Error("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
  return [id || "default", socket];
}

/** Connects steps to agents. */
export function agentProvider(agents: readonly (readonly [string, string])[]): StreamProvider {
  const paths = new Map(agents);
  return async (id, { send, end, fail }) => {
    const path = paths.get(id || "default");
    if (path === undefined) return undefined;
    const unsent: Uint8Array[] = [];
    const flush = () => {
      for (let next = unsent[0]; next !== undefined; next = unsent[0]) {
        const count = Math.max(socket.write(next), 0);
        if (count < next.length) {
          unsent[0] = next.subarray(count);
          return;
        }
        unsent.shift();
      }
    };
    const events = {
      data: (bytes: Uint8Array) => void send(new Uint8Array(bytes)),
      drain: () => flush(),
      end,
      error: fail,
    };
    const socket = await connect({ unix: path }, events, false);
    return {
      data: (bytes) => {
        unsent.push(bytes);
        flush();
      },
      end: () => void socket.shutdown(),
      close: () => void socket.end(),
    };
  };
}
