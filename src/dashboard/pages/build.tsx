/** One build: its steps beside the time that they took, and what each has printed. */
import { useEffect, useState } from "preact/hooks";
import { parseAnsi } from "../ansi.ts";
import { type BuildStep, BuildSteps } from "../build-steps.ts";
import { formatAge, formatSeconds, plain, shortId } from "../format.ts";
import { Empty, Pending, useAnswer, useNow } from "../parts/basics.tsx";
import { BuildState, type BuildSummary, CancelButton } from "../parts/build-state.tsx";
import { linkTo, route } from "../route.ts";
import { get } from "../session.ts";
import { ask, onBuild } from "../watch.ts";

export function Build() {
  const [, id = ""] = route.value;
  const { answer, ...asked } = useAnswer(() => get<BuildSummary[]>("/lighter/builds"), "", ["build"]);
  const build = answer?.find(({ Id }) => Id === id);
  if (build !== undefined) return <Known key={id} build={build} />;
  return (
    <>
      <h1>Build</h1>
      {answer === undefined ? (
        <Pending what="this build" {...asked} />
      ) : (
        <Empty title="This build is not known any more">
          <p>
            The last fifty are kept: <a href={linkTo("builds")}>all builds</a>
          </p>
        </Empty>
      )}
    </>
  );
}

function Known({ build }: { build: BuildSummary }) {
  const { Id, Name, StartedMs, EndedMs, Image, Error: error } = build;
  const now = useNow(EndedMs === 0);
  const { steps, end } = useSteps(Id);
  const cached = steps.filter(({ isCached }) => isCached).length;
  return (
    <>
      <header class="head">
        <div>
          <h1>{plain(Name || Id, 80)}</h1>
          <p class="muted">
            <BuildState build={build} /> · began {formatAge((now - StartedMs) / 1000)} ago · took{" "}
            {formatSeconds(((EndedMs || now) - StartedMs) / 1000)} · {steps.length} steps, {cached} from the cache
            {Image !== "" && ` · image ${shortId(Image)}`} · {plain(Id, 40)}
          </p>
        </div>
        {EndedMs === 0 && <CancelButton id={Id} />}
      </header>
      {error !== "" && (
        <p class="failure" role="alert">
          {plain(error, 1000)}
        </p>
      )}
      {steps.length > 0 ? (
        <Steps steps={steps} fromMs={StartedMs} untilMs={EndedMs || now} />
      ) : (
        <Empty title={end ? "What it has said is not known" : "It has not begun a step yet"}>
          {end && <p>{end}</p>}
        </Empty>
      )}
    </>
  );
}

/** What the build has said until now. Messages come in batches; what is shown changes once a frame. */
function useSteps(id: string): { steps: readonly BuildStep[]; end: string } {
  const [state, setState] = useState<{ steps: readonly BuildStep[]; end: string }>({ steps: [], end: "" });
  useEffect(() => {
    let [steps, end, frame] = [new BuildSteps(), "", 0];
    const show = () => {
      frame = 0;
      setState({ steps: steps.list(), end });
    };
    const stop = onBuild((message) => {
      if (message.id !== id) return;
      if ("end" in message) end = message.end;
      else {
        if (message.past) steps = new BuildSteps();
        for (const status of message.statuses) steps.apply(status);
      }
      frame ||= requestAnimationFrame(show);
    });
    ask({ topic: "build", id });
    return () => {
      stop();
      cancelAnimationFrame(frame);
      ask({ topic: "build", id: "" });
    };
  }, [id]);
  return state;
}

function Steps({ steps, fromMs, untilMs }: { steps: readonly BuildStep[]; fromMs: number; untilMs: number }) {
  const wholeMs = Math.max(1, untilMs - fromMs);
  return (
    <ol class="panel steps" aria-label="Steps">
      {steps.map((step) => (
        <Step key={step.digest} step={step} fromMs={fromMs} untilMs={untilMs} wholeMs={wholeMs} />
      ))}
    </ol>
  );
}

interface StepProps {
  step: BuildStep;
  fromMs: number;
  untilMs: number;
  wholeMs: number;
}

function Step({ step, fromMs, untilMs, wholeMs }: StepProps) {
  const { name, startedMs, endedMs, isCached, error, text } = step;
  const [left, tookMs] = startedMs === undefined ? [0, 0] : [startedMs - fromMs, (endedMs ?? untilMs) - startedMs];
  const line = (
    <>
      <Mark step={step} />
      <code class="step-name">{plain(name, 200)}</code>
      {isCached && <span class="badge healthy">cache</span>}
      <span class="course" aria-hidden="true">
        {startedMs !== undefined && (
          <span
            class={isCached ? "cached" : error !== "" ? "failed" : ""}
            style={{ left: `${(100 * left) / wholeMs}%`, width: `${Math.max(0.4, (100 * tookMs) / wholeMs)}%` }}
          />
        )}
      </span>
      <span class="number">{startedMs === undefined ? "waits" : formatSeconds(Math.max(0, tookMs) / 1000)}</span>
    </>
  );
  if (text === "" && error === "") return <li class="step">{line}</li>;
  return (
    <li>
      <details open={error !== ""}>
        <summary class="step">{line}</summary>
        <pre class="text" tabIndex={0}>
          {text.split("\n").map((each, index) => (
            <span key={index}>
              {parseAnsi(each.replace(/.*\r(?=.)/, "")).map((piece, at) => (
                <span key={at} class={piece.style}>
                  {piece.text}
                </span>
              ))}
              {"\n"}
            </span>
          ))}
          {error !== "" && <strong class="c1">{plain(error, 1000)}</strong>}
        </pre>
      </details>
    </li>
  );
}

function Mark({ step: { startedMs, endedMs, error } }: { step: BuildStep }) {
  const [sign, word, kind] =
    error !== ""
      ? ["✕", "failed", "dead"]
      : endedMs !== undefined
        ? ["✓", "done", "running"]
        : startedMs !== undefined
          ? ["◐", "under way", "restarting"]
          : ["○", "waits", ""];
  return (
    <span class={`state ${kind}`}>
      <span aria-hidden="true">{sign}</span>
      <span class="unseen">{word}</span>
    </span>
  );
}
