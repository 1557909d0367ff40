/** What the views of a container have in common. */
import { Empty } from "./basics.tsx";

export interface TabProps {
  id: string;
  runs: boolean;
}

/** What is shown where only a running container has something to show. */
export function NotRunning({ what }: { what: string }) {
  return (
    <Empty title="This container does not run">
      <p>{what} can be seen once it has been started.</p>
    </Empty>
  );
}
