/** Styles as the host's components take them, made into CSS: for where it gives none. Pure. */

const SIDES = {
  p: ["padding"],
  px: ["padding-inline"],
  py: ["padding-block"],
  pt: ["padding-top"],
  pb: ["padding-bottom"],
  ps: ["padding-inline-start"],
  m: ["margin"],
  mt: ["margin-top"],
  mb: ["margin-bottom"],
  me: ["margin-inline-end"],
  w: ["width"],
  minW: ["min-width"],
  maxW: ["max-width"],
  minH: ["min-height"],
  maxH: ["max-height"],
  boxSize: ["width", "height"],
  bg: ["background"],
};

/** Whether a property of a component is one of these short names. */
export const isShort = (name) => name in SIDES;

// A number is a quarter of the page's letter size there, as in all that is made with Chakra; of others it is itself.
const IN_QUARTERS = /^(padding|margin|width|height|min-|max-|gap|column-gap|row-gap|inset)/;
const COLORS = /^(color|background|[a-z-]+-color)$/;

// What the host's variables are called, and what is taken where it has none of that name.
const NAMED = {
  "font-size": { "2xs": "0.625rem", xs: "0.75rem", sm: "0.875rem", md: "1rem", lg: "1.125rem", xl: "1.25rem" },
  "font-weight": { normal: "400", medium: "500", semibold: "600", bold: "700" },
  "font-family": { mono: "ui-monospace, monospace" },
  "line-height": { short: "1.375" },
  "border-radius": { sm: "0.25rem", md: "0.375rem", lg: "0.5rem", full: "9999px" },
  "box-shadow": { md: "0 4px 12px rgb(0 0 0 / 0.25)", lg: "0 8px 24px rgb(0 0 0 / 0.3)" },
  "z-index": { tooltip: "1800" },
};
const WORDS = /^(transparent|inherit|currentColor|none)$|[(#]/;
const PLAIN = {
  bg: "Canvas",
  "bg.inverted": "CanvasText",
  "fg.inverted": "Canvas",
  white: "white",
  black: "black",
  border: "color-mix(in srgb, currentColor 25%, transparent)",
  "success.solid": "#15803d",
  "failed.solid": "#dc2626",
  "running.solid": "#0891b2",
  "skipped.solid": "#a21caf",
  "up_for_retry.solid": "#eab308",
};

const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The host's colour of a name such as "fg.muted", which knows light and dark. */
export function colorOf(name) {
  if (WORDS.test(name)) return name;
  return `var(--chakra-colors-${name.replaceAll(".", "-")}, ${PLAIN[name] ?? "currentColor"})`;
}

function valueOf(property, value) {
  if (COLORS.test(property)) return colorOf(value);
  if (typeof value === "number" && IN_QUARTERS.test(property)) return value ? `${value / 4}rem` : "0";
  if (value === "full" && IN_QUARTERS.test(property)) return "100%";
  return NAMED[property]?.[value] ?? value;
}

const isGiven = (value) => value !== undefined && value !== null && value !== false;

const declared = (name, value) =>
  (SIDES[name] ?? [kebab(name)]).map((property) => `${property}:${valueOf(property, value)};`).join("");

/** The inside of a rule; rules within it, as `& td`, stand there as well. */
export const insideOf = (style) =>
  Object.entries(style)
    .filter(([name, value]) => isGiven(value) && !name.startsWith("@keyframes"))
    .map(([name, value]) => (typeof value === "object" ? `${name}{${insideOf(value)}}` : declared(name, value)))
    .join("");

/** The rules that a style sheet takes for a class: `[".a{…}", "@keyframes …"]`. */
export function rulesOf(selector, style) {
  const moving = Object.entries(style).filter(([name]) => name.startsWith("@keyframes"));
  return [`${selector}{${insideOf(style)}}`, ...moving.map(([name, steps]) => `${name}{${insideOf(steps)}}`)];
}
