// @ts-check
// The lines in which two texts differ, in the shape that the API tells differences in. Myers' algorithm, bounded.

/** More differences than these are not worth looking at line by line. */
const MOST = 2000;
const AROUND = 3;

/**
 * @param {string} before @param {string} after
 * @returns {import('./diff.js').Hunk[] | null} null: too different
 */
export function lines(before, after) {
  const a = before.split('\n');
  const b = after.split('\n');
  const script = edits(a, b);
  return script && hunks(script);
}

/** @param {string[]} a @param {string[]} b @returns {import('./diff.js').Line[] | null} */
function edits(a, b) {
  /** @type {Map<number, number>[]} */
  const trace = [];
  let reach = new Map([[1, 0]]);
  for (let d = 0; d <= Math.min(MOST, a.length + b.length); d += 1) {
    trace.push(new Map(reach));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (reach.get(k - 1) ?? 0) < (reach.get(k + 1) ?? 0));
      let x = down ? (reach.get(k + 1) ?? 0) : (reach.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return walk(a, b, trace);
    }
  }
  return null;
}

/** @param {string[]} a @param {string[]} b @param {Map<number, number>[]} trace */
function walk(a, b, trace) {
  /** @type {import('./diff.js').Line[]} */
  const script = [];
  let [x, y] = [a.length, b.length];
  for (let d = trace.length - 1; d >= 0; d -= 1) {
    const reach = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (reach.get(k - 1) ?? 0) < (reach.get(k + 1) ?? 0));
    const fromX = d === 0 ? 0 : reach.get(down ? k + 1 : k - 1) ?? 0;
    const fromY = d === 0 ? 0 : fromX - (down ? k + 1 : k - 1);
    while (x > fromX && y > fromY && a[x - 1] === b[y - 1]) {
      script.push({ kind: 'context', text: a[x - 1] });
      x -= 1;
      y -= 1;
    }
    if (d === 0) break;
    if (down) script.push({ kind: 'added', text: b[fromY] });
    else script.push({ kind: 'removed', text: a[fromX] });
    [x, y] = [fromX, fromY];
  }
  return script.reverse();
}

/** @param {import('./diff.js').Line[]} script */
function hunks(script) {
  /** @type {import('./diff.js').Hunk[]} */
  const all = [];
  let [from, to] = [1, 1];
  let calm = AROUND + 1;
  for (const [at, line] of script.entries()) {
    const near = script.slice(at, at + AROUND + 1).some(({ kind }) => kind !== 'context');
    if (line.kind !== 'context') calm = 0;
    else calm += 1;
    if (near || calm <= AROUND) {
      const last = all[all.length - 1];
      const open = last && last.fromStart + last.fromLines === from && last.toStart + last.toLines === to ? last : null;
      const hunk = open ?? { fromStart: from, toStart: to, fromLines: 0, toLines: 0, lines: [] };
      if (!open) all.push(hunk);
      hunk.lines.push(line);
      if (line.kind !== 'added') hunk.fromLines += 1;
      if (line.kind !== 'removed') hunk.toLines += 1;
    }
    if (line.kind !== 'added') from += 1;
    if (line.kind !== 'removed') to += 1;
  }
  return all;
}
