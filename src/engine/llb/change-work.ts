/** What a file worker does for the changes of LLB's FileOp. The paths are a client's, and the trees hostile. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { ChangeAction, CopyOp } from "../../build/mod.ts";
import {
  hasWildcards,
  LayerTarget,
  LayerTree,
  makeDirectory,
  makeFile,
  makeSymlink,
  type Owner,
  openMatches,
  removePath,
} from "../../image/mod.ts";
import { type BytePath, bytePath } from "../../linux/sys/fs.ts";
import type { ChangeArgument } from "../build/build-jobs.ts";
import { copyInto } from "../build/copy-work.ts";

/** Makes the new layer. @throws LighterError */
export async function changeFiles(argument: ChangeArgument, beat: () => void): Promise<null> {
  const { actions, owners, trees, contextInput, below, upper } = argument;
  using target = new LayerTarget(upper, below);
  for (const [index, action] of actions.entries()) {
    beat();
    const owner = owners[index] ?? null;
    if (action.kind !== "copy") {
      change(target, action, { owner: owner ?? { uid: 0, gid: 0 }, layers: [upper, ...below] });
      continue;
    }
    const workPath = join(argument.workPath, `action-${index}`);
    mkdirSync(workPath);
    await copyInto(target, { op: action, trees, contextInput, below, owner, upper, workPath }, beat);
  }
  return null;
}

function change(
  target: LayerTarget,
  action: Exclude<ChangeAction, CopyOp>,
  { owner, layers }: { owner: Owner; layers: readonly string[] },
): void {
  const { path } = action;
  if (action.kind === "remove") {
    const isMany = action.allowWildcard && hasWildcards(path);
    const paths = isMany ? matchesOf(layers, path) : [bytePath(path)];
    for (const each of paths) removePath(target, each, action);
    return;
  }
  const entry = { owner, mtimeNs: action.mtimeNs === undefined ? undefined : BigInt(action.mtimeNs) };
  if (action.kind === "make-symlink") {
    makeSymlink(target, path, action.target, { ...entry, mode: 0o777 });
    return;
  }
  const whole = { ...entry, mode: action.mode };
  if (action.kind === "make-file") makeFile(target, path, Buffer.from(action.content, "base64"), whole);
  else makeDirectory(target, path, { ...whole, makesParents: action.makesParents });
}

function matchesOf(layers: readonly string[], pattern: string): BytePath[] {
  const paths: BytePath[] = [];
  for (const source of openMatches(new LayerTree(layers), pattern, false)) {
    paths.push(source.path);
    source.entry.close();
  }
  return paths;
}
