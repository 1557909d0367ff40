/** A terminal on a stream of bytes. Its code is loaded when one is opened. */
import { useEffect, useRef } from "preact/hooks";
import { call, sessionKey } from "../session.ts";
import { sayError } from "../state.ts";

export interface ByteStream {
  /** The path of its websocket. */
  path: string;
  /** The path of the API that takes its size. */
  resizePath: string;
}

/** `connect` is called once the terminal's code is there. */
export function Screen({ connect, onEnd }: { connect: () => Promise<ByteStream>; onEnd: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let close = () => {};
    let isGone = false;
    openScreen(connect, box.current!, onEnd).then(
      (end) => {
        close = end;
        if (isGone) end();
      },
      (error) => {
        sayError(error);
        if (!isGone) onEnd();
      },
    );
    return () => {
      isGone = true;
      close();
    };
  }, []);
  return <div ref={box} class="screen" />;
}

/** Resolves with a function that ends the stream. */
async function openScreen(
  connect: () => Promise<ByteStream>,
  box: HTMLElement,
  onEnd: () => void,
): Promise<() => void> {
  const [{ Terminal }, { FitAddon }] = await Promise.all([import("@xterm/xterm"), import("@xterm/addon-fit")]);
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: "terminal.css" }));
  const { path, resizePath } = await connect();
  const terminal = new Terminal({ fontSize: 13, cursorBlink: !matchMedia("(prefers-reduced-motion)").matches });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(box);
  fit.fit();
  const socket = new WebSocket(`ws://${location.host}${path}`, ["lighter", sessionKey()]);
  socket.binaryType = "arraybuffer";
  const resize = () => call("POST", `${resizePath}?h=${terminal.rows}&w=${terminal.cols}`).catch(() => {}); // it has ended
  const encoder = new TextEncoder();
  socket.onopen = () => {
    void resize();
    terminal.focus();
  };
  socket.onmessage = ({ data }) =>
    terminal.write(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
  socket.onclose = () => onEnd();
  terminal.onData((text) => socket.send(encoder.encode(text)));
  terminal.onResize(() => void resize());
  const observer = new ResizeObserver(() => fit.fit());
  observer.observe(box);
  return () => {
    observer.disconnect();
    socket.onclose = null;
    socket.close();
    terminal.dispose();
  };
}
