/** A Dockerfile's text as stages of instructions. Pure; time grows with the text, and errors name lines. */
import { LighterError } from "../../base/errors.ts";
import { BUILD_STAGES_MAX } from "../../base/limits.ts";
import { DockerfileError } from "./error.ts";
import { parseInstruction } from "./instructions.ts";
import { type Line, readLines } from "./lines.ts";
import type { Dockerfile, Instruction } from "./types.ts";

/** @throws DockerfileError, with BuildKit's words. */
export function parse(text: string): Dockerfile {
  if (text === "") throw new DockerfileError("the Dockerfile cannot be empty", []);
  const { lines, directives, escape: escapeChar, emptyContinuations } = readLines(text);
  const [syntax, check] = [directives.get("syntax"), directives.get("check")];
  const dockerfile: Dockerfile = {
    escape: escapeChar,
    ...(syntax === undefined ? {} : { syntax }),
    ...(check === undefined ? {} : { check }),
    globalArgs: [],
    stages: [],
    emptyContinuations,
  };
  if (lines.length === 0) throw new DockerfileError("file with no instructions", []);
  for (const line of lines) add(dockerfile, parseLine(line, escapeChar));
  if (dockerfile.stages.length === 0) throw new DockerfileError("dockerfile contains no stages to build", []);
  return dockerfile;
}

function parseLine(line: Line, escapeChar: string): Instruction {
  try {
    return parseInstruction(line, escapeChar);
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    throw new DockerfileError(`dockerfile parse error on line ${line.range.start}: ${error.message}`, [line.range]);
  }
}

function add({ stages, globalArgs }: Dockerfile, instruction: Instruction): void {
  if (instruction.kind === "from") {
    if (stages.length >= BUILD_STAGES_MAX)
      throw new DockerfileError(`more than ${BUILD_STAGES_MAX} stages`, [instruction.range]);
    stages.push({ index: stages.length, from: instruction, instructions: [] });
    return;
  }
  const stage = stages.at(-1);
  if (stage !== undefined) stage.instructions.push(instruction);
  else if (instruction.kind === "arg") globalArgs.push(instruction);
  else throw new DockerfileError("no build stage in current context", [instruction.range]);
}
