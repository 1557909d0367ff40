/** Names of pods' sandboxes and containers among all containers. */

/** Joins the parts as Docker's users of Kubernetes know them; what a container's name must not have becomes "-". */
export function podName(container: string, ...rest: readonly (string | number)[]): string {
  return ["k8s", container, ...rest].join("_").replace(/[^a-zA-Z0-9_.-]/g, "-");
}
