/** The few elements that the tabs are made of, in the host's colours, where the host gives no components: Airflow 3.1. */

import { colorOf, isShort, rulesOf } from "./styles.js";

const { React, ReactDOM } = globalThis;
const { createElement } = React;

const known = new Map();
let sheet;

/** The class of a style, which is written into the page once. */
function classOf(style) {
  const key = JSON.stringify(style);
  if (!known.has(key)) {
    sheet ??= document.head.appendChild(document.createElement("style")).sheet;
    const name = `async-rest-${known.size}`;
    known.set(key, name);
    for (const rule of rulesOf(`.${name}`, style)) sheet.insertRule(rule, sheet.cssRules.length);
  }
  return known.get(key);
}

// "size" is a property of printed pages as well.
const isStyle = (name) => isShort(name) || (name !== "size" && name in document.documentElement.style);

/** An element whose properties are styles or attributes; `look` gives what it has besides, of its variant and the like. */
const element = (tag, look = () => ({})) =>
  function Element({ as = tag, css, className, size, variant, colorPalette, align, justify, wrap, ...properties }) {
    const style = look({ size, variant, colorPalette, align, justify, wrap, color: properties.color });
    const attributes = {};
    for (const [name, value] of Object.entries(properties)) (isStyle(name) ? style : attributes)[name] = value;
    const own = classOf({ ...style, ...css });
    return createElement(as, { ...attributes, className: className ? `${own} ${className}` : own });
  };

const flex = ({ align, justify, wrap }) => ({
  display: "flex",
  alignItems: align,
  justifyContent: justify,
  flexWrap: wrap,
});

const column = ({ align = "center", ...rest }) => ({ ...flex({ align, ...rest }), flexDirection: "column" });

const HEADINGS = { xs: "0.875rem", sm: "0.875rem", xl: "1.25rem" };
const BUTTONS = { "2xs": ["1.5rem", "0.75rem"], xs: ["2rem", "0.75rem"], sm: ["2.25rem", "0.875rem"] };

const filled = (palette) => ({ bg: `${palette}.solid`, color: `${palette}.contrast` });

const outlined = (palette) => ({ borderColor: "border", color: palette ? `${palette}.fg` : "fg", "&:hover": { bg: "bg.muted" } });

function button({ size = "md", variant = "solid", colorPalette }) {
  const [minHeight, fontSize] = BUTTONS[size] ?? ["2.5rem", "0.875rem"];
  return {
    display: "inline-flex",
    alignItems: "center",
    justifyContent: "center",
    gap: 2,
    minHeight,
    fontSize,
    px: 3,
    fontWeight: "medium",
    borderRadius: "sm",
    border: "1px solid transparent",
    cursor: "pointer",
    ...(variant === "solid" ? filled(colorPalette ?? "gray") : outlined(colorPalette)),
    "&:disabled": { opacity: 0.5, cursor: "not-allowed" },
    "&:focus-visible": { outline: "2px solid", outlineColor: "fg", outlineOffset: "2px" },
  };
}

const Pressable = element("button", button);

const Button = ({ loading = false, disabled = false, ...rest }) =>
  createElement(Pressable, { type: "button", ...rest, disabled: disabled || loading, "aria-busy": loading || undefined });

const badge = ({ variant, colorPalette = "gray" }) => ({
  display: "inline-flex",
  alignItems: "center",
  whiteSpace: "nowrap",
  fontWeight: "medium",
  border: "1px solid transparent",
  ...(variant === "solid" ? filled(colorPalette) : { borderColor: "border" }),
});

const HIDDEN = {
  position: "absolute",
  width: "1px",
  height: "1px",
  overflow: "hidden",
  clipPath: "inset(50%)",
  whiteSpace: "nowrap",
};

const spinner = ({ color = "fg" }) => ({
  display: "inline-block",
  boxSize: "2rem",
  borderRadius: "full",
  border: `2px solid ${colorOf(color)}`,
  borderBottomColor: "transparent",
  animation: "async-rest-spin 0.8s linear infinite",
  "@keyframes async-rest-spin": { to: { transform: "rotate(360deg)" } },
});

const field = () => ({
  px: 3,
  minHeight: "2.25rem",
  fontSize: "sm",
  bg: "transparent",
  border: "1px solid",
  borderColor: "border.emphasized",
  borderRadius: "sm",
  "&:focus-visible": { outline: "2px solid", outlineColor: "fg" },
});

export const ELEMENTS = {
  Badge: element("span", badge),
  Box: element("div"),
  Button,
  Center: element("div", () => flex({ align: "center", justify: "center" })),
  Code: element("code", () => ({ fontFamily: "mono", fontSize: "xs", bg: "bg.muted", px: 1.5, borderRadius: "sm" })),
  Flex: element("div", flex),
  Heading: element("h2", ({ size }) => ({ fontWeight: "semibold", fontSize: HEADINGS[size] ?? "1rem" })),
  Input: element("input", field),
  Link: element("a", () => ({ "&:hover": { textDecoration: "underline" } })),
  Portal: ({ children }) => ReactDOM.createPortal(children, document.body),
  Spinner: element("span", spinner),
  Text: element("p"),
  VStack: element("div", column),
  VisuallyHidden: element("span", () => HIDDEN),
};
