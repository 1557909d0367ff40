/** Walks what is selected of a source: all of it, or what patterns choose. */
import { fstatSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import { LAYER_MAX_ENTRIES, LAYER_PATH_MAX_DEPTH } from "../../base/limits.ts";
import { showPath } from "../../linux/sys/fs.ts";
import { closeAll, type Found, lookup, namesIn } from "../tree/layered-fs.ts";
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
  found: Found;
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
  entry: WalkEntry;
  /** Whether the visitor knows of it. */
  isTold: boolean;
}

/** Closes nothing of the source. @throws LighterError for what is too deep or too much; what the visitor throws. */
export function walk(source: Found, selection: Selection, visitor: Visitor, beat: () => void): void {
  const levels: Level[] = [];
  let count = 0;

  function tell(): void {
    for (const level of levels) {
      if (!level.isTold) visitor.directory(level.entry, true);
      level.isTold = true;
    }
  }

  function visit(entry: WalkEntry): void {
    beat();
    const { path, found } = entry;
    if (++count > LAYER_MAX_ENTRIES) throw new LighterError("invalid", `more than ${LAYER_MAX_ENTRIES} files`);
    const isChosen = path === "" || isSelected(path, selection);
    if (isChosen) tell();
    if (!found.stat.isDirectory()) {
      if (isChosen) visitor.leaf(entry);
      return;
    }
    if (levels.length >= LAYER_PATH_MAX_DEPTH)
      throw new LighterError("invalid", `"${showPath(path)}" is deeper than ${LAYER_PATH_MAX_DEPTH} directories`);
    if (isChosen) visitor.directory(entry, false);
    const level = { entry, isTold: isChosen };
    levels.push(level);
    for (const name of [...namesIn(found.fds)].sort()) {
      const child = lookup(found.fds, name);
      if (child === undefined) continue; // it is whited out
      try {
        visit({ path: path === "" ? name : `${path}/${name}`, found: child });
      } finally {
        closeAll(child.fds);
      }
    }
    levels.pop();
    if (level.isTold) visitor.leave(entry);
  }

  visit({ path: "", found: { fds: source.fds, stat: fstatSync(source.fds[0]!) } });
}

function isSelected(path: string, { isIncluded, isExcluded }: Selection): boolean {
  if (isIncluded === undefined && isExcluded === undefined) return true;
  const text = textOfPath(path);
  return isIncluded?.(text) !== false && isExcluded?.(text) !== true;
}
