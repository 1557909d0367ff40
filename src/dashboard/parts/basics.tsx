/** Small parts that every page has. */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { plain } from "../format.ts";
import { onEvent } from "../watch.ts";

/** Something that cannot be shown, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** A box to tick, for what a page shows. */
export function Check({ label, on }: { label: string; on: Signal<boolean> }) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={on.value}
        onChange={(event) => {
          on.value = event.currentTarget.checked;
        }}
      />
      {label}
    </label>
  );
}

export function Panel({
  title,
  children,
  aside,
}: {
  title: ComponentChildren;
  children: ComponentChildren;
  aside?: ComponentChildren;
}) {
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

const STATE_MARKS: Readonly<Record<string, string>> = {
  running: "●",
  paused: "‖",
  restarting: "↻",
  created: "○",
  exited: "○",
  dead: "✕",
  removing: "✕",
};

/** A container's state, by a mark and a word, not by colour alone. */
export function State({ state }: { state: string }) {
  return (
    <span class={`state ${state}`}>
      <span aria-hidden="true">{STATE_MARKS[state] ?? "○"}</span> {state}
    </span>
  );
}

/** The health in a status such as "Up 3 minutes (healthy)". */
export function Health({ status }: { status: string }) {
  const health = /\((healthy|unhealthy|health: starting)\)/.exec(status)?.[1];
  if (health === undefined) return null;
  return <span class={`badge ${health.replace(/\W+/g, "-")}`}>{health.replace("health: ", "")}</span>;
}

/** A share as a bar, beside the numbers that say the same. */
export function Meter({ value, max }: { value: number; max: number }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  return (
    <div class={share > 0.9 ? "meter full" : "meter"} aria-hidden="true">
      <span style={{ width: `${share * 100}%` }} />
    </div>
  );
}

/** What the daemon has answered: undefined until then, or why it has not. */
export interface Asked<T> {
  answer: T | undefined;
  error: Error | undefined;
  reload: () => void;
}

/** Events come in bursts: what they tell is read once for each. */
const BURST_MS = 200;

/** Asks the daemon when `key` changes, and anew after events of these types. */
export function useAnswer<T>(read: () => Promise<T>, key: string, types: readonly string[] = []): Asked<T> {
  const [state, setState] = useState<{ key: string; answer?: T; error?: Error }>();
  const [count, setCount] = useState(0);
  const reload = () => setCount((old) => old + 1);
  useEffect(() => {
    let isWanted = true;
    read().then(
      (answer) => isWanted && setState({ key, answer }),
      (error: Error) => isWanted && setState((old) => ({ ...(old?.key === key ? old : {}), key, error })),
    );
    return () => {
      isWanted = false;
    };
  }, [key, count]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onEvent(({ type }) => {
      if (types.includes(type)) timer ??= setTimeout(later, BURST_MS);
    });
    const later = () => {
      timer = undefined;
      reload();
    };
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
  const { answer, error } = state?.key === key ? state : {};
  return { answer, error, reload };
}

/** Stands for an answer that is not there: nothing, or why, and a way to ask once more. */
export function Pending({ what, error, reload }: { what: string } & Pick<Asked<unknown>, "error" | "reload">) {
  if (error === undefined) return <p class="muted pending">Reading {what}…</p>;
  return (
    <Empty title={`The daemon does not tell ${what}`}>
      <p>{plain(error.message, 300)}</p>
      <p>
        <button type="button" onClick={reload}>
          Ask once more
        </button>
      </p>
    </Empty>
  );
}

const TICK_MS = 1000;

/** The time in milliseconds since 1970, every second anew while `ticks`. */
export function useNow(ticks: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    setNow(Date.now());
    if (!ticks) return;
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [ticks]);
  return now;
}

/** A question in a window of its own, answered by a button. */
export function Confirm({
  question,
  verb,
  onAnswer,
}: {
  question: string;
  verb: string;
  onAnswer: (yes: boolean) => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={() => onAnswer(false)} aria-labelledby="question">
      <p id="question">{question}</p>
      <div class="buttons">
        <button type="button" onClick={() => onAnswer(false)}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => onAnswer(true)}>
          {verb}
        </button>
      </div>
    </dialog>
  );
}
