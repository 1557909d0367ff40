/**
 * Instructions with their variables' values: which of their words hold variables at all.
 * Source: moby/buildkit instructions/commands.go, the methods named Expand; Dockerfile reference, "Environment replacement".
 */
import { parseMount } from "./mount.ts";
import type { Add, Copy, Dockerfile, Instruction } from "./types.ts";
import { type AskedFor, expandWord, expandWords, type Variables } from "./words.ts";

export interface Scope {
  variables: Variables;
  /** The Dockerfile's escape character. */
  escape: Dockerfile["escape"];
  /** Takes the names that the words ask for. */
  asked?: AskedFor;
}

/**
 * The instruction with its variables replaced and its quotes removed. FROM sees global arguments only, the value of an
 * ARG counts only if the build gives none, and ONBUILD's trigger is an instruction of another build: these stay as they are.
 * @throws LighterError ("invalid"), with BuildKit's words.
 */
export function expandInstruction<T extends Instruction>(instruction: T, scope: Scope): T;
export function expandInstruction(instruction: Instruction, scope: Scope): Instruction {
  const word = (text: string) => expandWord(text, scope.variables, scope);
  switch (instruction.kind) {
    case "add":
      return {
        ...expandTransfer(instruction, scope, word),
        ...(instruction.checksum === undefined ? {} : { checksum: word(instruction.checksum) }),
      };
    case "copy":
      return expandTransfer(instruction, scope, word);
    case "env":
    case "label":
      return {
        ...instruction,
        pairs: instruction.pairs.map((pair) => ({ ...pair, name: word(pair.name), value: word(pair.value) })),
      };
    case "expose":
      return { ...instruction, ports: instruction.ports.flatMap((port) => expandWords(port, scope.variables, scope)) };
    case "run":
      return { ...instruction, mounts: instruction.mounts.map(({ text }) => parseMount(text, word)) };
    case "stopsignal":
      return { ...instruction, signal: word(instruction.signal) };
    case "user":
      return { ...instruction, user: word(instruction.user) };
    case "volume":
      return { ...instruction, paths: instruction.paths.map(word) };
    case "workdir":
      return { ...instruction, path: word(instruction.path) };
    default:
      return instruction;
  }
}

function expandTransfer<T extends Add | Copy>(transfer: T, scope: Scope, word: (text: string) => string): T {
  const { chown, chmod, sources, destination, exclude, heredocs } = transfer;
  return {
    ...transfer,
    ...(chown === undefined ? {} : { chown: word(chown) }),
    ...(chmod === undefined ? {} : { chmod: word(chmod) }),
    sources: sources.map(word),
    destination: word(destination),
    exclude: exclude.map(word),
    heredocs: heredocs.map((heredoc) =>
      heredoc.expand ? { ...heredoc, content: expandContent(heredoc.content, scope) } : heredoc,
    ),
  };
}

/** A file in the Dockerfile has its own quotes, and a backslash for its escape. */
function expandContent(content: string, { variables, asked }: Scope): string {
  return expandWord(content, variables, { plainQuotes: true, ...(asked === undefined ? {} : { asked }) });
}
