// @ts-check
// Scripts with colours: comments, texts, words, variables and numbers of PowerShell, shells, Python and batch files.

import { h } from '../dom.js';

/** @typedef {{ comment: string, text: string, variable: string, words: string, fold: boolean }} Language */

const POWERSHELL = 'begin|break|catch|class|continue|data|do|dynamicparam|else|elseif|end|enum|exit|filter|finally|for|foreach|from|function|if|in|param|process|return|switch|throw|trap|try|until|using|while';
const SHELL = 'if|then|else|elif|fi|for|while|until|do|done|case|esac|in|function|return|exit|local|export|readonly|declare|set|unset|shift|trap|source|eval|exec|break|continue|printf|echo|test|read';
const PYTHON = 'and|as|assert|async|await|break|class|continue|def|del|elif|else|except|False|finally|for|from|global|if|import|in|is|lambda|None|nonlocal|not|or|pass|raise|return|True|try|while|with|yield|match|case';
const BATCH = 'call|cd|cls|copy|del|do|echo|else|endlocal|exit|for|goto|if|in|not|exist|defined|errorlevel|pause|pushd|popd|rem|set|setlocal|shift|start|type';

/** @type {Record<string, Language>} */
const LANGUAGES = {
  powershell: { comment: '<#[\\s\\S]*?(?:#>|$)|#[^\\n]*', text: '@"[\\s\\S]*?(?:\\n"@|$)|@\'[\\s\\S]*?(?:\\n\'@|$)|"(?:[^"`]|`[\\s\\S])*"?|\'(?:[^\']|\'\')*\'?', variable: '\\$(?:\\{[^}\\n]*\\}|[\\w:?]+)', words: POWERSHELL, fold: true },
  shell: { comment: '(?<![^\\s;(])#[^\\n]*', text: '"(?:[^"\\\\]|\\\\[\\s\\S])*"?|\'[^\']*\'?', variable: '\\$(?:\\{[^}\\n]*\\}|\\w+|[@#?*!$-])', words: SHELL, fold: false },
  python: { comment: '#[^\\n]*', text: '(?:"""[\\s\\S]*?(?:"""|$)|\'\'\'[\\s\\S]*?(?:\'\'\'|$)|"(?:[^"\\\\\\n]|\\\\.)*"?|\'(?:[^\'\\\\\\n]|\\\\.)*\'?)', variable: '@\\w+', words: PYTHON, fold: false },
  batch: { comment: '(?<=^|\\n)[ \\t]*(?:rem\\b|::)[^\\n]*', text: '"[^"\\n]*"?', variable: '%(?:~?[\\w]+|[^%\\n]+)%?|![^!\\n]+!', words: BATCH, fold: true },
};

/** @type {Record<string, string>} */
const ENDINGS = { ps1: 'powershell', psm1: 'powershell', psd1: 'powershell', sh: 'shell', bash: 'shell', zsh: 'shell', py: 'python', bat: 'batch', cmd: 'batch' };

/** Longer texts are shown without colours. */
const LONGEST = 512 * 1024;
/** A page with more lines than these would keep nobody company. */
const MOST_LINES = 20_000;

/** @param {string} name @param {string} text @returns {Language | undefined} */
function language(name, text) {
  const ending = name.split('.').pop()?.toLowerCase() ?? '';
  const first = text.slice(0, 80).split('\n')[0];
  const shebang = first.startsWith('#!') ? (/\b(ba|z|da)?sh\b/.test(first) ? 'shell' : /python/.test(first) ? 'python' : /pwsh/.test(first) ? 'powershell' : '') : '';
  return LANGUAGES[ENDINGS[ending] ?? shebang];
}

/**
 * The pieces of a text, each with its class.
 * @param {string} text @param {Language} found @returns {[string, string][]}
 */
export function pieces(text, { comment, text: quoted, variable, words, fold }) {
  const pattern = new RegExp(`(${comment})|(${quoted})|(${variable})|(?<![-\\w$])(${words})(?![-\\w])|\\b(\\d[\\w.]*)\\b`, fold ? 'gi' : 'g');
  /** @type {[string, string][]} */
  const all = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > at) all.push(['', text.slice(at, match.index)]);
    all.push([['c', 's', 'v', 'k', 'n'][match.slice(1).findIndex((group) => group !== undefined)], match[0]]);
    at = match.index + match[0].length;
  }
  if (at < text.length) all.push(['', text.slice(at)]);
  return all;
}

/** A text with line numbers. @param {string} name @param {string} text */
export function code(name, text) {
  const found = text.length <= LONGEST ? language(name, text) : undefined;
  /** @type {any[][]} */
  const lines = [[]];
  let cut = false;
  for (const [kind, piece] of found ? pieces(text, found) : /** @type {[string, string][]} */ ([['', text]])) {
    const parts = piece.replaceAll('\r\n', '\n').split('\n');
    for (const [at, part] of parts.entries()) {
      if (at > 0) lines.push([]);
      if (part) lines[lines.length - 1].push(kind ? h('span', { class: kind }, part) : part);
    }
    if (lines.length > MOST_LINES) {
      cut = true;
      break;
    }
  }
  if (lines.length > 1 && lines[lines.length - 1].length === 0) lines.pop();
  return [
    cut && h('p', { class: 'notice warn' }, `Only the first ${MOST_LINES.toLocaleString()} lines are shown; the download has all of them.`),
    h('div', { class: 'code', tabindex: 0, role: 'region', 'aria-label': `Text of ${name}` },
      lines.slice(0, MOST_LINES).map((line) => h('div', { class: 'line' }, h('span', {}, line)))),
  ];
}

/**
 * The text of some bytes, or null where they are none.
 * @param {ArrayBuffer} buffer
 */
export function decoded(buffer) {
  const bytes = new Uint8Array(buffer);
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  if (bytes.subarray(0, 65_536).includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}
