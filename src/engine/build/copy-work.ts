/** What a file worker does for COPY, ADD and WORKDIR. The trees that are copied from are hostile. */
import { mkdirSync } from "node:fs";
import { join, posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import type { CopyAction, CopyOp } from "../../build/mod.ts";
import {
  ContentHash,
  copySource,
  hasWildcards,
  isArchive,
  isDirectory,
  LayerTarget,
  LayerTree,
  openMatches,
  openSource,
  type Selection,
  type Source,
  type SourceTree,
  SpooledTree,
  timeOf,
  unpackSource,
} from "../../image/mod.ts";
import { type BytePath, bytePath } from "../../linux/sys/fs.ts";
import { compileIgnorePatterns } from "../../spec/docker-ignore.ts";
import { parseModeChange } from "../../spec/file-mode.ts";
import type { CopyArgument, CopyInputs, TreePlace } from "./build-jobs.ts";

/** Computes the digest of all that is copied: if it is the same, the copy is. */
export function hashSources(inputs: CopyInputs, beat: () => void): string {
  const { op } = inputs;
  const hash = new ContentHash(beat);
  using trees = new OpenTrees(inputs.trees);
  for (const [index, action] of op.actions.entries())
    for (const { source } of sourcesOf(inputs, trees.of(action.input), action)) {
      hash.note(`${index} ${source.path}`);
      hash.add(source.entry, selectionOf(op, action));
    }
  return hash.digest();
}

/** Makes the new layer. @throws LighterError with Docker's words */
export async function copySources(argument: CopyArgument, beat: () => void): Promise<null> {
  const { op, upper } = argument;
  const below = op.isLink ? [] : argument.below;
  using target = new LayerTarget(upper, below);
  await copyInto(target, argument, beat);
  return null;
}

/** Copies into a layer that is being made. */
export async function copyInto(target: LayerTarget, argument: CopyArgument, beat: () => void): Promise<void> {
  const { op, owner, upper, workPath } = argument;
  const below = op.isLink ? [] : argument.below;
  using trees = new OpenTrees(argument.trees);
  const { mtimeNs } = op;
  if (op.needsParent === true) requireParent(target, op.destination);
  const changeMode = op.mode === undefined ? undefined : parseModeChange(op.mode);
  const isSeveral = op.actions.length > 1;
  let count = 0;
  for (const action of op.actions)
    for (const { source, isOneOfMany } of sourcesOf(argument, trees.of(action.input), action)) {
      const destination = destinationOf(target, op, action, source);
      const stagingPath = join(workPath, `unpacked-${count++}`);
      if (action.unpack && (await isArchive(source.entry))) {
        mkdirSync(stagingPath, { mode: 0o755 });
        const options = {
          destination,
          owner: owner ?? { uid: 0, gid: 0 },
          stagingPath,
          layerPaths: { upper, lower: below },
        };
        await unpackSource(target, source.entry, options, beat);
        continue;
      }
      const time = mtimeNs === undefined ? undefined : timeOf(BigInt(mtimeNs));
      const options = { ...selectionOf(op, action), owner: owner ?? undefined, changeMode, time };
      copySource(target, source, destination, { ...options, mustBeInto: isSeveral || isOneOfMany }, beat);
    }
}

function requireParent(target: LayerTarget, destination: string): void {
  const { missing, name } = target.resolve(bytePath(posix.dirname(destination)));
  if (missing.length > 0 || name !== undefined)
    throw new LighterError("invalid", `failed to stat ${posix.dirname(destination)}: no such file or directory`);
}

/** A directory that is copied itself goes, with its name, into one that is there. */
function destinationOf(target: LayerTarget, op: CopyOp, action: CopyAction, { entry, path }: Source): BytePath {
  const destination = bytePath(op.destination);
  if (action.keepsDirectory !== true || !isDirectory(entry)) return destination;
  const isThere = target.resolve(destination).missing.length === 0;
  return isThere ? (posix.join(destination, posix.basename(path)) as BytePath) : destination;
}

export function makeDirectoryIn(path: string, layers: readonly string[], upper: string): null {
  using target = new LayerTarget(upper, layers);
  target.directory(bytePath(path), { uid: 0, gid: 0 });
  return null;
}

function selectionOf({ exclude }: CopyOp, { include }: CopyAction): Selection {
  return {
    isIncluded: include.length === 0 ? undefined : compileIgnorePatterns(include).excludes,
    isExcluded: exclude.length === 0 ? undefined : compileIgnorePatterns(exclude).excludes,
  };
}

export function openTree(place: TreePlace): SourceTree {
  return "spoolPath" in place ? new SpooledTree(place.spoolPath) : new LayerTree(place.layers);
}

/** Opens each tree when it is first needed. */
class OpenTrees implements Disposable {
  readonly #places: readonly TreePlace[];
  readonly #trees = new Map<number, SourceTree>();
  readonly #open = new DisposableStack();

  constructor(places: readonly TreePlace[]) {
    this.#places = places;
  }

  of(input: number): SourceTree {
    const tree = this.#trees.get(input) ?? this.#open.use(openTree(this.#places[input]!));
    this.#trees.set(input, tree);
    return tree;
  }

  [Symbol.dispose](): void {
    this.#open.dispose();
  }
}

/** Opens the sources of an action one after the other, each until the next one is asked for. */
function* sourcesOf(
  { op, contextInput }: CopyInputs,
  from: SourceTree,
  action: CopyAction,
): Generator<{ source: Source; isOneOfMany: boolean }> {
  const isMany = action.isPattern && hasWildcards(action.source);
  try {
    if (action.required !== undefined) openSource(from, bytePath(action.required)).entry.close();
    const isFollowed = action.keepsSymlink !== true;
    const sources = isMany
      ? openMatches(from, action.source, isFollowed)
      : [openSource(from, bytePath(action.source), isFollowed)];
    let count = 0;
    for (const source of sources) {
      try {
        yield { source, isOneOfMany: count++ > 0 };
      } finally {
        source.entry.close();
      }
    }
    if (count === 0 && op.actions.length === 1 && action.mayBeNothing !== true)
      throw new LighterError("invalid", "no source files were specified");
  } catch (error) {
    if (!(error instanceof LighterError) || error.code === "kernel") throw error;
    const where = action.input === contextInput ? "file not found in build context or excluded by .dockerignore: " : "";
    const message = error.code === "not-found" ? `${where}${error.message}` : error.message;
    throw new LighterError("invalid", `${op.instruction} failed: ${message}`, { cause: error });
  }
}
