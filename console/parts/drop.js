// @ts-check
// Files may be dropped anywhere on the page.

import { h } from '../dom.js';
import { said, toast } from './toast.js';

/** Opens the dialog for uploads, with these in it. @param {File[]} files */
export async function openUpload(files) {
  try {
    await (await import('./upload.js')).openUpload(files);
  } catch (error) {
    toast(said(error));
  }
}

/** @param {boolean} may whether the reader may upload */
export function dropTarget(may) {
  if (!may) return;
  const veil = h('div', { class: 'dropping', 'aria-hidden': 'true' }, 'Drop to upload');
  let depth = 0;
  const files = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files');
  document.addEventListener('dragenter', (event) => {
    if (!files(event)) return;
    depth += 1;
    document.body.append(veil);
  });
  document.addEventListener('dragleave', () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) veil.remove();
  });
  document.addEventListener('dragover', (event) => {
    if (files(event)) event.preventDefault();
  });
  document.addEventListener('drop', (event) => {
    if (!files(event)) return;
    event.preventDefault();
    depth = 0;
    veil.remove();
    openUpload([...(event.dataTransfer?.files ?? [])]);
  });
}
