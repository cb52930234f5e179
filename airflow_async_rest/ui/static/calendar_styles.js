/** How the cells of the calendar look. */

import { narrow } from "./kit.js";
import { OUTCOMES } from "./outcomes.js";

/**
 * Cells are plain elements with one style sheet: 2,000 components that each have styles would take a second.
 * Colours are Airflow's tokens, which know light and dark.
 */
export const CELLS = {
  "& .row": {
    display: "flex",
    gap: "12px",
    alignItems: "flex-start",
    // Room for the outline of a cell, which the next line would cut off.
    padding: "2px 3px",
    marginInline: "-3px",
    // What is scrolled away is not laid out.
    contentVisibility: "auto",
    containIntrinsicSize: "auto 32px",
    ...narrow({ display: "block", padding: "3px" }),
  },
  "& .title": {
    flex: "0 0 auto",
    minWidth: "3.9rem",
    fontSize: "0.75rem",
    lineHeight: "28px",
    color: "fg.muted",
    fontVariantNumeric: "tabular-nums",
    whiteSpace: "nowrap",
  },
  "& .cells": {
    flex: "1 1 0",
    minWidth: 0,
    display: "grid",
    gridTemplateColumns: "repeat(var(--columns), minmax(0, 30px))",
    gap: "3px",
    // Where there is no room for the columns, cells follow each other like words.
    ...narrow({ display: "flex", flexWrap: "wrap" }),
  },
  "& .cell": {
    minWidth: 0,
    height: "28px",
    flex: "0 0 30px",
    display: "flex",
    alignItems: "center",
    justifyContent: "center",
    position: "relative",
    borderRadius: "5px",
    borderWidth: "1px",
    borderColor: "transparent",
    fontSize: "0.6875rem",
    lineHeight: 1,
    fontVariantNumeric: "tabular-nums",
    textDecoration: "none",
    cursor: "pointer",
  },
  "& .cell:hover": { outline: "2px solid", outlineColor: "border.inverted", outlineOffset: "0px" },
  "& .cell:focus-visible": { outline: "2px solid", outlineColor: "fg", outlineOffset: "0px" },
  "& .cell[data-sign]::after": {
    content: "attr(data-sign)",
    position: "absolute",
    top: "1px",
    insetInlineEnd: "3px",
    fontSize: "0.6875rem",
    fontWeight: "bold",
  },
  "& .cell[data-sign]": { alignItems: "flex-end", justifyContent: "flex-start", padding: "3px" },
  ...Object.fromEntries(
    Object.entries(OUTCOMES).map(([outcome, { color, ink }]) => [
      `& .cell[data-outcome=${outcome}]`,
      ink
        ? { bg: `${color}.solid`, color: ink }
        : { bg: `${color}.subtle`, color: `${color}.fg`, borderColor: `${color}.emphasized` },
    ]),
  ),
  // The shape of a window that is not there.
  "& .cell[data-outcome=never]": {
    bg: "transparent",
    color: "fg.muted",
    borderStyle: "dashed",
    borderColor: "border.inverted",
    cursor: "default",
  },
  "& .stretch .cells": { display: "flex" },
  "& .stretch .cell": { flex: "1 1 auto", height: "22px", padding: "0 8px" },
  ...Object.fromEntries(
    Object.keys(OUTCOMES).map((outcome) => [
      `&[data-only=${outcome}] .cell:not([data-outcome=${outcome}])`,
      { opacity: 0.2 },
    ]),
  ),
  "& a.cell[data-outcome=running]": {
    animation: "async-rest-pulse 1.6s ease-in-out infinite",
    "@media (prefers-reduced-motion: reduce)": { animation: "none" },
  },
  "@keyframes async-rest-pulse": { "50%": { opacity: 0.6 } },
};
