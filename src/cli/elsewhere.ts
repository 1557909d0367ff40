/** Docker's commands that Lighter does not have, by name, and what to use in their place. */
const NO_BUILDX = 'Lighter builds with "lighter build": it has one builder, which is the daemon';
const CONTEXTS = "Lighter reads Docker's contexts and leaves them alone: Docker's own client makes and changes them";
const SWARM = "Lighter has no swarm mode: it runs the containers of one machine";

export const ELSEWHERE: Readonly<Record<string, string>> = {
  buildx: NO_BUILDX,
  compose:
    'Lighter has no compose of its own: Docker\'s works with it, as in "DOCKER_HOST=unix:///run/lighter/lighter.sock docker compose up"',
  config: SWARM,
  "context create": CONTEXTS,
  "context export": CONTEXTS,
  "context import": CONTEXTS,
  "context rm": CONTEXTS,
  "context update": CONTEXTS,
  "context use":
    "Lighter's commands stay with its own daemon: --context NAME or DOCKER_CONTEXT=NAME chooses another one",
  node: SWARM,
  secret: SWARM,
  service: SWARM,
  stack: SWARM,
  swarm: SWARM,
  plugin: "Lighter has no plugins: drivers of networks, volumes and logs are built in",
};
