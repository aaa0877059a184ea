// @ts-check
// What all views have.

import { fill } from '../dom.js';
import { wrong } from './toast.js';

export class View extends HTMLElement {
  /** What it is about, where its address says so. */
  subject = '';
  /** Whether the reader has a permission. @type {(permission: string) => boolean} */ may = () => false;
  /** Ends what the view has begun, when the reader goes elsewhere. */
  leaving = new AbortController();

  disconnectedCallback() {
    this.leaving.abort();
  }

  /** Says what went wrong, unless nobody looks any more. @param {Element} place @param {unknown} error */
  tell(place, error) {
    if (!this.leaving.signal.aborted) fill(place, wrong(error));
  }
}
