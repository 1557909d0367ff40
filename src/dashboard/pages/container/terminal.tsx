/** A shell in a container. The terminal's code is loaded when one is opened. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Empty } from "../../parts/basics.tsx";
import { NotRunning, type TabProps } from "../../parts/tab.tsx";
import { call, isReadOnly, sessionKey } from "../../session.ts";
import { sayError } from "../../state.ts";

/** The best shell that is there. */
const SHELL = ["/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec sh"];

export function Terminal({ id, runs }: TabProps) {
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
  if (!runs) return <NotRunning what="A terminal" />;
  if (isOpen) return <Shell id={id} onEnd={() => setOpen(false)} />;
  return (
    <Empty title="A shell in this container">
      <p>It runs beside the container's processes, and ends with this page.</p>
      <p>
        <button type="button" onClick={() => setOpen(true)}>
          Open a terminal
        </button>
      </p>
    </Empty>
  );
}

function Shell({ id, onEnd }: { id: string; onEnd: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let close = () => {};
    let isGone = false;
    openShell(id, box.current!, onEnd).then((end) => {
      close = end;
      if (isGone) end();
    }, sayError);
    return () => {
      isGone = true;
      close();
    };
  }, []);
  return <div ref={box} class="terminal" />;
}

/** Resolves with a function that ends the shell. */
async function openShell(id: string, box: HTMLElement, onEnd: () => void): Promise<() => void> {
  const [{ Terminal: Screen }, { FitAddon }] = await Promise.all([import("@xterm/xterm"), import("@xterm/addon-fit")]);
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: "terminal.css" }));
  const options = {
    Cmd: SHELL,
    Tty: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Env: ["TERM=xterm-256color"],
  };
  const { Id: exec } = (await (await call("POST", `/containers/${id}/exec`, options)).json()) as { Id: string };
  const screen = new Screen({ fontSize: 13, cursorBlink: !matchMedia("(prefers-reduced-motion)").matches });
  const fit = new FitAddon();
  screen.loadAddon(fit);
  screen.open(box);
  fit.fit();
  const socket = new WebSocket(`ws://${location.host}/terminal/${exec}`, ["lighter", sessionKey()]);
  socket.binaryType = "arraybuffer";
  const resize = () => call("POST", `/exec/${exec}/resize?h=${screen.rows}&w=${screen.cols}`).catch(() => {}); // it has ended
  const encoder = new TextEncoder();
  socket.onopen = () => {
    void resize();
    screen.focus();
  };
  socket.onmessage = ({ data }) => screen.write(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
  socket.onclose = () => onEnd();
  screen.onData((text) => socket.send(encoder.encode(text)));
  screen.onResize(() => void resize());
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(box);
  return () => {
    observer.disconnect();
    socket.onclose = null;
    socket.close();
    screen.dispose();
  };
}
