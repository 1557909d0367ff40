/** The outputs that a request for a build asks for, and where they go. */
import { LighterError } from "../../base/errors.ts";
import { writeAll } from "../../base/writable.ts";
import {
  type BuildOutput,
  type BuiltImage,
  canonicalName,
  checkOutput,
  type OutputTargets,
  type PushOptions,
  pushComposed,
  pushImage,
  pushIndex,
} from "../../engine/mod.ts";
import { OUTPUT_DIRECTORY } from "../../spec/build-session.ts";
import { parseGoJson } from "../../spec/go-json.ts";
import { parseReference, type Reference, withDefaultTag } from "../../spec/image-reference.ts";
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

/** A parameter that is a list of BuildKit's options: [{"Type": "tar", "Attrs": {}}]. @throws LighterError "invalid" */
export function readTypes(query: Query, name: string): { Type: string; Attrs: Record<string, string> }[] {
  const text = query.text(name);
  return text === undefined ? [] : readOutputs(parseGoJson(Buffer.from(text)), name);
}

/** The parameter "outputs". Undefined: none are asked for. @throws LighterError */
export function outputsOf(query: Query): BuildOutput[] | undefined {
  const outputs = readTypes(query, "outputs");
  return outputs.length === 0 ? undefined : outputs.map(({ Type, Attrs = {} }) => checkOutput(Type, Attrs));
}

interface Made {
  built: BuiltImage;
  /** What a registry has of the image, if it was pushed. */
  digest?: string | undefined;
  outputs: readonly BuildOutput[];
  /** Names of the image, beside those of the outputs. */
  tags?: readonly string[];
}

/** Tells what was made, under BuildKit's names: `--metadata-file` holds it. */
export function resultOf({ built, digest, outputs, tags = [] }: Made): Record<string, string> {
  const { id, elsewhere } = built;
  if (id === "") return {};
  const given = outputs.flatMap(({ attrs: { name = "" } }) => name.split(",").filter((each) => each !== ""));
  const names = new Set([...tags, ...given].map(canonicalName));
  return {
    ...(elsewhere?.isIndex === true ? {} : { "containerimage.config.digest": id }),
    ...(elsewhere && { "containerimage.descriptor": base64(elsewhere.descriptor) }),
    "containerimage.digest": digest ?? elsewhere?.descriptor.digest ?? id,
    ...(names.size === 0 ? {} : { "image.name": [...names].join(",") }),
  };
}

function base64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64");
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
  const pushed = async (name: string, push: (reference: Reference, options: PushOptions) => Promise<string>) => {
    const reference = withDefaultTag(parseReference(name));
    const credentials = credentialsFor(reference.domain);
    const client = await daemon.registries.open(reference, { credentials, signal, actions: "pull,push" });
    const digest = await push(reference, { client, signal, maxUploads: daemon.settings.maxUploads, onEvent: () => {} });
    publishTransfer(daemon, "push", reference);
    onPushed(digest);
    return digest;
  };
  return {
    send: async (index, tar) => {
      if (sessionId === undefined) throw new LighterError("invalid", "an output for the client needs a session");
      const session = findSession(daemon.clientSessions, sessionId);
      const stream = await session.open({ kind: "output", id: String(index) });
      if (stream === undefined) throw new LighterError("invalid", `the client takes no output ${index}`);
      await writeAll(tar, stream);
      for await (const _ of stream); // it ends when the client has written the last byte
    },
    layout: async (index) => {
      if (sessionId === undefined) throw new LighterError("invalid", "an output for the client needs a session");
      return findSession(daemon.clientSessions, sessionId).directory(`${OUTPUT_DIRECTORY}${index}`);
    },
    push: (name, ids) =>
      pushed(name, async (reference, options) => {
        const forms = ids.flatMap((id) => daemon.images.stored(id) ?? []);
        if (forms.length !== ids.length) throw new LighterError("not-found", `tag does not exist: ${name}`);
        const { digest } =
          forms.length === 1
            ? await pushImage(daemon.images, forms[0]!, reference, options)
            : await pushIndex(daemon.images, forms, reference, options);
        return digest;
      }),
    pushComposed: (name, image, isUntagged) =>
      pushed(name, ({ tag }, options) => pushComposed(image, isUntagged ? undefined : tag, options)),
  };
}
