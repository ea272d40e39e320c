// One room as this client knows it: what it holds of it in order of `seq`, each event once, with edits,
// deletions and reactions folded in, and an entry for every stretch it does not hold. It owns the cursor.
// It never sends anything and knows no socket.

import { covered, noChange, seqOf } from './entries.js';
import { change as changeMessage, messageOf, refresh } from './message.js';

/** Entries held at most; a room left open for a month must not grow the tab without end. */
const KEEP = 1_000;
/** Entries let go at once when there are more: one at a time would move the whole page for each message. */
const SLACK = 100;
/** Changes remembered for messages that an answer on its way may bring in an older state. */
const RECENT = 1_000;

/**
 * @typedef {import('./message.js').MessageEntry} MessageEntry
 * @typedef {import('./entries.js').GapEntry} GapEntry
 * @typedef {import('./entries.js').Entry} Entry
 * @typedef {import('./entries.js').Change} Change
 * @typedef {import('./entries.js').Place} Place
 */

export class RoomLog {
  /** By seq. @type {Entry[]} */
  entries = [];
  gen = '0';
  /** Last seq known. */
  seq = 0;
  /** Lowest seq known: from here to `seq` everything is held but for the gaps. */
  low = 1;
  /** Lowest seq that the server has. */
  oldest = 1;
  /** Whether the server has ever told us where the room stands. */
  known = false;
  /** Where somebody is reading, so that what is far from there is let go first; absent: at the end. @type {number | undefined} */
  focus = undefined;
  /** Our user id. @type {string | undefined} */
  #me = undefined;

  /** @type {Map<number, MessageEntry>} */
  #bySeq = new Map();
  /** The latest edits, deletions and reactions, oldest first. @type {any[]} */
  #recent = [];
  /** What we gave or took back, by target and emoji. @type {Map<string, {on: boolean, seq: number}>} */
  #own = new Map();
  /** End of the latest gap; a state from before it proves nothing. */
  #staleUntil = 0;

  /** Where to resume, or null if nothing is known yet. @returns {string | null} */
  get cursor() {
    return this.known ? `${this.gen}.${this.seq}` : null;
  }

  /** Whether the server has anything below what is held. */
  get hasOlder() {
    return this.known && this.low > this.oldest;
  }

  /** Who we are, so that our own reactions are known. @param {string} id */
  iAm(id) {
    if (id !== this.#me) this.#own.clear();
    this.#me = id;
  }

  /** @param {number} seq @returns {MessageEntry | undefined} */
  find(seq) {
    return this.#bySeq.get(seq);
  }

  /** Whether we gave `emoji` to a message, as far as is known. @param {number} seq @param {string} emoji */
  isMine(seq, emoji) {
    return this.#own.get(`${seq} ${emoji}`)?.on === true;
  }

  /**
   * Takes what `joined` brought. Events that are already here are passed over.
   *
   * @param {{gen: string, head: number, oldest?: number, events: any[], gap?: any}} joined
   * @returns {Change}
   */
  join(joined) {
    const change = noChange();
    const otherNumbers = this.seq > 0 && this.gen !== '0' && joined.gen !== this.gen;
    const first = !this.known;
    if (joined.gap?.reset || otherNumbers) {
      this.#forget();
      change.reset = true;
    }
    this.known = true;
    this.gen = joined.gen;
    this.oldest = joined.oldest ?? this.oldest;

    const events = joined.events ?? [];
    if (first || change.reset) {
      this.seq = events.length > 0 ? events[0].seq - 1 : joined.head;
      this.low = this.seq + 1;
    } else if (Number.isInteger(joined.gap?.to)) {
      this.#miss(joined.gap.to, change);
    }
    for (const event of events) {
      // The server says `gap` when it leaves something out; should it not, we still do not pretend.
      this.#miss(event.seq - 1, change);
      this.#take(event, change);
    }
    this.#trim(change);
    return change;
  }

  /**
   * @param {any} event an `event` frame
   * @returns {Change}
   */
  event(event) {
    const change = noChange();
    if (event.seq > this.seq + 1) {
      change.hole = true;
      return change;
    }
    this.#take(event, change);
    this.#trim(change);
    return change;
  }

  /**
   * Takes a `gap` frame: what lies in it was not sent and will not be.
   *
   * @param {{from: number, to: number}} gap
   * @returns {Change}
   */
  gap(gap) {
    const change = noChange();
    this.#miss(gap.to, change);
    return change;
  }

  /**
   * Puts an answer to `history` in its place. Its messages are as of `head`, which may be newer or older
   * than what is here. What it tells of events still to come is left to come.
   *
   * @param {Place} place what was asked
   * @param {{events: any[], oldest: number, head: number, more: boolean}} answer
   * @returns {Change}
   */
  history(place, answer) {
    const change = noChange();
    this.oldest = answer.oldest;
    const events = answer.events.filter((event) => event.seq <= this.seq);
    const current = answer.head >= this.#staleUntil;
    for (const event of events) {
      const held = this.#bySeq.get(event.seq);
      if (held) {
        if (refresh(held, event, answer.head)) change.changed.push(held);
      } else if (!this.entries.some((entry) => entry.type === 'notice' && entry.seq === event.seq)) {
        const entry = this.#entryOf(event, answer.head);
        if (entry) change.inserted.push(entry);
        if (entry?.type === 'message') entry.stale = !current;
      }
    }
    this.entries.push(...change.inserted);
    // Our own reactions are told by their events alone, and these tell of messages outside the answer.
    for (const event of [...events, ...this.#recent]) this.#apply(event, change);
    const range = covered(place, answer, events, this.seq);
    // What was asked about and is not in the answer is gone there; it cannot change any more.
    if (current && range) {
      for (const entry of this.#bySeq.values()) {
        if (entry.seq >= range.from && entry.seq <= range.to) entry.stale = false;
      }
    }
    this.#cover(range, change);
    this.entries.sort((a, b) => seqOf(a) - seqOf(b));
    this.#trim(change);
    return change;
  }

  /** @param {any} event @param {Change} change */
  #take(event, change) {
    if (event.seq <= this.seq) return;
    this.seq = event.seq;
    // A room is born with its first event; until then it answered gen 0.
    if (typeof event.gen === 'string') this.gen = event.gen;
    // In `joined` a message may be as of its own event or as of now. Taken as the former, what followed
    // it is folded in (again) and the outcome is the same.
    const entry = this.#entryOf(event, event.seq);
    if (entry) {
      this.entries.push(entry);
      change.added.push(entry);
    } else if (event.target !== undefined) {
      this.#recent.push(event);
      if (this.#recent.length > RECENT) this.#recent.shift();
      this.#apply(event, change);
    }
  }

  /** The entry of an event that has a line of its own. @param {any} event @param {number} asOf @returns {Entry | undefined} */
  #entryOf(event, asOf) {
    if (event.kind === 'message') {
      const entry = messageOf(event, asOf);
      this.#bySeq.set(entry.seq, entry);
      return entry;
    }
    if (event.kind !== 'notice') return undefined;
    return { type: 'notice', seq: event.seq, ts: event.ts, text: event.text, texts: event.texts };
  }

  /** @param {any} event @param {Change} change */
  #apply(event, change) {
    if (event.target === undefined) return;
    if (event.kind === 'reaction' && event.from?.id === this.#me) {
      const key = `${event.target} ${event.emoji}`;
      if (event.seq > (this.#own.get(key)?.seq ?? 0)) this.#own.set(key, { on: event.on, seq: event.seq });
    }
    const target = this.#bySeq.get(event.target);
    if (!target || !changeMessage(target, event)) return;
    const reported = [change.added, change.inserted, change.changed].some((list) => list.includes(target));
    if (!reported) change.changed.push(target);
  }

  /** The server left out what comes after `seq`, up to `to`. @param {number} to @param {Change} change */
  #miss(to, change) {
    if (to <= this.seq) return;
    this.#staleUntil = to;
    for (const entry of this.#bySeq.values()) entry.stale = true;
    const from = this.seq + 1;
    this.seq = to;
    const last = this.entries.at(-1);
    if (last?.type === 'gap') {
      last.to = to;
      change.changed.push(last);
    } else {
      /** @type {GapEntry} */
      const gap = { type: 'gap', from, to };
      this.entries.push(gap);
      change.added.push(gap);
    }
  }

  /** `from` to `to` is held now: gaps shrink, or one opens below what was held. @param {{from: number, to: number} | undefined} range @param {Change} change */
  #cover(range, change) {
    if (range) {
      const { from, to } = range;
      if (to + 1 < this.low) this.#insertGap(to + 1, this.low - 1, change);
      this.low = Math.min(this.low, from);
      for (const gap of this.#gaps()) {
        if (to < gap.from || from > gap.to) continue;
        if (from > gap.from && to < gap.to) this.#insertGap(gap.from, from - 1, change);
        if (to < gap.to) gap.from = to + 1;
        else gap.to = from - 1;
        change.changed.push(gap);
      }
    }
    for (const gap of this.#gaps()) {
      // What is gone cannot be fetched.
      gap.from = Math.max(gap.from, this.oldest);
      if (gap.from > gap.to) this.#remove([gap], change);
    }
  }

  #gaps() {
    return this.entries.filter((entry) => entry.type === 'gap');
  }

  /** @param {number} from @param {number} to @param {Change} change */
  #insertGap(from, to, change) {
    /** @type {GapEntry} */
    const gap = { type: 'gap', from, to };
    this.entries.push(gap);
    change.inserted.push(gap);
  }

  /** Lets go of what is farthest from where somebody reads. @param {Change} change */
  #trim(change) {
    if (this.entries.length <= KEEP) return;
    const over = this.entries.length - (KEEP - SLACK);
    const focus = this.focus;
    const at = focus === undefined ? -1 : this.entries.findIndex((entry) => seqOf(entry) >= focus);
    const above = at < 0 ? this.entries.length : at;
    const top = Math.min(over, Math.max(0, above - (KEEP - SLACK) / 2));
    if (top > 0) {
      // A gap at the top is nothing but the end of what is held.
      const first = this.entries.findIndex((entry, index) => index >= top && entry.type !== 'gap');
      this.#remove(this.entries.slice(0, first < 0 ? top : first), change);
      this.low = seqOf(this.entries[0]);
    }
    if (top === over) return;
    const dropped = this.entries.slice(top - over);
    const before = this.entries.at(top - over - 1);
    if (before?.type === 'gap') {
      this.#remove(dropped, change);
      before.to = this.seq;
      change.changed.push(before);
    } else if (before) {
      // One more, because a gap takes their place.
      this.#remove([before, ...dropped], change);
      this.#insertGap(before.seq, this.seq, change);
    }
  }

  /** @param {Entry[]} entries @param {Change} change */
  #remove(entries, change) {
    const gone = new Set(entries);
    this.entries = this.entries.filter((entry) => !gone.has(entry));
    for (const entry of entries) if (entry.type === 'message') this.#bySeq.delete(entry.seq);
    change.removed.push(...entries);
  }

  #forget() {
    this.entries = [];
    this.#bySeq.clear();
    this.#recent = [];
    this.#own.clear();
    this.#staleUntil = 0;
    this.seq = 0;
    this.focus = undefined;
  }
}
