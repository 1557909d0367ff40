/** What is on the screen: it alone is measured. */
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { setVisible } from "../watch.ts";

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries)
      setVisible((target as HTMLElement).dataset.id ?? "", isIntersecting);
  },
  { rootMargin: "120px" },
);

/** For an element with the container's id in its data: the container is measured while the element is in view and `runs`. */
export function useVisible<E extends HTMLElement>(id: string, runs: boolean): RefObject<E | null> {
  const element = useRef<E>(null);
  useEffect(() => {
    const { current } = element;
    if (current === null || !runs) return;
    observer.observe(current);
    return () => {
      observer.unobserve(current);
      setVisible(id, false);
    };
  }, [id, runs]);
  return element;
}
