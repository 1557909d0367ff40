/** What the seccomp filter does with the system calls of this machine. */
import type { Anatomy } from "../../../spec/anatomy.ts";
import { Panel } from "../../parts/basics.tsx";

const SAID: Readonly<Record<string, string>> = {
  allow: "allowed",
  arguments: "allowed with some arguments",
  log: "allowed, and written to the kernel's log",
  notify: "asked of a program",
  trap: "answered by a signal",
  trace: "left to a debugger",
  kill: "the end of the thread",
  kill_process: "the end of the process",
};

/** "errno EPERM" is what the filter answers in the kernel's place. */
const describe = (action: string) => SAID[action] ?? `refused with ${action.replace("errno ", "")}`;

const kindOf = (action: string) =>
  ["allow", "log"].includes(action)
    ? "allowed"
    : ["arguments", "notify", "trace"].includes(action)
      ? "some"
      : "refused";

export function SystemCalls({ answer: { seccomp, seccompCalls } }: { answer: Anatomy }) {
  const all = seccompCalls.reduce((sum, { calls }) => sum + calls.length, 0);
  const allowed = seccompCalls.find(({ action }) => action === "allow")?.calls.length ?? 0;
  if (seccomp !== "filter" || all === 0)
    return (
      <Panel title="System calls">
        <ul class="notes">
          <li>
            {seccomp === "filter"
              ? "A seccomp filter looks at each of its system calls."
              : "No seccomp filter looks at its system calls: it may make all of them."}
          </li>
        </ul>
      </Panel>
    );
  return (
    <Panel title={`${allowed} of ${all} system calls`}>
      <div class="body">
        <div class="bar" aria-hidden="true">
          {seccompCalls.map(({ action, calls }) => (
            <span key={action} class={kindOf(action)} style={{ width: `${(100 * calls.length) / all}%` }} />
          ))}
        </div>
      </div>
      {seccompCalls.map(({ action, calls }) => (
        <details key={action} class="fold">
          <summary>
            <span class={`dot ${kindOf(action)}`} aria-hidden="true" /> {calls.length} {describe(action)}
          </summary>
          <p class="names">{calls.join(" ")}</p>
        </details>
      ))}
    </Panel>
  );
}
