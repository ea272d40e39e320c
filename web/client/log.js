// One room as this client knows it: events in order of `seq`, each once, with edits and deletions
// folded in. It owns the cursor. It never sends anything and knows no socket.

/** Entries kept in memory; a room left open for a month must not grow the tab without end. */
const KEEP = 2_000;

/**
 * @typedef {{id: string, nick: string, role?: string, bot?: boolean}} Sender
 * @typedef {{type: 'message', seq: number, ts: string, from: Sender, cid?: string, text: string,
 *   edited?: string, deleted?: boolean}} MessageEntry
 * @typedef {{type: 'notice', seq: number, ts: string, text: string, texts?: Record<string, string>}}
 *   NoticeEntry
 * @typedef {{type: 'gap', from: number, to: number}} GapEntry
 * @typedef {MessageEntry | NoticeEntry | GapEntry} Entry
 *
 * What a step did to the entries, so that a view can follow without looking at all of them.
 * @typedef {object} Change
 * @property {boolean} reset everything known before is void
 * @property {Entry[]} added in order, at the end
 * @property {Entry[]} changed entries whose text changed in place
 * @property {Entry[]} dropped oldest entries that left memory
 * @property {boolean} hole the event is not the next one: ask the server to join again
 */

export class RoomLog {
  constructor() {
    /** @type {Entry[]} */
    this.entries = [];
    this.gen = '0';
    /** Last seq known. */
    this.seq = 0;
    /** Whether the server has ever told us where the room stands. */
    this.known = false;
    /** @type {Map<number, MessageEntry>} */
    this.#bySeq = new Map();
  }

  /** @type {Map<number, MessageEntry>} */
  #bySeq;

  /** Where to resume, or null if nothing is known yet. @returns {string | null} */
  get cursor() {
    return this.known ? `${this.gen}.${this.seq}` : null;
  }

  /**
   * Takes what `joined` brought. Events that are already here are passed over.
   *
   * @param {{gen: string, head: number, events: any[], gap?: any}} joined
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
    const fresh = first || change.reset;
    this.known = true;
    this.gen = joined.gen;

    const events = joined.events ?? [];
    if (fresh) {
      this.seq = events.length > 0 ? events[0].seq - 1 : joined.head;
    } else if (Number.isInteger(joined.gap?.to) && joined.gap.to > this.seq) {
      this.#addGap(this.seq + 1, joined.gap.to, change);
    }
    for (const event of events) {
      // The server says `gap` when it leaves something out; should it not, we still do not pretend.
      if (event.seq > this.seq + 1) this.#addGap(this.seq + 1, event.seq - 1, change);
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
    if (gap.to > this.seq) this.#addGap(this.seq + 1, gap.to, change);
    return change;
  }

  /** @param {any} event @param {Change} change */
  #take(event, change) {
    if (event.seq <= this.seq) return;
    this.seq = event.seq;
    // A room is born with its first event; until then it answered gen 0.
    if (typeof event.gen === 'string') this.gen = event.gen;
    switch (event.kind) {
      case 'message': {
        /** @type {MessageEntry} */
        const entry = {
          type: 'message',
          seq: event.seq,
          ts: event.ts,
          from: event.from,
          cid: event.cid,
          text: event.text ?? '',
          edited: event.edited_at,
          deleted: event.deleted === true,
        };
        this.#bySeq.set(entry.seq, entry);
        this.#add(entry, change);
        break;
      }
      case 'notice':
        this.#add(
          { type: 'notice', seq: event.seq, ts: event.ts, text: event.text, texts: event.texts },
          change,
        );
        break;
      case 'edit':
      case 'delete': {
        const target = this.#bySeq.get(event.target);
        if (!target) break;
        if (event.kind === 'delete') {
          target.deleted = true;
          target.text = '';
        } else if (!target.deleted) {
          target.text = event.text ?? '';
          target.edited = event.ts;
        }
        if (!change.added.includes(target)) change.changed.push(target);
        break;
      }
      default: // reactions and settings have their seq and, for now, no line of their own
    }
  }

  /** @param {number} from @param {number} to @param {Change} change */
  #addGap(from, to, change) {
    this.seq = to;
    this.#add({ type: 'gap', from, to }, change);
  }

  /** @param {Entry} entry @param {Change} change */
  #add(entry, change) {
    this.entries.push(entry);
    change.added.push(entry);
  }

  /** @param {Change} change */
  #trim(change) {
    if (this.entries.length <= KEEP) return;
    const dropped = this.entries.splice(0, this.entries.length - KEEP);
    for (const entry of dropped) if (entry.type === 'message') this.#bySeq.delete(entry.seq);
    change.dropped.push(...dropped);
  }

  #forget() {
    this.entries = [];
    this.#bySeq.clear();
    this.seq = 0;
  }
}

/** @returns {Change} */
function noChange() {
  return { reset: false, added: [], changed: [], dropped: [], hole: false };
}
