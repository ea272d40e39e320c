// What is not in the room yet, on the screen: messages under the log, and edits, deletions and reactions
// that failed. Those still on their way show on the message they are for, as wishes.

import { canDiscard } from './client/parlor.js';
import { make, makeButton, nickLine } from './dom.js';
import { dress } from './people.js';
import { errorText, t } from './text.js';

/** Codes after which a copy may be in the room although nobody confirmed it. */
const MAYBE = new Set(['CID_EXPIRED', 'OTHER_USER']);

/**
 * @typedef {import('../client/outbox.js').Item} Item
 * @typedef {import('./message.js').Wish} Wish
 */

/**
 * What the items on their way will make of the messages they are for.
 *
 * @param {Item[]} items
 * @returns {Map<number, Wish>}
 */
export function wishesOf(items) {
  /** @type {Map<number, Wish>} */
  const wishes = new Map();
  for (const { op, state, target, text, emoji, on } of items) {
    if (target === undefined || state === 'failed') continue;
    const wish = wishes.get(target) ?? { reactions: new Map() };
    wishes.set(target, wish);
    if (op === 'edit') wish.text = text;
    if (op === 'delete') wish.deleted = true;
    if (op === 'react') wish.reactions.set(emoji ?? '', on === true);
  }
  return wishes;
}

export class OutboxView {
  /**
   * @param {HTMLElement} root
   * @param {{retry: (cid: string) => void, discard: (cid: string) => void}} actions
   */
  constructor(root, actions) {
    this.#root = root;
    this.#actions = actions;
    // The nodes are made anew whenever something changes, so the buttons share one listener.
    root.addEventListener('click', (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest('button');
      const { cid, action } = button?.dataset ?? {};
      if (cid && action === 'retry') this.#actions.retry(cid);
      if (cid && action === 'discard') this.#actions.discard(cid);
    });
  }

  #root;
  #actions;
  #drawn = '';

  /**
   * @param {Item[]} all
   * @param {{id: string, nick: string} | undefined} me
   * @param {boolean} online
   * @param {boolean} grouped the log above ends with a message of ours
   */
  draw(all, me, online, grouped) {
    const items = all.filter((item) => item.op === 'send' || item.state === 'failed');
    const shown = items.map((i) => [i.cid, i.state, i.code, i.notBefore]);
    const state = JSON.stringify([shown, me, online, grouped]);
    if (state === this.#drawn) return;
    this.#drawn = state;
    const nodes = items.map((item, index) => this.#item(item, index === 0 && !grouped, me, online));
    this.#root.replaceChildren(...nodes);
  }

  /**
   * @param {Item} item
   * @param {boolean} first
   * @param {{id: string, nick: string} | undefined} me
   * @param {boolean} online
   */
  #item(item, first, me, online) {
    const node = make('div', `message own ${item.state}${first ? ' first' : ''}`);
    node.dataset.cid = item.cid;
    const avatar = make('span', 'avatar');
    avatar.setAttribute('aria-hidden', 'true');
    if (first && me) dress(avatar, me);
    else avatar.className = 'no-avatar';
    const body = make('div', 'body');
    if (first && me) body.append(nickLine(me.nick));
    const text = make('p', 'text', item.text ?? item.emoji ?? '');
    text.dir = 'auto';
    body.append(text);
    const why = reason(item, online);
    if (why) {
      const note = make('p', item.state === 'failed' ? 'note failed' : 'note', why);
      if (item.state === 'failed' || !online) note.append(' ', action('retry', item));
      if (canDiscard(item)) note.append(' ', action('discard', item));
      body.append(note);
    } else if (item.state === 'pending') {
      body.append(make('span', 'sr-only', t('pending')));
    }
    node.append(avatar, body);
    return node;
  }
}

/** @param {Item} item @param {boolean} online @returns {string} */
function reason(item, online) {
  if (item.state === 'failed') {
    const code = item.code ?? '';
    const maybe = MAYBE.has(code) || (code === 'TIMED_OUT' && item.since !== undefined);
    return t(`${maybe ? 'maybe' : 'failed'}_${item.op}`, { reason: errorText(code, item.message) });
  }
  if (item.state === 'pending' && !online) return t('waiting_connection');
  if (item.state === 'pending' && item.notBefore !== undefined) return t('waiting_server');
  return '';
}

/** @param {'retry' | 'discard'} name @param {Item} item */
function action(name, item) {
  return makeButton('link', t(name), { action: name, cid: item.cid });
}
