// Where a message is written, and where an own one is written anew.

import { listenForEnter } from './ime.js';
import { element, t } from './text.js';

/** The counter appears when fewer characters are left. */
const COUNT_FROM = 200;

/**
 * @typedef {import('../client/message.js').MessageEntry} MessageEntry
 *
 * @typedef {object} Means
 * @property {(text: string) => void} send
 * @property {(entry: MessageEntry, text: string) => void} edit
 * @property {(entry: MessageEntry) => void} remove the text was taken away altogether; ask first
 * @property {() => MessageEntry | undefined} lastOwn the latest message that can be edited
 * @property {(entry: MessageEntry) => string} textOf as it is shown
 * @property {(entry: MessageEntry | undefined) => void} editing what is being edited has changed
 * @property {(change: () => void) => void} keep changes the height without moving the log
 */

export class Composer {
  /** @param {Means} means */
  constructor(means) {
    this.#means = means;
    const input = this.#input;
    listenForEnter(input, (event) => {
      if (event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      if (!event.repeat) this.#submit();
    });
    element('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
      input.focus();
    });
    input.addEventListener('input', () => this.#changed());
    input.addEventListener('keydown', (event) => this.#key(event));
    element('editing-cancel').addEventListener('click', () => {
      this.stopEditing();
      input.focus();
    });
    this.#changed();
  }

  #means;
  /** @type {HTMLTextAreaElement} */
  #input = element('chat-message-input');
  /** @type {HTMLButtonElement} */
  #button = element('chat-message-submit');
  #counter = element('counter');
  #bar = element('editing');
  #send = this.#button.textContent ?? '';
  #limit = 2_000;
  #disabled = false;
  /** @type {MessageEntry | undefined} */
  #entry = undefined;
  /** What was being written when the editing began. */
  #draft = '';

  /** Most characters. */
  set limit(/** @type {number} */ limit) {
    this.#limit = limit;
    this.#changed();
  }

  set disabled(/** @type {boolean} */ disabled) {
    this.#disabled = disabled;
    this.#input.disabled = disabled;
    this.#changed();
  }

  set room(/** @type {string} */ room) {
    this.#input.placeholder = t('placeholder', { room });
  }

  focus() {
    this.#input.focus();
  }

  /** @param {MessageEntry} entry */
  startEditing(entry) {
    if (!this.#entry) this.#draft = this.#input.value;
    this.#set(entry, this.#means.textOf(entry));
    this.#input.focus();
    this.#input.setSelectionRange(this.#input.value.length, this.#input.value.length);
  }

  /** Goes back to what was being written. */
  stopEditing() {
    if (!this.#entry) return;
    this.#set(undefined, this.#draft);
    this.#draft = '';
  }

  /** The log has changed: what is deleted or forgotten is not edited any more. @param {(seq: number) => MessageEntry | undefined} find */
  update(find) {
    const entry = this.#entry;
    if (entry && find(entry.seq)?.deleted !== false) this.stopEditing();
  }

  /** @param {MessageEntry | undefined} entry @param {string} text */
  #set(entry, text) {
    this.#entry = entry;
    this.#input.value = text;
    this.#means.keep(() => {
      this.#bar.hidden = entry === undefined;
    });
    this.#button.textContent = entry ? t('save') : this.#send;
    this.#changed();
    this.#means.editing(entry);
  }

  #submit() {
    const text = this.#input.value;
    if (this.#disabled || [...text].length > this.#limit) return;
    const entry = this.#entry;
    if (entry) {
      this.stopEditing();
      if (text.trim() === '') this.#means.remove(entry);
      else if (text !== this.#means.textOf(entry)) this.#means.edit(entry, text);
      return;
    }
    if (text.trim() === '') return;
    this.#input.value = '';
    this.#changed();
    this.#means.send(text);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Escape' && this.#entry) {
      event.preventDefault();
      this.stopEditing();
    }
    const plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key !== 'ArrowUp' || !plain || this.#input.value !== '') return;
    const entry = this.#means.lastOwn();
    if (!entry) return;
    event.preventDefault();
    this.startEditing(entry);
  }

  #changed() {
    const left = this.#limit - [...this.#input.value].length;
    this.#counter.textContent = left < 0 ? t('over', { n: -left }) : left < COUNT_FROM ? t('left', { n: left }) : '';
    this.#counter.classList.toggle('over', left < 0);
    this.#button.disabled = this.#disabled || left < 0;
    if (CSS.supports('field-sizing', 'content')) return;
    this.#means.keep(() => {
      this.#input.style.height = 'auto';
      this.#input.style.height = `${this.#input.scrollHeight}px`;
    });
  }
}
