// What one room still has to send, be it messages, edits, deletions or reactions: first in, first out,
// one frame in flight.
//
// One in flight, because a refusal such as RATE_LIMITED of the first of two would otherwise let the
// second pass it. An item keeps its `cid` and its `since` through every retry, which is what lets the
// server tell a retry from a new one. It never looks at a clock or a socket by itself.

import { isTemporary } from './retry.js';

/** How long an item is tried before it is given back to its author, in ms. */
const GIVE_UP_MS = 10 * 60_000;
/** Wait when a temporary refusal does not say how long, in ms. */
const DEFAULT_RETRY_MS = 1_000;
/** A server that answers pings but not this frame has lost it; the same cid goes out again. */
const ANSWER_MS = 30_000;

/** Codes after which the old cid is of no use: a second try by hand is a new message. */
const SPENT = new Set(['CID_REUSED', 'CID_EXPIRED', 'CID_INVALID', 'OTHER_USER']);

/** The fields of each operation's frame, beside those that every one has. */
const FIELDS = Object.freeze({
  send: ['text'],
  edit: ['target', 'text'],
  delete: ['target'],
  react: ['target', 'emoji', 'on'],
});

/**
 * What the author wants.
 * @typedef {object} Body
 * @property {'send' | 'edit' | 'delete' | 'react'} op
 * @property {string} [text] of a message or an edit
 * @property {number} [target] the seq of the message that is not to stay as it is
 * @property {string} [targetGen] the numbering `target` belongs to
 * @property {string} [emoji]
 * @property {boolean} [on] the reaction is given, not taken back
 *
 * @typedef {Body & Progress} Item
 *
 * @typedef {object} Progress
 * @property {string} cid
 * @property {number} at when the author sent it, ms since 1970
 * @property {'pending' | 'sent' | 'failed'} state `sent`: acked, its event is not here yet
 * @property {boolean} inFlight
 * @property {number} [since] last seq known at the first attempt; absent: never attempted
 * @property {string} [gen] the numbering `since` belongs to
 * @property {string} [user] who made the first attempt
 * @property {number} [seq] from the ack
 * @property {number} [attemptAt] when the latest attempt was made
 * @property {number} [notBefore] do not retry earlier
 * @property {string} [code] why it failed, or why it waits
 * @property {string} [message] the server's words for `code`
 */

export class Outbox {
  /** @param {any[]} [saved] what `save` returned before the page was reloaded */
  constructor(saved = []) {
    /** @type {Item[]} */
    // What was saved before there was anything but messages does not say that it is one.
    const items = saved.map((item) => (item?.op === undefined ? { ...item, op: 'send' } : item));
    this.items = items.filter(isSaved).map((item) => ({ ...item, inFlight: false }));
  }

  /** What must survive a reload. @returns {Item[]} */
  save() {
    return this.items.filter((item) => item.state !== 'sent');
  }

  /** @param {string} cid @param {Body} body @param {number} now */
  push(cid, body, now) {
    this.items.push({ ...body, cid, at: now, state: 'pending', inFlight: false });
  }

  /** @param {string} cid @returns {Item | undefined} */
  find(cid) {
    return this.items.find((item) => item.cid === cid);
  }

  /** Whether any item was written to the socket and not answered. @returns {Item | undefined} */
  get inFlight() {
    return this.items.find((item) => item.inFlight);
  }

  /**
   * The item to write now, if any, and when to ask again.
   *
   * @param {number} now
   * @returns {{item?: Item, again?: number}}
   */
  next(now) {
    for (const item of this.items) {
      if (item.state !== 'pending') continue;
      if (now - item.at >= GIVE_UP_MS) {
        this.#fail(item, 'TIMED_OUT');
        continue;
      }
      if (item.inFlight) {
        const due = (item.attemptAt ?? now) + ANSWER_MS;
        if (now < due) return { again: due };
        item.inFlight = false;
      }
      if (item.notBefore !== undefined && now < item.notBefore) {
        return { again: Math.min(item.notBefore, item.at + GIVE_UP_MS) };
      }
      return { item };
    }
    return {};
  }

  /**
   * Gives up what is too old, while there is no connection to try it on.
   *
   * @param {number} now
   * @returns {number | undefined} when to ask again
   */
  expire(now) {
    for (const item of this.items) {
      if (item.state !== 'pending') continue;
      if (now - item.at < GIVE_UP_MS) return item.at + GIVE_UP_MS;
      this.#fail(item, 'TIMED_OUT');
    }
    return undefined;
  }

  /**
   * Notes that `item` is being written.
   *
   * @param {Item} item
   * @param {{seq: number, gen: string, user: string, now: number}} at
   */
  attempt(item, { seq, gen, user, now }) {
    if (item.since === undefined) {
      item.since = seq;
      item.gen = gen;
      item.user = user;
    }
    item.inFlight = true;
    item.attemptAt = now;
    item.notBefore = undefined;
  }

  /** The socket is gone: what was in flight may or may not have arrived. */
  disconnected() {
    for (const item of this.items) item.inFlight = false;
  }

  /**
   * The room was joined, and the events that came with it have been shown to `settle`.
   *
   * @param {{seq: number, gen: string, user: string}} room
   */
  joined({ seq, gen, user }) {
    this.#dropSent(seq);
    for (const item of this.items) {
      if (item.state !== 'pending') continue;
      if (item.target !== undefined && item.targetGen !== gen) {
        // The number now names another message, or none.
        this.#fail(item, 'TARGET_UNKNOWN');
        continue;
      }
      if (item.since === undefined) continue;
      if (item.user !== user) {
        // The server knows a cid by its user; under another name a retry could become a second copy.
        this.#fail(item, 'OTHER_USER');
      } else if (item.gen !== gen) {
        // The numbers began anew (or the room was just born), so the old `since` says nothing: 0
        // makes the server look through all it has, or refuse.
        item.since = 0;
        item.gen = gen;
      }
    }
  }

  /** @param {{cid: string, seq: number}} ack @param {number} known last seq of the room here */
  acked(ack, known) {
    const item = this.find(ack.cid);
    if (!item) return;
    item.state = 'sent';
    item.inFlight = false;
    item.seq = ack.seq;
    this.#dropSent(known);
  }

  /**
   * An event of the room arrived: it may be one of ours, with or without an ack before it.
   *
   * @param {{cid?: string, from?: {id: string}, seq: number}} event
   */
  settle(event) {
    this.items = this.items.filter(
      (item) => !(item.cid === event.cid && item.user === event.from?.id),
    );
    this.#dropSent(event.seq);
  }

  /** @param {{cid: string, code: string, message?: string, retry_after_ms?: number}} error @param {number} now */
  refused(error, now) {
    const item = this.find(error.cid);
    if (!item || item.state !== 'pending') return;
    item.inFlight = false;
    item.code = error.code;
    item.message = error.message;
    if (isTemporary(error.code)) {
      item.notBefore = now + (error.retry_after_ms ?? DEFAULT_RETRY_MS);
    } else {
      this.#fail(item, error.code);
    }
  }

  /** @param {string} cid @param {string} code */
  fail(cid, code) {
    const item = this.find(cid);
    if (item) this.#fail(item, code);
  }

  /**
   * The author asks for another try. The cid stays where a copy may be on its way.
   *
   * @param {string} cid
   * @param {string} newCid used if the old one can no longer be told from a new message
   * @param {number} now
   */
  retry(cid, newCid, now) {
    const index = this.items.findIndex((item) => item.cid === cid && item.state === 'failed');
    if (index < 0) return;
    const [old] = this.items.splice(index, 1);
    if (SPENT.has(old.code ?? '')) {
      const { op, text, target, targetGen, emoji, on } = old;
      this.push(newCid, { op, text, target, targetGen, emoji, on }, now);
    } else {
      this.items.push({
        ...old,
        at: now,
        state: 'pending',
        inFlight: false,
        code: undefined,
        message: undefined,
        notBefore: undefined,
      });
    }
  }

  /**
   * Drops an item that failed, or that was never tried. One on its way cannot be called back.
   *
   * @param {string} cid
   */
  discard(cid) {
    this.items = this.items.filter((item) => item.cid !== cid || !canDiscard(item));
  }

  /** @param {Item} item @param {string} code */
  #fail(item, code) {
    item.state = 'failed';
    item.inFlight = false;
    item.notBefore = undefined;
    item.code = code;
  }

  /** @param {number} known */
  #dropSent(known) {
    this.items = this.items.filter((item) => item.state !== 'sent' || (item.seq ?? 0) > known);
  }
}

/**
 * The frame that an item goes out as.
 *
 * @param {Item} item
 * @param {string} room
 * @returns {Record<string, any>}
 */
export function frameOf(item, room) {
  /** @type {Record<string, any>} */
  const frame = { op: item.op, room, cid: item.cid, since: item.since };
  for (const field of FIELDS[item.op]) frame[field] = item[/** @type {keyof Item} */ (field)];
  return frame;
}

/** @param {Item} item @returns {boolean} */
export function canDiscard(item) {
  return item.state === 'failed' || (item.state === 'pending' && item.since === undefined);
}

/** @param {any} item @returns {item is Item} */
function isSaved(item) {
  return (
    item !== null &&
    typeof item === 'object' &&
    typeof item.cid === 'string' &&
    Object.hasOwn(FIELDS, item.op) &&
    FIELDS[/** @type {Body['op']} */ (item.op)].every((field) => item[field] !== undefined) &&
    typeof item.at === 'number' &&
    (item.state === 'pending' || item.state === 'failed')
  );
}
