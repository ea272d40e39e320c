// One message and what becomes of it. Its state is absolute everywhere it comes from: the text of an
// edit, the count of a reaction, the snapshot in a history answer. So it is enough to know how new each
// part is, and to leave alone what is older: late, twice or out of order, the outcome is the same.

/**
 * @typedef {{id: string, nick: string, role?: string, bot?: boolean}} Sender
 *
 * @typedef {object} MessageEntry
 * @property {'message'} type
 * @property {number} seq
 * @property {string} ts
 * @property {Sender} from
 * @property {string} [cid]
 * @property {string} text empty once deleted
 * @property {string} [edited] when, if ever
 * @property {boolean} deleted
 * @property {Map<string, number>} reactions how many gave each emoji, in the order of their first coming
 * @property {boolean} stale a gap lies above it: it may have changed, fetch it again before it is shown
 * @property {Versions} versions
 *
 * Up to which seq each part is known.
 * @typedef {{text: number, reactions: number, emoji: Map<string, number>}} Versions
 */

/**
 * @param {any} event of kind `message`
 * @param {number} asOf the seq up to which its state is known to be true
 * @returns {MessageEntry}
 */
export function messageOf(event, asOf) {
  return {
    type: 'message',
    seq: event.seq,
    ts: event.ts,
    from: event.from,
    cid: event.cid,
    text: event.text ?? '',
    edited: event.edited_at,
    deleted: event.deleted === true,
    reactions: event.deleted === true ? new Map() : counts(event),
    stale: false,
    versions: { text: asOf, reactions: asOf, emoji: new Map() },
  };
}

/**
 * Takes a newer look at the same message.
 *
 * @param {MessageEntry} entry
 * @param {any} event of kind `message`
 * @param {number} asOf
 * @returns {boolean} whether anything is different now
 */
export function refresh(entry, event, asOf) {
  const before = shown(entry);
  const { versions } = entry;
  if (event.deleted === true) blank(entry);
  if (asOf >= versions.text) {
    versions.text = asOf;
    if (!entry.deleted) {
      entry.text = event.text ?? '';
      entry.edited = event.edited_at;
    }
  }
  if (entry.deleted) return shown(entry) !== before;
  const fresh = counts(event);
  for (const emoji of new Set([...entry.reactions.keys(), ...versions.emoji.keys()])) {
    if (asOf >= versionOf(versions, emoji)) continue;
    const count = entry.reactions.get(emoji);
    if (count === undefined) fresh.delete(emoji);
    else fresh.set(emoji, count);
  }
  if (asOf >= versions.reactions) {
    entry.reactions = fresh;
    versions.reactions = asOf;
  }
  return shown(entry) !== before;
}

/**
 * Folds in an `edit`, `delete` or `reaction` event that names this message.
 *
 * @param {MessageEntry} entry
 * @param {any} event
 * @returns {boolean} whether anything is different now
 */
export function change(entry, event) {
  const before = shown(entry);
  switch (event.kind) {
    case 'delete':
      blank(entry);
      break;
    case 'edit':
      // An edit without text is one whose message was deleted since.
      if (entry.deleted || typeof event.text !== 'string') break;
      if (event.seq <= entry.versions.text) break;
      entry.text = event.text;
      entry.edited = event.ts;
      entry.versions.text = event.seq;
      break;
    case 'reaction':
      if (entry.deleted || event.seq <= versionOf(entry.versions, event.emoji)) break;
      if (event.count > 0) entry.reactions.set(event.emoji, event.count);
      else entry.reactions.delete(event.emoji);
      entry.versions.emoji.set(event.emoji, event.seq);
      break;
    default:
  }
  return shown(entry) !== before;
}

/** A deletion is for ever, whatever else is still on its way. @param {MessageEntry} entry */
function blank(entry) {
  entry.deleted = true;
  entry.text = '';
  entry.edited = undefined;
  entry.reactions = new Map();
}

/** @param {Versions} versions @param {string} emoji */
function versionOf(versions, emoji) {
  return Math.max(versions.reactions, versions.emoji.get(emoji) ?? 0);
}

/** @param {any} event @returns {Map<string, number>} */
function counts(event) {
  return new Map(Object.entries(event.reactions ?? {}));
}

/** @param {MessageEntry} entry */
function shown(entry) {
  return JSON.stringify([entry.text, entry.edited, entry.deleted, [...entry.reactions]]);
}
