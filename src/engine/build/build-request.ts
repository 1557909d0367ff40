/** What a build is asked for. */
import type { Duplex } from "node:stream";
import type { LighterError } from "../../base/errors.ts";
import type { Entitlement, PlanOptions, Vertex } from "../../build/mod.ts";
import type { PullEvent } from "../../image/mod.ts";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { ImageDocument, Platform } from "../../spec/oci-image.ts";
import type { BuildFailure, SolveStatus } from "../../spec/solve-status.ts";
import type { CacheExport, CacheImport } from "../cache/cache-request.ts";
import type { BuildOutput } from "../outputs/output-options.ts";
import type { ProvenanceOptions } from "../outputs/provenance.ts";
import type { ContextFile, ContextRequest, NamedContext, OpenLayout, ServedFiles } from "./build-sources.ts";
import type { OutputTargets } from "./export-build.ts";
import type { StepFailed } from "./step-failed.ts";
import type { StepTerminal } from "./step-shell.ts";

/** What commands get of the client, and what never is in a layer or a key. */
export interface BuildInputs {
  /** The secret's bytes; undefined if the client has none of that id. */
  secret(id: string): Promise<Uint8Array | undefined>;
  /** Connects to an agent; undefined if the client forwards none of that id. Called before the step, and once for each connection. */
  ssh(id: string): Promise<Duplex | undefined>;
  /** Gives a command that has failed somebody to look around where it was; undefined: nobody wants to. */
  debug?(failed: Pick<StepFailed, "command" | "exitCode">): Promise<StepTerminal | undefined>;
}

/** A client that gives nothing. */
export const NO_INPUTS: BuildInputs = { secret: async () => undefined, ssh: async () => undefined };

/** What a build has made, before it goes to where it is asked for. */
export interface BuildResult {
  platform: Platform;
  /** The snapshot of the root file system; "" is an empty one. It is held during the call. */
  root: string;
  /** What it was made of, and the names of the steps for people. */
  vertex: Vertex;
  names: ReadonlyMap<Vertex, string>;
  /** What an image of it says. */
  document: Omit<ImageDocument, "rootfs">;
}

export interface BuildRequest
  extends ContextRequest,
    Omit<
      PlanOptions,
      | "resolveImage"
      | "resolveLayout"
      | "platform"
      | "targetPlatform"
      | "showsPlatform"
      | "isClassic"
      | "settings"
      | "entitlements"
    > {
  /** The path of the Dockerfile. */
  dockerfile: string;
  /** In place of a context that holds the Dockerfile: both are asked for as they are needed. */
  served?: ServedFiles;
  /** Gives a directory of the client by its name, as a tar. */
  namedContext?: NamedContext;
  openLayout?: OpenLayout;
  contextFile?: ContextFile;
  /** What the client calls the build, so that it may cancel it. */
  id?: string | undefined;
  /** The id of its record; undefined: a new one. */
  ref?: string;
  /** What commands see as the name of their host; undefined: the usual one. */
  hostname?: string | undefined;
  tags: readonly string[];
  /** What is made; undefined: an image. */
  outputs?: readonly BuildOutput[] | undefined;
  /** Where that goes which does not stay here. */
  targets?: OutputTargets | undefined;
  /** Where steps are looked for that are not here. */
  cacheImports?: readonly CacheImport[];
  /** Where what was done is left for others. */
  cacheExports?: readonly CacheExport[];
  /** Whether the image has the cache of its own steps with it. */
  hasInlineCache?: boolean;
  /** How the image's origin is described where there is room for it; undefined: it is not. */
  provenance?: ProvenanceOptions | undefined;
  /** Where the client has the context from: a repository's "source" and "revision". */
  vcs?: ReadonlyMap<string, string>;
  /** Hears what clients are told about what was made, under BuildKit's names. */
  onAnswer?: (name: string, value: string) => void;
  noCache: boolean;
  /** The names of stages of whose steps the cache is not used. */
  noCacheStages?: readonly string[];
  /** The limits and other settings of steps' containers. */
  hostConfig: DockerHostConfig;
  /** Secrets and agents of the client, if it has any. */
  inputs?: BuildInputs;
  /** What the Dockerfile may ask for beyond what a container may do; by default, nothing. */
  entitlements?: ReadonlySet<Entitlement>;
  /** The platforms that are built for; undefined: the one that builds. */
  targetPlatforms?: readonly Platform[] | undefined;
  /** Makes sure that the image is in the store, for a platform if one is wanted. Resolves with its id. */
  fetchImage: (
    reference: string,
    onEvent: (event: PullEvent) => void,
    platform: Platform | undefined,
  ) => Promise<string>;
  /** Aborts when nobody wants the build any more: nothing that is asked of the client goes on then, either. */
  signal: AbortSignal;
  /** Aborts `signal`. */
  cancel: (reason: LighterError) => void;
  /** Receives Docker's texts for people. */
  say: (text: string) => void;
  /** Hears of the result, and of that for each platform, before it is exported. */
  onResult?: (result: BuildResult) => void;
  /** Hears the id of the image before these say that it was built. */
  onImage?: (id: string) => void;
  /** Receives the progress of the graph's steps, and of the rest. */
  onStatus: (status: SolveStatus) => void;
  /** Whether each step on the way to the image has an image, too. */
  hasStepImages: boolean;
  /** Whether the Dockerfile is checked, too. */
  wantsWarnings: boolean;
  /** Hears where the build has failed, before `build` rejects. */
  onFailure: (failure: BuildFailure) => void;
}
