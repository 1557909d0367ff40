/** A build's state, and the button that ends it. */
import { plain } from "../format.ts";
import { call, isReadOnly } from "../session.ts";
import { say, sayError } from "../state.ts";

export interface BuildSummary {
  Id: string;
  Name: string;
  StartedMs: number;
  /** 0 while it runs. */
  EndedMs: number;
  Image: string;
  Error: string;
  Steps: number;
  CachedSteps: number;
}

export function BuildState({ build: { EndedMs, Error: error } }: { build: BuildSummary }) {
  if (EndedMs === 0) return <span class="state restarting">{mark("◐")} running</span>;
  if (error === "") return <span class="state running">{mark("✓")} built</span>;
  return (
    <span class="state dead" title={plain(error, 300)}>
      {mark("✕")} {/canceled|aborted/.test(error) ? "cancelled" : "failed"}
    </span>
  );
}

const mark = (sign: string) => <span aria-hidden="true">{sign}</span>;

export function CancelButton({ id }: { id: string }) {
  if (isReadOnly.value) return null;
  const cancel = () =>
    call("POST", `/build/cancel?id=${encodeURIComponent(id)}`).then(
      () => say("The build is being cancelled"),
      sayError,
    );
  return (
    <button type="button" class="danger" onClick={() => void cancel()}>
      cancel
    </button>
  );
}
