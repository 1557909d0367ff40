/** The texts of an image's history, as in those that Docker's classic builder makes. */
import type { DockerContainerConfig } from "../../spec/docker-api.ts";
import type { Instruction } from "../dockerfile/types.ts";

export const SHELL_OF_IMAGES = ["/bin/sh", "-c"];

/** A step of a history in which no command ran: Docker has two spaces before what only changes the config. */
export function noted({ Shell }: DockerContainerConfig, text: string): string {
  return `${(Shell ?? SHELL_OF_IMAGES).join(" ")} #(nop)${text}`;
}

/** As Docker's histories have it. */
export function textOf(instruction: Instruction, { Cmd, Entrypoint }: DockerContainerConfig): string {
  switch (instruction.kind) {
    case "cmd":
      return `CMD ${quoted(Cmd)}`;
    case "entrypoint":
      return `ENTRYPOINT ${quoted(Entrypoint)}`;
    case "env":
    case "label":
      return `${instruction.kind.toUpperCase()} ${instruction.pairs.map(({ name, value }) => `${name}=${value}`).join(" ")}`;
    case "expose":
      return `EXPOSE ${[...instruction.ports].sort().join(" ")}`;
    case "user":
      return `USER ${instruction.user}`;
    case "volume":
      return `VOLUME [${instruction.paths.join(" ")}]`;
    case "shell":
      return `SHELL [${instruction.words.join(" ")}]`;
    default:
      return instruction.original;
  }
}

/** As Go's %q of a list. */
function quoted(words: readonly string[] | null | undefined): string {
  return `[${(words ?? []).map((word) => JSON.stringify(word)).join(" ")}]`;
}
