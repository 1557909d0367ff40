/** Names of containers: checked and made up. */
import { LighterError } from "../base/errors.ts";

/** The rule of Docker, from which a length of at least two characters follows. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Removes the one leading slash that Docker allows, and checks the name. @throws LighterError "invalid" */
export function parseName(name: string): string {
  const bare = name.startsWith("/") ? name.slice(1) : name;
  if (NAME.test(bare)) return bare;
  throw new LighterError("invalid", `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
}

// Moods and manners of boats and the people aboard.
const ADJECTIVES = `
  able agile airy alert amiable ample amused ardent artful awake balmy blithe bold brave breezy bright brisk buoyant
  calm candid canny cheery civil clear clever cosy cordial crafty curious daring dapper deft earnest easy elated fair
  fearless fleet fond frank fresh gallant gentle gleeful handy hardy hearty honest hopeful humble jaunty jolly jovial
  keen kindly lively loyal lucid lucky mellow merry mighty modest neat nimble noble patient placid plucky polite prompt
  proud quick quiet radiant ready robust rosy sage serene sincere sleek snug spirited spry steady stout sunny swift
  tender thrifty tidy tranquil trim trusty upbeat valiant vivid warm watchful wise witty zesty
`
  .trim()
  .split(/\s+/);

// People who built, measured, navigated or computed.
const SURNAMES = `
  abel aiken amdahl ampere archimedes babbage bardeen bayes bernoulli bessemer boole bowditch brahe braille brunel
  carnot cauchy cerf clarke codd cook coriolis cray curie dalton darwin davy dijkstra dirac edison eratosthenes erdos
  euclid euler faraday fermat fibonacci floyd fourier franklin galileo galois galvani gauss germain goldberg hadamard
  halley hamilton harrison heaviside hedy henson herschel hertz hilbert hipparchus hollerith hooke hopper huygens hypatia
  jacquard joule kahn kay kepler kernighan khwarizmi kilby knuth kovalevskaya lagrange lamport laplace leibniz liskov
  lovelace magellan marconi maury maxwell mccarthy mercator metcalfe minsky mobius morse napier naur neumann newell
  newton noether noyce oersted ohm pascal pasteur perlis plimsoll poincare polya postel ptolemy ramanujan rayleigh
  ritchie roentgen shannon sikorsky simon sinclair snellius somerville stephenson stevin strachey tarjan tesla thompson
  torres torvalds turing volta wallis watt wheeler whitworth wiener wilkes wirth zuse
`
  .trim()
  .split(/\s+/);

function pick(words: readonly string[]): string {
  return words[Math.floor(Math.random() * words.length)]!;
}

/** Makes a name such as "brisk_hopper", with a digit at its end once the plain ones keep being taken. */
export function randomName(isTaken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const suffix = attempt < 5 ? "" : String(Math.floor(Math.random() * 10 ** Math.min(attempt - 4, 9)));
    const name = `${pick(ADJECTIVES)}_${pick(SURNAMES)}${suffix}`;
    if (!isTaken(name)) return name;
  }
}
