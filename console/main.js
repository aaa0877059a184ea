// @ts-check
// The frame of the console: who is signed in, where one is, and what is shown there. Every address is a page that can
// be reloaded and passed on.

import { call, hooks } from './api.js';
import { fill, h, icon } from './dom.js';
import { inUtc, switchZone } from './format.js';
import { dropTarget } from './parts/drop.js';
import { toast, wrong } from './parts/toast.js';
import { LibraryView } from './views/library.js';

customElements.define('jb-library', LibraryView);

/** The library comes with the page, the other views a moment later or when they are asked for. @type {Record<string, () => Promise<CustomElementConstructor>>} */
const LATER = {
  'jb-file': async () => (await import('./views/file.js')).FileView,
  'jb-deleted': async () => (await import('./views/deleted.js')).DeletedView,
  'jb-machines': async () => (await import('./views/machines.js')).MachinesView,
  'jb-actions': async () => (await import('./views/actions.js')).ActionsView,
  'jb-action': async () => (await import('./views/action.js')).ActionView,
  'jb-apps': async () => (await import('./views/apps.js')).AppsView,
  'jb-audit': async () => (await import('./views/audit.js')).AuditView,
};

/** @param {string} tag */
async function defined(tag) {
  const view = customElements.get(tag) ?? await LATER[tag]();
  if (!customElements.get(tag)) customElements.define(tag, view);
}

/** @type {[RegExp, string, string][]} */
const PAGES = [
  [/^\/$/, 'jb-library', 'Library'],
  [/^\/files\/([^/]+)$/, 'jb-file', 'File'],
  [/^\/deleted$/, 'jb-deleted', 'Deleted files'],
  [/^\/machines$/, 'jb-machines', 'Machines'],
  [/^\/actions$/, 'jb-actions', 'Actions'],
  [/^\/actions\/([^/]+)$/, 'jb-action', 'Action'],
  [/^\/apps$/, 'jb-apps', 'Apps'],
  [/^\/audit$/, 'jb-audit', 'Audit log'],
];

/** What is in the bar, and the permissions one of which it takes. @type {[string, string, string[]][]} */
const PLACES = [
  ['/', 'Library', ['Library.Read', 'Library.Manage']],
  ['/deleted', 'Deleted', ['Library.Read', 'Library.Manage']],
  ['/machines', 'Machines', ['Machine.Read', 'Machine.Read.All', 'Machine.ReadWrite', 'Machine.ReadWrite.All']],
  ['/actions', 'Actions', ['Machine.Read', 'Machine.Read.All', 'Machine.ReadWrite', 'Machine.ReadWrite.All']],
  ['/apps', 'Apps', ['Application.ReadWrite.All']],
  ['/audit', 'Audit log', ['Audit.Read']],
];

/** Goes to another page of the console. @param {string} path */
export function go(path) {
  history.pushState(null, '', path);
  shell()?.show();
}

/** Closes what is open in front of the page; answers whether nothing is: what would be lost is asked about first. */
async function alone() {
  return !document.querySelector('dialog[open]') || (await import('./parts/dialog.js')).leaveAll();
}

const shell = () => /** @type {Shell | null} */ (document.querySelector('jb-shell'));

class Shell extends HTMLElement {
  /** @type {{ name: string, permissions: string[] } | null} */
  who = null;
  /** The path that is shown. */
  at = '';

  async connectedCallback() {
    hooks.signedOut = () => this.signIn();
    hooks.waiting = (seconds) => toast(`The server asks to wait: going on in ${seconds} s.`, seconds * 1000, 'patience');
    window.addEventListener('popstate', async () => {
      if (location.pathname === this.at) return;
      if (!document.querySelector('dialog[open]')) return this.show();
      // The page stays until it is sure that nothing is lost.
      history.pushState(null, '', this.at);
      if (await alone()) history.back();
    });
    document.addEventListener('click', (event) => follow(event));
    const found = PAGES.find(([pattern]) => pattern.test(location.pathname));
    if (found) defined(found[1]).catch(() => {});
    try {
      this.who = await (await call('/session')).json();
    } catch {
      return this.signIn();
    }
    this.frame();
    this.show();
    dropTarget(this.may('Library.Manage'));
    // The whole console is there before anybody asks for more of it.
    setTimeout(() => Object.keys(LATER).forEach((tag) => defined(tag).catch(() => {})), 1000);
  }

  /** @param {string} permission */
  may(permission) {
    return this.who?.permissions.includes(permission) ?? false;
  }

  /** A dialog stays, with what was typed into it; it says what to do. */
  signIn() {
    if (document.querySelector('dialog[open]')) return;
    const to = encodeURIComponent(location.pathname + location.search);
    location.replace(`/signin?to=${to}`);
  }

  frame() {
    const may = (/** @type {string[]} */ any) => any.some((permission) => this.may(permission));
    this.nav = h('nav', { 'aria-label': 'Main' },
      PLACES.filter(([, , any]) => may(any)).map(([path, name]) => h('a', { href: path }, name)));
    this.main = h('main', { id: 'main', tabindex: -1 });
    const out = h('form', { method: 'post', action: '/signout' }, h('button', { class: 'plain', type: 'submit' }, 'Sign out'));
    const theme = h('button', { class: 'plain', 'aria-label': 'Switch between light and dark', onclick: switchTheme }, icon('sun'));
    const zone = h('button', { class: 'plain small', onclick: () => {
      switchZone();
      named();
    } });
    const named = () => {
      fill(zone, inUtc() ? 'UTC' : 'Local time');
      zone.title = inUtc() ? 'Times are in UTC. Show them in local time' : 'Times are local. Show them in UTC';
    };
    named();
    fill(this,
      h('header', { class: 'bar' },
        h('a', { class: 'brand', href: '/' }, h('img', { src: '/console/icon.svg', alt: '' }), 'jumpbag'),
        this.nav,
        h('div', { class: 'who' }, h('span', { class: 'row small' }, icon('person'), this.who?.name), zone, theme, out)),
      this.main);
  }

  async show() {
    const path = location.pathname;
    const first = this.at === '';
    this.at = path;
    const found = PAGES.map(([pattern, tag, title]) => ({ tag, title, match: pattern.exec(path) })).find(({ match }) => match);
    for (const link of this.nav.querySelectorAll('a')) {
      const here = link.getAttribute('href') === path || (path.startsWith('/files/') && link.getAttribute('href') === '/')
        || (path.startsWith('/actions/') && link.getAttribute('href') === '/actions');
      if (here) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    if (!found?.match) {
      document.title = 'Not found · jumpbag';
      return fill(this.main, h('div', { class: 'empty card' }, h('h1', {}, 'There is nothing here'), h('a', { href: '/' }, 'To the library')));
    }
    try {
      await defined(found.tag);
    } catch {
      if (this.at === path) fill(this.main, wrong(new Error('No answer from the server. Is the network there?')));
      return;
    }
    if (this.at !== path) return;
    const view = /** @type {any} */ (document.createElement(found.tag));
    view.subject = found.match[1] === undefined ? '' : decodeURIComponent(found.match[1]);
    view.may = (/** @type {string} */ permission) => this.may(permission);
    document.title = `${view.subject || found.title} · jumpbag`;
    fill(this.main, view);
    window.scrollTo(0, 0);
    // Whoever hears the page hears the new one from its beginning.
    if (!first) this.main.focus({ preventScroll: true });
  }
}

/** Links within the console load nothing. @param {MouseEvent} event */
async function follow(event) {
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || link.origin !== location.origin || link.hasAttribute('download') || link.target) return;
  if (!PAGES.some(([pattern]) => pattern.test(link.pathname)) || link.getAttribute('href')?.startsWith('#')) return;
  event.preventDefault();
  if (await alone()) go(link.pathname + link.search + link.hash);
}

const THEME = 'jumpbag-theme';

function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  localStorage.setItem(THEME, root.dataset.theme);
}

const theme = localStorage.getItem(THEME);
if (theme) document.documentElement.dataset.theme = theme;
customElements.define('jb-shell', Shell);
