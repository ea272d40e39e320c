// Fetches what somebody is about to read: older messages near the top, gaps in sight, messages that a gap
// has put out of date, the place that a link names. One question at a time, of what is nearest first.

import { seqOf } from './client/parlor.js';
import { t } from './text.js';

/** Events asked for at once. */
const PAGE = 50;

/**
 * @typedef {import('../client/room.js').Room} Room
 * @typedef {import('../client/entries.js').Entry} Entry
 * @typedef {import('../client/entries.js').GapEntry} GapEntry
 * @typedef {import('../client/entries.js').MessageEntry} MessageEntry
 * @typedef {import('../client/entries.js').Place} Where
 */

export class Reader {
  /**
   * @param {Room} room
   * @param {import('./place.js').Place} place
   * @param {import('./view.js').LogView} view
   * @param {{older: HTMLButtonElement, status: HTMLElement}} parts
   */
  constructor(room, place, view, { older, status }) {
    this.#room = room;
    this.#place = place;
    this.#view = view;
    this.#older = older;
    this.#status = status;
    older.addEventListener('click', () => this.#again(() => this.#loadOlder()));
  }

  #room;
  #place;
  #view;
  #older;
  #status;
  #busy = false;
  /** A question failed; nothing is asked by itself until the reader or a new connection says so. */
  #failed = false;
  /** The seq that a link named before the room was there. @type {number | undefined} */
  #wanted = undefined;
  /** The message that must not move while a gap is filled from below. @type {Element | undefined} */
  #pin = undefined;
  #looking = false;

  get pin() {
    return this.#pin;
  }

  /** Whether the latest messages are not in the log. */
  get cutOff() {
    return this.#room.log.entries.at(-1)?.type === 'gap';
  }

  /** The room was joined (again). */
  joined() {
    this.#failed = false;
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted !== undefined) this.goTo(wanted);
    else this.look();
  }

  /** Looks around, once per frame at most, and fetches what is missing near what is in sight. */
  look() {
    if (this.#looking) return;
    this.#looking = true;
    requestAnimationFrame(() => {
      this.#looking = false;
      this.#look();
    });
  }

  /** Fills the gap that an element belongs to. @param {Element} element */
  fill(element) {
    const entry = this.#view.entryOf(element);
    if (entry?.type === 'gap') this.#again(() => this.#fillGap(entry));
  }

  /** Brings a message to sight, from wherever it is. @param {number} seq */
  async goTo(seq) {
    const { log } = this.#room;
    if (!log.known) {
      this.#wanted = seq;
      return;
    }
    if (!log.find(seq) && seq >= log.oldest && seq <= log.seq) {
      log.focus = seq;
      await this.#ask({ around: seq });
    }
    // What has no line of its own, or is gone, leads to what comes after it.
    const entry = log.entries.find((e) => e.type === 'message' && e.seq >= seq);
    const node = entry && this.#view.nodeOf(entry);
    if (!node) return;
    for (const other of document.querySelectorAll('.linked')) other.classList.remove('linked');
    node.classList.add('linked');
    node.tabIndex = -1;
    this.#place.toMiddle(node);
    node.focus({ preventScroll: true });
    this.look();
  }

  /** Brings the end to sight, fetching it if it was let go. */
  async toEnd() {
    const { log } = this.#room;
    log.focus = undefined;
    if (this.cutOff) await this.#ask({ before: log.seq + 1 });
    this.#place.toEnd();
    this.look();
  }

  #look() {
    const { log } = this.#room;
    const seen = this.#place.inSight().map((node) => this.#view.entryOf(node));
    log.focus = this.#place.atEnd && !this.cutOff ? undefined : seen[0] && seqOf(seen[0]);
    this.#showOlder();
    if (!log.known || this.#busy || this.#failed || !this.#room.joined) return;
    const gap = this.#nearest(log.entries.filter((entry) => entry.type === 'gap'));
    if (gap) this.#fillGap(gap);
    else if (log.hasOlder && this.#isNear(this.#older)) this.#loadOlder();
    else {
      const stale = /** @type {MessageEntry | undefined} */ (seen.find((entry) => entry?.type === 'message' && entry.stale));
      if (stale) this.#ask({ after: stale.seq - 1 }, () => stale.stale);
    }
  }

  #loadOlder() {
    const { log } = this.#room;
    return this.#ask({ before: log.low }, () => log.low);
  }

  /** From the side somebody reads on: what lies next to it comes first. @param {GapEntry} gap */
  async #fillGap(gap) {
    const node = this.#view.nodeOf(gap);
    if (!node) return;
    const size = () => (this.#room.log.entries.includes(gap) ? gap.to - gap.from : -1);
    if (!this.#place.isUpper(node)) {
      await this.#ask({ after: gap.from - 1 }, size);
      return;
    }
    const next = node.nextElementSibling?.matches('.day') ? node.nextElementSibling.nextElementSibling : node.nextElementSibling;
    const text = next?.querySelector('.text');
    this.#pin = next && text && this.#place.distance(next) === 0 ? text : undefined;
    await this.#ask({ before: gap.to + 1 }, size);
    this.#pin = undefined;
  }

  /** @param {GapEntry[]} gaps */
  #nearest(gaps) {
    return gaps.find((gap) => {
      const node = this.#view.nodeOf(gap);
      return node !== undefined && this.#isNear(node);
    });
  }

  /** Within a screen of what is in sight. @param {Element} node */
  #isNear(node) {
    return Math.abs(this.#place.distance(node)) < this.#place.height;
  }

  /** @param {() => Promise<void> | undefined} ask */
  #again(ask) {
    this.#failed = false;
    if (!this.#busy) ask();
  }

  /**
   * @param {Where} where
   * @param {() => any} [reached] must differ afterwards: what leads nowhere would be asked at once again
   */
  async #ask(where, reached) {
    const before = reached?.();
    this.#busy = true;
    this.#showOlder();
    try {
      await this.#room.history({ ...where, limit: PAGE });
      this.#failed = reached !== undefined && reached() === before;
    } catch {
      this.#failed = true;
    }
    this.#busy = false;
    this.#showOlder();
    this.look();
  }

  #showOlder() {
    this.#place.keep(() => {
      this.#older.hidden = !this.#room.log.hasOlder;
      this.#older.setAttribute('aria-disabled', String(this.#busy));
      const words = this.#busy ? t('loading') : t('older');
      if (this.#older.textContent !== words) this.#older.textContent = words;
      this.#status.textContent = this.#failed ? t('load_failed') : '';
    }, this.#pin);
  }
}
