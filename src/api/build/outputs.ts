/** The outputs that a request for a build asks for, and where they go. */
import { LighterError } from "../../base/errors.ts";
import { writeAll } from "../../base/writable.ts";
import { type BuildOutput, canonicalName, checkOutput, type OutputTargets, pushImage } from "../../engine/mod.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import { parseReference, withDefaultTag } from "../../spec/image-reference.ts";
import { list, map, object, string } from "../../spec/reader.ts";
import type { AuthConfig } from "../../spec/registry-auth.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import type { Query } from "../http/query.ts";
import { publishTransfer } from "../images/image-events.ts";
import { findSession } from "./client-session.ts";

const OUTPUTS_MAX = 16;
const readOutputs = list(
  object<{ Type: string; Attrs: Record<string, string> }>({ Type: string, Attrs: map(string) }, { required: ["Type"] }),
  OUTPUTS_MAX,
);

/** The parameter "outputs": [{"Type": "tar", "Attrs": {}}]. Undefined: none are asked for. @throws LighterError */
export function outputsOf(query: Query): BuildOutput[] | undefined {
  const text = query.text("outputs");
  if (text === undefined) return undefined;
  const outputs = readOutputs(parseGoJson(Buffer.from(text)), "outputs");
  return outputs.length === 0 ? undefined : outputs.map(({ Type, Attrs = {} }) => checkOutput(Type, Attrs));
}

interface Made {
  /** The image's id; "" if there is none. */
  id: string;
  /** What a registry has of the image, if it was pushed. */
  digest?: string | undefined;
  outputs: readonly BuildOutput[];
  /** Names of the image, beside those of the outputs. */
  tags?: readonly string[];
}

/** Tells what was made, under BuildKit's names: `--metadata-file` holds it. */
export function resultOf({ id, digest = id, outputs, tags = [] }: Made): Record<string, string> {
  if (id === "") return {};
  const given = outputs.flatMap(({ attrs: { name = "" } }) => name.split(",").filter((each) => each !== ""));
  const names = new Set([...tags, ...given].map(canonicalName));
  return {
    "containerimage.config.digest": id,
    "containerimage.digest": digest,
    ...(names.size === 0 ? {} : { "image.name": [...names].join(",") }),
  };
}

interface TargetOptions {
  /** The client's session, if it has one. */
  sessionId: string | undefined;
  credentialsFor: (domain: string) => AuthConfig;
  signal: AbortSignal;
  /** Hears what a registry has of the image. */
  onPushed: (digest: string) => void;
}

export function targetsOf(
  daemon: Daemon,
  { sessionId, credentialsFor, signal, onPushed }: TargetOptions,
): OutputTargets {
  return {
    send: async (index, tar) => {
      if (sessionId === undefined) throw new LighterError("invalid", "an output for the client needs a session");
      const session = findSession(daemon.clientSessions, sessionId);
      const stream = await session.open({ kind: "output", id: String(index) });
      if (stream === undefined) throw new LighterError("invalid", `the client takes no output ${index}`);
      await writeAll(tar, stream);
      for await (const _ of stream); // it ends when the client has written the last byte
    },
    push: async (name) => {
      const reference = withDefaultTag(parseReference(name));
      const credentials = credentialsFor(reference.domain);
      const client = await daemon.registries.open(reference, { credentials, signal, actions: "pull,push" });
      const image = daemon.images.referenced(reference);
      if (image === undefined) throw new LighterError("not-found", `tag does not exist: ${name}`);
      const { maxUploads } = daemon.settings;
      const { digest } = await pushImage(daemon.images, image, reference, {
        client,
        signal,
        maxUploads,
        onEvent: () => {},
      });
      publishTransfer(daemon, "push", reference);
      onPushed(digest);
      return digest;
    },
  };
}
