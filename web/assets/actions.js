// What can be done with a message: its menu, its reactions, and the keys that lead there. In the log one
// button is in the tab order; the arrow keys move on from it.

import { element, t } from './text.js';

/** What one can react with; chips of other emoji toggle as well. */
const EMOJI = ['👍', '❤️', '😂', '🎉', '😮', '🙏'];

/**
 * @typedef {import('../client/message.js').MessageEntry} MessageEntry
 *
 * What the actions need to know and to do.
 * @typedef {object} Means
 * @property {(element: Element | null) => MessageEntry | undefined} messageOf
 * @property {(entry: MessageEntry, emoji: string) => boolean} isMine the reaction, as it is shown
 * @property {(entry: MessageEntry) => boolean} canEdit
 * @property {(entry: MessageEntry) => boolean} canDelete
 * @property {(entry: MessageEntry, emoji: string, on: boolean) => void} react
 * @property {(entry: MessageEntry) => void} edit
 * @property {(entry: MessageEntry) => void} remove without asking
 */

export class Actions {
  /** @param {HTMLElement} log @param {Means} means */
  constructor(log, means) {
    this.#log = log;
    this.#means = means;
    this.#choices.append(...EMOJI.map(choice));
    log.addEventListener('click', (event) => this.#clicked(/** @type {Element} */ (event.target)));
    log.addEventListener('keydown', (event) => this.#key(event));
    log.addEventListener('focusin', (event) => {
      const message = /** @type {Element} */ (event.target).closest('.message');
      if (message) this.#rove(message);
    });
    this.#menu.addEventListener('click', (event) => this.#chosen(/** @type {Element} */ (event.target)));
    this.#menu.addEventListener('keydown', (event) => this.#menuKey(event));
    this.#menu.addEventListener('toggle', (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === 'closed') this.#opener?.setAttribute('aria-expanded', 'false');
    });
    element('delete-cancel').addEventListener('click', () => this.#dialog.close());
    element('delete-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#dialog.close();
      if (this.#entry) this.#means.remove(this.#entry);
    });
    this.#dialog.addEventListener('close', () => element('chat-message-input').focus());
  }

  #log;
  #means;
  #menu = element('menu');
  #choices = element('choices');
  #editItem = element('menu-edit');
  #deleteItem = element('menu-delete');
  /** @type {HTMLAnchorElement} */
  #linkItem = element('menu-link');
  /** @type {HTMLDialogElement} */
  #dialog = element('delete-dialog');
  /** What the menu or the dialog is about. @type {MessageEntry | undefined} */
  #entry = undefined;
  /** @type {HTMLElement | undefined} */
  #opener = undefined;
  /** The message whose button is in the tab order. @type {Element | undefined} */
  #current = undefined;

  /** The log has changed: the last message's button is in the tab order, unless somebody is in the log. */
  update() {
    if (this.#current?.isConnected && this.#current.contains(document.activeElement)) return;
    let last = this.#log.lastElementChild;
    while (last && !last.querySelector('.more')) last = last.previousElementSibling;
    if (last) this.#rove(last);
  }

  /** Asks before it deletes. @param {MessageEntry} entry */
  confirmDelete(entry) {
    this.#entry = entry;
    element('delete-quote').textContent = entry.text;
    this.#dialog.showModal();
  }

  /** @param {Element} target */
  #clicked(target) {
    const button = /** @type {HTMLElement | null} */ (target.closest('button'));
    const entry = this.#means.messageOf(button);
    if (!button || !entry) return;
    if (button.classList.contains('more')) this.#open(entry, button);
    const { emoji } = button.dataset;
    if (emoji) this.#means.react(entry, emoji, !this.#means.isMine(entry, emoji));
  }

  /** @param {MessageEntry} entry @param {HTMLElement} button */
  #open(entry, button) {
    this.#entry = entry;
    this.#opener = button;
    for (const node of this.#choices.children) {
      const { emoji = '' } = /** @type {HTMLElement} */ (node).dataset;
      node.setAttribute('aria-checked', String(this.#means.isMine(entry, emoji)));
    }
    this.#editItem.hidden = !this.#means.canEdit(entry);
    this.#deleteItem.hidden = !this.#means.canDelete(entry);
    this.#linkItem.href = `#${entry.seq}`;
    this.#menu.showPopover();
    button.setAttribute('aria-expanded', 'true');
    const from = button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#menu;
    const below = from.bottom + height + 8 <= innerHeight;
    this.#menu.style.top = `${Math.max(8, below ? from.bottom + 4 : from.top - height - 4)}px`;
    this.#menu.style.left = `${Math.min(Math.max(8, from.right - width), innerWidth - width - 8)}px`;
    this.#items()[0]?.focus();
  }

  /** @param {Element} target */
  #chosen(target) {
    const item = /** @type {HTMLElement | null} */ (target.closest('[role^=menuitem]'));
    const entry = this.#entry;
    if (!item || !entry) return;
    this.#menu.hidePopover();
    const { emoji } = item.dataset;
    if (emoji) this.#means.react(entry, emoji, !this.#means.isMine(entry, emoji));
    else if (item === this.#editItem) this.#means.edit(entry);
    else if (item === this.#deleteItem) this.confirmDelete(entry);
  }

  /** @param {KeyboardEvent} event */
  #menuKey(event) {
    const items = this.#items();
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = {
      ArrowRight: at + 1,
      ArrowLeft: at - 1,
      // The reactions are one row, the rest one below the other.
      ArrowDown: at < EMOJI.length ? EMOJI.length : at + 1,
      ArrowUp: at === EMOJI.length ? 0 : at - 1,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (event.key === 'Tab') this.#menu.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    items[(to + items.length) % items.length]?.focus();
  }

  #items() {
    const items = /** @type {HTMLElement[]} */ ([...this.#menu.querySelectorAll('[role^=menuitem]')]);
    return items.filter((item) => !item.hidden);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const control = /** @type {HTMLElement} */ (event.target).closest('.more, .chip');
    const message = control?.closest('.message');
    if (!control || !message || event.altKey || event.ctrlKey || event.metaKey) return;
    const own = /** @type {HTMLElement[]} */ ([...message.querySelectorAll('.chip, .more')]);
    const messages = [...this.#log.querySelectorAll('.message:has(.more)')];
    const at = messages.indexOf(message);
    const beside = own.indexOf(/** @type {HTMLElement} */ (control));
    const to = {
      ArrowUp: messages[at - 1],
      ArrowDown: messages[at + 1],
      Home: messages[0],
      End: messages.at(-1),
    }[event.key];
    const target = to ? to.querySelector('.more') : { ArrowLeft: own[beside - 1], ArrowRight: own[beside + 1] }[event.key];
    if (!target) return;
    event.preventDefault();
    /** @type {HTMLElement} */ (target).focus();
  }

  /** @param {Element} message */
  #rove(message) {
    const more = /** @type {HTMLElement | null} */ (message.querySelector('.more'));
    const before = /** @type {HTMLElement | null | undefined} */ (this.#current?.querySelector('.more'));
    if (before) before.tabIndex = -1;
    if (more) more.tabIndex = 0;
    this.#current = message;
  }
}

/** @param {string} emoji */
function choice(emoji) {
  const node = document.createElement('button');
  node.type = 'button';
  node.textContent = emoji;
  node.dataset.emoji = emoji;
  node.setAttribute('role', 'menuitemcheckbox');
  node.setAttribute('aria-label', t('react_with', { emoji }));
  return node;
}
