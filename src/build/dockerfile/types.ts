/**
 * A parsed Dockerfile: stages of instructions, each with the lines in which it was written. Words keep their variables and quotes
 * until `expandInstruction` resolves them: their values depend on the stage so far.
 * Sources: Dockerfile reference; moby/buildkit frontend/dockerfile/instructions (what the fields are called there).
 */

/** Lines of the Dockerfile, counted from 1, both included. */
export interface SourceRange {
  start: number;
  end: number;
}

/** A violated rule of the build checks. */
export interface Warning {
  /** The check's name, as in `# check=skip=`: "StageNameCasing". */
  rule: string;
  description: string;
  url: string;
  message: string;
  ranges: SourceRange[];
}

export interface Heredoc {
  /** The word that ends it, which is also the name of the file that COPY makes of it. */
  name: string;
  content: string;
  /** True if variables in it are replaced: the word was written without quotes. */
  expand: boolean;
  /** True for `<<-`: tabs at the beginning of lines have been removed. */
  chomp: boolean;
}

/** The command of RUN, CMD, ENTRYPOINT or HEALTHCHECK CMD. */
export interface CommandLine {
  /** "shell": one text, which follows the words of SHELL; "exec": executed directly, as listed. */
  form: "shell" | "exec";
  words: string[];
  /** The heredocs of a RUN; others have none. A text that is only the beginning of a heredoc means its content. */
  heredocs: Heredoc[];
}

interface Written {
  range: SourceRange;
  /** Its name as written: "run", "Run". */
  keyword: string;
  /** Its lines, joined, without comments: histories and steps show it. */
  original: string;
  /** The comment lines right above it, without "#": they describe a stage or an argument. */
  comments: string[];
}

export interface Pair {
  name: string;
  value: string;
  /** Written "NAME value", without "=". */
  isLegacy: boolean;
}

export type MountType = "bind" | "cache" | "tmpfs" | "secret" | "ssh";

/** One `RUN --mount`. Fields with variables are valid after `expandInstruction` only. */
export interface Mount {
  /** The text after "--mount=". */
  text: string;
  type: MountType;
  from?: string;
  source?: string;
  target?: string;
  readOnly: boolean;
  /** The size of a tmpfs in bytes; undefined means no limit. */
  sizeBytes?: number;
  sharing?: "shared" | "private" | "locked";
  /** The id of a cache, secret or agent; a secret's default is the last part of its target. */
  id?: string;
  required: boolean;
  /** The variable in which a secret is passed. */
  env?: string;
  mode?: number;
  uid?: number;
  gid?: number;
}

export interface From extends Written {
  kind: "from";
  image: string;
  /** The name after AS, in lower case. */
  name?: string;
  /** The name after AS, as written. */
  nameWritten?: string;
  /** The word AS as written. */
  asWritten?: string;
  platform?: string;
  /** From the comment above: "# NAME what it is". */
  description: string;
}

export interface Arg extends Written {
  kind: "arg";
  /** Arguments; one without a value has the value that the build was given. */
  args: { name: string; value?: string; description: string }[];
}

interface Transfer extends Written {
  sources: string[];
  /** Files that are written in the Dockerfile itself. */
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
  /** Undefined means that only local archives are unpacked. */
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
  /** "none" turns the base image's check off. */
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
  /** The index among the stages, from 0: `COPY --from=0`. */
  index: number;
  from: From;
  /** The instructions after FROM. */
  instructions: Exclude<Instruction, From>[];
}

export interface Dockerfile {
  /** The character that continues a line and makes the next character literal. */
  escape: "\\" | "`";
  /** The value of `# syntax=`. */
  syntax?: string;
  /** The value of `# check=`. */
  check?: string;
  /** ARGs before the first FROM: for FROM alone, and for stages that repeat their names. */
  globalArgs: Arg[];
  stages: Stage[];
  /** Where an instruction goes on past an empty line, which will be an error one day. */
  emptyContinuations: SourceRange[];
}
