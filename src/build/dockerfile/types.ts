/**
 * A Dockerfile after parsing: stages of instructions, each with the lines that it was written in. Words hold their
 * variables and quotes until `expandInstruction` takes them away: what they are worth depends on the stage so far.
 * Sources: Dockerfile reference; moby/buildkit frontend/dockerfile/instructions (what the fields are called there).
 */

/** Lines of the Dockerfile, counted from 1, both included. */
export interface SourceRange {
  start: number;
  end: number;
}

/** A rule of the build checks that does not hold, or a remark of the parser. */
export interface Warning {
  /** The check's name as in `# check=skip=`: "StageNameCasing". */
  rule: string;
  description: string;
  url: string;
  message: string;
  ranges: SourceRange[];
}

export interface Heredoc {
  /** The word that ends it: also the name of the file that COPY makes of it. */
  name: string;
  content: string;
  /** Whether variables in it are replaced: the word was written without quotes. */
  expand: boolean;
  /** `<<-`: tabs at the beginning of its lines have been taken away. */
  chomp: boolean;
}

/** Of RUN, CMD, ENTRYPOINT and HEALTHCHECK CMD. */
export interface CommandLine {
  /** "shell": one text, which follows the words of SHELL; "exec": executed as it is listed. */
  form: "shell" | "exec";
  words: string[];
  /** Of RUN alone. A text that is nothing but one heredoc's beginning means that heredoc's content. */
  heredocs: Heredoc[];
}

interface Written {
  range: SourceRange;
  /** Its lines, joined, without comments: what histories and steps show. */
  original: string;
  /** Comment lines right above it, without "#": they describe a stage or an argument. */
  comments: string[];
}

export interface Pair {
  name: string;
  value: string;
}

export type MountType = "bind" | "cache" | "tmpfs" | "secret" | "ssh";

/** One `RUN --mount`. Fields that hold variables are right after `expandInstruction` only. */
export interface Mount {
  /** As written after "--mount=". */
  text: string;
  type: MountType;
  from?: string;
  source?: string;
  target?: string;
  readOnly: boolean;
  /** Of tmpfs, in bytes; undefined: as much as there is. */
  sizeBytes?: number;
  cacheId?: string;
  sharing?: "shared" | "private" | "locked";
  /** A secret's or an agent's id; a secret's default is the last part of its target. */
  id?: string;
  required: boolean;
  /** The variable that a secret is passed in. */
  env?: string;
  mode?: number;
  uid?: number;
  gid?: number;
}

export interface From extends Written {
  kind: "from";
  image: string;
  /** After AS, in lower case. */
  name?: string;
  /** After AS, as written. */
  nameWritten?: string;
  platform?: string;
}

export interface Arg extends Written {
  kind: "arg";
  /** Without a value: what the build was given. */
  args: { name: string; value?: string }[];
}

interface Transfer extends Written {
  sources: string[];
  /** Files that are written down in the Dockerfile. */
  heredocs: Heredoc[];
  destination: string;
  chown?: string;
  chmod?: string;
  link: boolean;
  exclude: string[];
}

export interface Copy extends Transfer {
  kind: "copy";
  from?: string;
  parents: boolean;
}

export interface Add extends Transfer {
  kind: "add";
  checksum?: string;
  keepGitDir?: boolean;
  /** Undefined: local archives only. */
  unpack?: boolean;
}

export interface Run extends Written {
  kind: "run";
  command: CommandLine;
  mounts: Mount[];
  network: "default" | "none" | "host";
  security: "sandbox" | "insecure";
  /** `--device`, as written. */
  devices: string[];
}

export interface Healthcheck extends Written {
  kind: "healthcheck";
  /** "none": the base image's check is switched off. */
  test: "none" | CommandLine;
  intervalNs?: bigint;
  timeoutNs?: bigint;
  startPeriodNs?: bigint;
  startIntervalNs?: bigint;
  retries?: number;
}

export type Instruction =
  | From
  | Arg
  | Copy
  | Add
  | Run
  | Healthcheck
  | (Written & { kind: "cmd" | "entrypoint"; command: CommandLine })
  | (Written & { kind: "env" | "label"; pairs: Pair[] })
  | (Written & { kind: "expose"; ports: string[] })
  | (Written & { kind: "volume"; paths: string[] })
  | (Written & { kind: "shell"; words: string[] })
  | (Written & { kind: "maintainer"; name: string })
  | (Written & { kind: "onbuild"; trigger: string })
  | (Written & { kind: "stopsignal"; signal: string })
  | (Written & { kind: "user"; user: string })
  | (Written & { kind: "workdir"; path: string });

export type InstructionKind = Instruction["kind"];

export interface Stage {
  /** Position among the stages, from 0: `COPY --from=0`. */
  index: number;
  from: From;
  /** What follows FROM. */
  instructions: Exclude<Instruction, From>[];
}

export interface Dockerfile {
  /** The character that continues a line, and takes away another's meaning. */
  escape: "\\" | "`";
  /** Of `# syntax=`. */
  syntax?: string;
  /** Of `# check=`. */
  check?: string;
  /** ARG before the first FROM: for FROM alone, and for stages that name them anew. */
  globalArgs: Arg[];
  stages: Stage[];
  warnings: Warning[];
}
