/** A shell in a container, and the console of a machine. */
import { useState } from "preact/hooks";
import { Empty } from "../../parts/basics.tsx";
import { type ByteStream, Screen } from "../../parts/screen.tsx";
import { NotRunning, type TabProps } from "../../parts/tab.tsx";
import { call, isReadOnly } from "../../session.ts";
import { containers, isMachine } from "../../state.ts";

/** The best shell that is there. */
const SHELL = "command -v bash >/dev/null && exec bash; exec sh";
/** A login of root, where there is something that logs in. */
const LOGIN = "command -v su >/dev/null && exec su -l root; exec sh -l";

export function Terminal({ id, runs }: TabProps) {
  const isOfMachine = containers.value?.some((each) => each.Id === id && isMachine(each)) ?? false;
  return (
    <Opened
      runs={runs}
      what="A terminal"
      title={isOfMachine ? "A shell in this machine" : "A shell in this container"}
      text={isOfMachine ? "It logs root in." : "It runs beside the container's processes, and ends with this page."}
      verb="Open a terminal"
      connect={() => openShell(id, isOfMachine ? LOGIN : SHELL)}
    />
  );
}

export function Console({ id, runs }: TabProps) {
  return (
    <Opened
      runs={runs}
      what="Its console"
      title="The console of this machine"
      text="What its init prints, and a login where it offers one. Others may use it at the same time; it goes on without this page."
      verb="Open the console"
      connect={async () => ({ path: `/console/${id}`, resizePath: `/containers/${id}/resize` })}
    />
  );
}

interface OpenedProps {
  runs: boolean;
  what: string;
  title: string;
  text: string;
  verb: string;
  connect: () => Promise<ByteStream>;
}

/** A terminal that a button opens. */
function Opened({ runs, what, title, text, verb, connect }: OpenedProps) {
  const [isOpen, setOpen] = useState(false);
  if (isReadOnly.value)
    return (
      <Empty title="This dashboard is read-only">
        <p>
          <code>lighter dashboard</code> without <code>--read-only</code> prints a link with which terminals can be
          opened.
        </p>
      </Empty>
    );
  if (!runs) return <NotRunning what={what} />;
  if (isOpen) return <Screen connect={connect} onEnd={() => setOpen(false)} />;
  return (
    <Empty title={title}>
      <p>{text}</p>
      <p>
        <button type="button" onClick={() => setOpen(true)}>
          {verb}
        </button>
      </p>
    </Empty>
  );
}

async function openShell(id: string, script: string): Promise<ByteStream> {
  const options = {
    ...{ Cmd: ["/bin/sh", "-c", script], Env: ["TERM=xterm-256color"], Tty: true },
    ...{ AttachStdin: true, AttachStdout: true, AttachStderr: true },
  };
  const { Id: exec } = (await (await call("POST", `/containers/${id}/exec`, options)).json()) as { Id: string };
  return { path: `/terminal/${exec}`, resizePath: `/exec/${exec}/resize` };
}
