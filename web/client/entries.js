// What a room's log is made of, and what a step of it reports. Plain data and pure functions.

/**
 * @typedef {import('./message.js').MessageEntry} MessageEntry
 * @typedef {{type: 'notice', seq: number, ts: string, text: string, texts?: Record<string, string>}}
 *   NoticeEntry
 * @typedef {{type: 'gap', from: number, to: number}} GapEntry a stretch that is not held
 * @typedef {MessageEntry | NoticeEntry | GapEntry} Entry
 *
 * What a step did to the entries, so that a view can follow without looking at all of them.
 * @typedef {object} Change
 * @property {boolean} reset everything known before is void
 * @property {Entry[]} added news, at the end
 * @property {Entry[]} inserted what history put in its place
 * @property {Entry[]} changed entries whose content changed in place
 * @property {Entry[]} removed entries that left, or that came and found no room (they are in `added` too)
 * @property {boolean} hole the event is not the next one: ask the server to join again
 *
 * What to ask `history` for: one of these.
 * @typedef {{before?: number, after?: number, around?: number, at?: string}} Place
 */

/** Where an entry stands. @param {Entry} entry */
export function seqOf(entry) {
  return entry.type === 'gap' ? entry.from : entry.seq;
}

/**
 * The stretch that an answer leaves no question about.
 *
 * @param {Place} place
 * @param {{oldest: number, head: number, more: boolean}} answer
 * @param {any[]} events
 * @param {number} known last seq held
 */
export function covered(place, { oldest, head, more }, events, known) {
  let from = events[0]?.seq;
  let to = events.at(-1)?.seq;
  if (place.before !== undefined) {
    to = place.before - 1;
    if (!more) from = oldest;
  } else if (place.after !== undefined) {
    from = place.after + 1;
    if (!more) to = head;
  }
  if (from === undefined || to === undefined || from > Math.min(to, known)) return undefined;
  return { from, to: Math.min(to, known) };
}

/** @returns {Change} */
export function noChange() {
  return { reset: false, added: [], inserted: [], changed: [], removed: [], hole: false };
}
