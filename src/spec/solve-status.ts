/**
 * The progress of a build, as BuildKit's clients print it in JSON. A vertex is sent whole each time it changes.
 * Source: moby/buildkit client/graph.go (names of fields).
 */

export interface SolveStatus {
  vertexes?: SolveVertex[];
  statuses?: VertexStatus[];
  logs?: VertexLog[];
  warnings?: VertexWarning[];
}

/** A step, or something else that a build does. Times are RFC 3339. */
export interface SolveVertex {
  digest: string;
  inputs?: string[];
  name: string;
  started?: string;
  completed?: string;
  cached?: boolean;
  error?: string;
  /** What it is shown as a part of. */
  progressGroup?: { id: string; name: string; weak: boolean };
}

/** A part of what a vertex does: a transfer, a layer. */
export interface VertexStatus {
  id: string;
  vertex: string;
  name?: string;
  total?: number;
  current: number;
  timestamp: string;
  started?: string;
  completed?: string;
}

/** What a vertex has printed. */
interface VertexLog {
  vertex: string;
  /** 1 is stdout, 2 stderr. */
  stream: number;
  /** Base64. */
  data: string;
  timestamp: string;
}

/** What is doubtful in the Dockerfile. Texts are base64. */
export interface VertexWarning {
  vertex: string;
  level: number;
  short: string;
  detail?: string[];
  url?: string;
  range?: { start: { line: number }; end: { line: number } }[];
}

/** The media type that a client of POST /build accepts in order to be sent these. */
export const SOLVE_STATUS_TYPE = "application/vnd.lighter.solve-status+json";
/** The `id` of a message that carries a `SolveStatus`, of one that says what was made, and of one that shows what has failed. */
export const SOLVE_STATUS_ID = "lighter.solve-status";
export const BUILD_RESULT_ID = "lighter.build-result";
/** The same for one that says that a shell waits where a command has failed: all that the command has said was told before. */
export const BUILD_SHELL_ID = "lighter.build-shell";
export const BUILD_FAILURE_ID = "lighter.build-failure";

/** Where a build has failed. */
export interface BuildFailure {
  /** The step that has failed, if it is one that has. */
  vertex?: string;
  /** The lines of the Dockerfile that it is about, with their neighbours. */
  excerpt?: string;
  /** Their numbers, from 1 on. */
  ranges?: readonly { start: number; end: number }[];
}
