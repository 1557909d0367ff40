/** COPY and ADD as operations. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import type { Add, Copy } from "../dockerfile/types.ts";
import type { Op } from "./llb.ts";
import { invalid, needsBuildKit } from "./refuse.ts";

export function planCopy(transfer: Copy | Add, directory: string): Op {
  const { kind, sources, chown } = transfer;
  refuseOptions(transfer);
  const name = kind.toUpperCase();
  if (kind === "add" && sources.some((source) => /^(https?|git):|^git@/.test(source)))
    throw new LighterError("not-supported", "ADD of a URL is not supported yet");
  if (sources.length > 1 && !transfer.destination.endsWith("/"))
    throw invalid(
      `When using ${name} with more than one source file, the destination must be a directory and end with a /`,
    );
  const destination = absolute(transfer.destination, directory);
  return { kind: "copy", sources, destination, owner: chown, unpack: kind === "add" };
}

/** What the classic builder of Docker refuses, too. */
function refuseOptions(transfer: Copy | Add): void {
  if (transfer.heredocs.length > 0) throw needsBuildKit("a heredoc");
  const given: Record<string, unknown> = {
    "--chmod": transfer.chmod,
    "--link": transfer.link || undefined,
    "--exclude": transfer.exclude.length > 0 || undefined,
    "--parents": (transfer.kind === "copy" && transfer.parents) || undefined,
    "--checksum": transfer.kind === "add" ? transfer.checksum : undefined,
    "--keep-git-dir": transfer.kind === "add" ? transfer.keepGitDir : undefined,
    "--unpack": transfer.kind === "add" ? transfer.unpack : undefined,
  };
  for (const [flag, value] of Object.entries(given))
    if (value !== undefined) throw needsBuildKit(`${transfer.kind.toUpperCase()} ${flag}`);
}

/** Clean, with the slash at its end that says "into". */
function absolute(path: string, directory: string): string {
  const clean = posix.resolve("/", directory, path);
  return /(^|\/)\.?$/.test(path) && clean !== "/" ? `${clean}/` : clean;
}
