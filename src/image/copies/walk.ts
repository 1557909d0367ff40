/** Walks what is selected of a source: all of it, or what patterns choose. */
import { LighterError } from "../../base/errors.ts";
import { LAYER_MAX_ENTRIES, LAYER_PATH_MAX_DEPTH } from "../../base/limits.ts";
import { showPath } from "../../linux/sys/fs.ts";
import { isDirectory, type SourceEntry } from "./source-tree.ts";
import { textOfPath } from "./sources.ts";

/** Which paths below a source are copied. They are relative to it, and text. */
export interface Selection {
  /** Undefined: everything. */
  isIncluded?: ((path: string) => boolean) | undefined;
  isExcluded?: ((path: string) => boolean) | undefined;
}

export interface WalkEntry {
  /** Relative to the source, in bytes; "" is the source itself. */
  path: string;
  entry: SourceEntry;
}

/** Is told of entries in the order of names, of a directory before what is in it. */
interface Visitor {
  /** `isImplied`: no pattern chose it, but something in it. */
  directory(entry: WalkEntry, isImplied: boolean): void;
  leaf(entry: WalkEntry): void;
  /** A directory of which `directory` was told has ended. */
  leave(entry: WalkEntry): void;
}

interface Level {
  met: WalkEntry;
  /** Whether the visitor knows of it. */
  isTold: boolean;
}

/** Closes nothing of the source. @throws LighterError for what is too deep or too much; what the visitor throws. */
export function walk(source: SourceEntry, selection: Selection, visitor: Visitor, beat: () => void): void {
  const levels: Level[] = [];
  let count = 0;

  function tell(): void {
    for (const level of levels) {
      if (!level.isTold) visitor.directory(level.met, true);
      level.isTold = true;
    }
  }

  function visit(met: WalkEntry): void {
    beat();
    const { path, entry } = met;
    if (++count > LAYER_MAX_ENTRIES) throw new LighterError("invalid", `more than ${LAYER_MAX_ENTRIES} files`);
    const isChosen = path === "" || isSelected(path, selection);
    if (isChosen) tell();
    if (!isDirectory(entry)) {
      if (isChosen) visitor.leaf(met);
      return;
    }
    if (levels.length >= LAYER_PATH_MAX_DEPTH)
      throw new LighterError("invalid", `"${showPath(path)}" is deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
    if (isChosen) visitor.directory(met, false);
    const level = { met, isTold: isChosen };
    levels.push(level);
    for (const name of entry.names()) {
      const child = entry.child(name);
      if (child === undefined) continue; // it is whited out
      try {
        visit({ path: path === "" ? name : `${path}/${name}`, entry: child });
      } finally {
        child.close();
      }
    }
    levels.pop();
    if (level.isTold) visitor.leave(met);
  }

  visit({ path: "", entry: source });
}

function isSelected(path: string, { isIncluded, isExcluded }: Selection): boolean {
  if (isIncluded === undefined && isExcluded === undefined) return true;
  const text = textOfPath(path);
  return isIncluded?.(text) !== false && isExcluded?.(text) !== true;
}
