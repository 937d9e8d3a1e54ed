import { inspect } from "node:util";

const { stdout, env } = process;
const colourful = Boolean(stdout.isTTY) && !env.NO_COLOR && env.TERM !== "dumb";
const paint = (code) => (text) => (colourful ? `\x1b[${code}m${text}\x1b[0m` : text);
const [bold, dim, green, cyan] = [1, 2, 32, 36].map(paint);

/** Where replies stand. */
const COLUMN = 52;

const wide = /\p{Extended_Pictographic}|\p{Script=Han}/u;

/** How many columns a text takes on a terminal. */
const widthOf = (text) => {
  const marks = new Intl.Segmenter().segment(text);
  return Array.from(marks, ({ segment }) => (wide.test(segment) ? 2 : 1)).reduce((sum, width) => sum + width, 0);
};

export const title = (text) => console.log(`\n${bold(text)}`);

/** Prints a fact: its name, and what it is. */
export const fact = (name, text) => console.log(`  ${dim(name.padEnd(18))}${text}`);

/** Prints a call and what it gave: beside it, or below it where the call is long. */
export const call = (code, ...replies) => {
  const room = COLUMN - widthOf(code);
  if (room > 1 && replies.length === 1) return console.log(`  ${cyan(code)}${" ".repeat(room)}${green(replies[0])}`);
  console.log(`  ${cyan(code)}`);
  for (const reply of replies) console.log(`    ${green(reply)}`);
};

/** Prints code that gives nothing to see. */
export const code = (text) => console.log(`  ${cyan(text)}`);

/** Prints rows in columns as wide as their cells. */
export const table = (rows) => {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const [index, row] of rows.entries()) {
    const cells = row.map((cell, column) => cell.padEnd(widths[column]));
    const line = `  ${cells.join("   ").trimEnd()}`;
    console.log(index === 0 ? dim(line) : line);
  }
};

/** Gives a value as one would write it in JavaScript, on one line. */
export const shown = (value) => {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof Uint8Array) return `Uint8Array(${value.length}) [${[...value.subarray(0, 4)].join(", ")}, ...]`;
  return inspect(value, { breakLength: Infinity, compact: true, depth: 4 }).replace(/\s*\n\s*/g, " ");
};

export const count = (number) => Math.round(number).toLocaleString("en-US");
