/** All that the API says about a container, as text. */
import { Panel, Pending, useAnswer } from "../../parts/basics.tsx";
import type { TabProps } from "../../parts/tab.tsx";
import { get } from "../../session.ts";

export function Inspect({ id }: TabProps) {
  const { answer, ...asked } = useAnswer(() => get<unknown>(`/containers/${id}/json`), id);
  if (answer === undefined) return <Pending what="about it" {...asked} />;
  const text = JSON.stringify(answer, null, 2);
  return (
    <Panel
      title="As the API answers"
      aside={
        <button type="button" onClick={() => void navigator.clipboard.writeText(text)}>
          Copy
        </button>
      }
    >
      <pre class="text" tabIndex={0}>
        {text}
      </pre>
    </Panel>
  );
}
