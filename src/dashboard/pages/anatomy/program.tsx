/** The program of system calls that starts a container. */
import { useState } from "preact/hooks";
import type { ExplainedOp, Explanation } from "../../../spec/explanation.ts";
import { plain } from "../../format.ts";
import { Empty, Panel } from "../../parts/basics.tsx";
import { call, get, isReadOnly } from "../../session.ts";
import { sayError } from "../../state.ts";

/** The program of system calls that would start such a container, with times if one was started to measure. */
export function Program({ id }: { id: string }) {
  const [explanation, setExplanation] = useState<Explanation | undefined>();
  const ask = async (trace: boolean) => {
    const { Config, HostConfig } = await get<{ Config: object; HostConfig: object }>(`/containers/${id}/json`);
    const path = `/lighter/explain?format=json${trace ? "&trace=1" : ""}`;
    setExplanation((await (await call("POST", path, { ...Config, HostConfig })).json()) as Explanation);
  };
  return (
    <Panel
      title="The program of system calls"
      aside={
        <span class="buttons">
          <button type="button" onClick={() => ask(false).catch(sayError)}>
            Show
          </button>
          {!isReadOnly.value && (
            <button type="button" onClick={() => ask(true).catch(sayError)}>
              Measure in a real start
            </button>
          )}
        </span>
      }
    >
      {explanation === undefined ? (
        <Empty title="Every start is a program">
          <p>It says in system calls how a container such as this one is made.</p>
        </Empty>
      ) : (
        <Phases ops={explanation.ops} />
      )}
    </Panel>
  );
}

function Phases({ ops }: { ops: readonly ExplainedOp[] }) {
  const phases = new Map<string, ExplainedOp[]>();
  for (const op of ops) phases.set(op.phase, [...(phases.get(op.phase) ?? []), op]);
  const timeOf = (list: readonly ExplainedOp[]) => list.reduce((sum, { tookNs = 0 }) => sum + tookNs, 0);
  const whole = timeOf(ops);
  return (
    <div class="phases">
      {[...phases].map(([phase, list]) => (
        <details key={phase}>
          <summary>
            <strong>{phase}</strong> <span class="muted">{list.length} ops</span>
            {whole > 0 && (
              <span class="took">
                {(timeOf(list) / 1e6).toFixed(2)} ms
                <span class="meter" aria-hidden="true">
                  <span style={{ width: `${(100 * timeOf(list)) / whole}%` }} />
                </span>
              </span>
            )}
          </summary>
          <ol>
            {list.map((op) => (
              <li key={`${op.section} ${op.index}`}>
                <code>{plain(`${op.call} ${op.args}`, 160)}</code>
                <small> {plain(op.why, 120)}</small>
                {op.tookNs !== undefined && <small> {(op.tookNs / 1e3).toFixed(0)} µs</small>}
              </li>
            ))}
          </ol>
        </details>
      ))}
    </div>
  );
}
