/**
 * Answers questions about host paths that a client has named. A path that may lead to a file system that does not answer is
 * examined by a file worker, which waits in the daemon's place.
 */
import { LighterError, messageOf } from "../../base/errors.ts";
import type { FileWorkers } from "../../files/mod.ts";
import { isLocalPath, type MountTypes, readMountTypes } from "../../linux/mount/local-path.ts";
import type { HostProbe } from "../config/mod.ts";
import { probeJob, type Question } from "../files/file-jobs.ts";

/** An error that stops a plan which needs an answer first. */
class Unanswered extends Error {
  constructor(readonly question: Question) {
    super("a host path is still to be asked");
  }
}

type Answer = { value: unknown } | { error: unknown };

/**
 * Calls `plan`, and calls it anew for each answer that it has had to wait for: so it has no effects of its own.
 * @throws what `plan` throws; LighterError "unavailable" that names the path of a file system that does not answer
 */
export async function planPatiently<T>(
  { probe, workers }: { probe: HostProbe; workers: FileWorkers },
  plan: (probe: HostProbe) => T,
): Promise<T> {
  const answers = new Map<string, Answer>();
  const asking = new AskingProbe(probe, answers);
  for (;;) {
    try {
      return plan(asking);
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      answers.set(keyOf(error.question), await askWorker(workers, error.question));
    }
  }
}

function keyOf(question: Question): string {
  return JSON.stringify(question);
}

async function askWorker(workers: FileWorkers, question: Question): Promise<Answer> {
  try {
    return { value: await aboutPath(question.paths[0]!, workers.run(probeJob, seenByWorker(question))) };
  } catch (error) {
    return { error };
  }
}

/** Waits for work on a path. @throws its error, with the path if it names none: "unavailable" */
export async function aboutPath<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof LighterError && error.code === "unavailable")) throw error;
    throw new LighterError("unavailable", `look at "${path}": ${messageOf(error)}`, { cause: error });
  }
}

/** Rewrites a question for a worker: a path that only we have open has another name there. */
function seenByWorker({ ask, paths }: Question): Question {
  return { ask, paths: paths.map((path) => path.replace(/^\/proc\/self\//, `/proc/${process.pid}/`)) };
}

class AskingProbe implements HostProbe {
  readonly #probe: HostProbe;
  readonly #answers: ReadonlyMap<string, Answer>;
  #mounts: MountTypes | undefined;

  constructor(probe: HostProbe, answers: ReadonlyMap<string, Answer>) {
    this.#probe = probe;
    this.#answers = answers;
  }

  fileType(path: string) {
    return this.#ask("fileType", [path], path);
  }

  fileTypeBeneath(directory: string, path: string) {
    return this.#ask("fileTypeBeneath", [directory, path], `${directory}/${path}`);
  }

  device(path: string) {
    return this.#ask("device", [path], path);
  }

  /** Lists devices, always by a worker: what is mounted below is asked, too. */
  devicesBelow(directory: string) {
    return this.#ask("devicesBelow", [directory], undefined);
  }

  propagation(path: string) {
    return this.#ask("propagation", [path], path);
  }

  /** Asks a question. `way`: the path to look up, if that may be done here. */
  #ask<K extends Question["ask"]>(
    ask: K,
    paths: Parameters<HostProbe[K]>,
    way: string | undefined,
  ): ReturnType<HostProbe[K]> {
    this.#mounts ??= readMountTypes();
    const question = { ask, paths } as Question;
    const answer = this.#answers.get(keyOf(question));
    if (answer === undefined) {
      if (way === undefined || !isLocalPath(way, this.#mounts)) throw new Unanswered(question);
      return answerTo(this.#probe, question) as ReturnType<HostProbe[K]>;
    }
    if ("error" in answer) throw answer.error;
    return answer.value as ReturnType<HostProbe[K]>;
  }
}

export function answerTo(probe: HostProbe, { ask, paths }: Question): unknown {
  return (probe[ask] as (...paths: string[]) => unknown).apply(probe, paths);
}
