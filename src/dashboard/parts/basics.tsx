/** Small parts that every page has. */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { sayError } from "../state.ts";

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
  title: string;
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

/** What the daemon answers, read when `key` changes: undefined until then. */
export function useAnswer<T>(read: () => Promise<T>, key: string): { answer: T | undefined; reload: () => void } {
  const [state, setState] = useState<{ key: string; answer: T } | undefined>();
  const [count, setCount] = useState(0);
  useEffect(() => {
    let isWanted = true;
    read().then((answer) => isWanted && setState({ key, answer }), sayError);
    return () => {
      isWanted = false;
    };
  }, [key, count]);
  return { answer: state?.key === key ? state.answer : undefined, reload: () => setCount((old) => old + 1) };
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
