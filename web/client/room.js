// One room of a client: what it has received, what it has yet to send, what it has asked. It decides when
// its frames go out; the socket is the connection's.

import { RoomLog } from './log.js';
import { Outbox, frameOf } from './outbox.js';
import { Questions } from './questions.js';
import { isTemporary } from './retry.js';

/**
 * @typedef {import('./entries.js').Change} Change
 * @typedef {import('./entries.js').Place} Place
 *
 * What a room needs of its client.
 * @typedef {object} Line
 * @property {import('./connection.js').Clock} clock
 * @property {() => boolean} online
 * @property {() => {id: string, nick: string} | undefined} me
 * @property {() => number} frameBytes most bytes of a frame
 * @property {(frame: Record<string, any>) => void} write
 * @property {(text: string) => void} writeText
 * @property {() => string} newCid
 * @property {() => number} newId
 * @property {(type: any, event: any) => void} emit
 * @property {(items: any[]) => void} save the outbox
 */

/** Read it freely and call what stands above the line; the rest is its client's. */
export class Room {
  /** @param {string} asked @param {any[]} saved outbox @param {Line} line */
  constructor(asked, saved, line) {
    this.asked = asked;
    this.name = asked;
    this.outbox = new Outbox(saved);
    this.#line = line;
    this.#questions = new Questions(line.clock, ({ id, place }) => {
      line.write({ op: 'history', id, room: this.asked, ...place });
    });
  }

  /** The name as it was asked for. @type {string} */
  asked;
  /** What to call it. @type {string} */
  name;
  /** The server's id for it, once joined. @type {string | undefined} */
  id = undefined;
  log = new RoomLog();
  outbox;
  /** Joined on the present connection. */
  joined = false;
  /** @type {number | undefined} */
  online = undefined;
  /** Why it cannot be had. @type {{code: string, message: string} | undefined} */
  error = undefined;

  #line;
  #questions;
  /** A join is under way because an event was missing. */
  #mending = false;
  /** Wakes the outbox. @type {any} */
  #timer = undefined;
  /** Asks again after a temporary refusal. @type {any} */
  #joinTimer = undefined;

  /** Queues a message; it goes out as soon as it can, once. @param {string} text @returns {string} its cid */
  send(text) {
    return this.#push({ op: 'send', text });
  }

  /** Gives an own message another text. @param {number} seq @param {string} text @returns {string} the edit's cid */
  edit(seq, text) {
    return this.#push({ op: 'edit', target: seq, targetGen: this.log.gen, text });
  }

  /** Deletes a message. @param {number} seq @returns {string} the deletion's cid */
  remove(seq) {
    return this.#push({ op: 'delete', target: seq, targetGen: this.log.gen });
  }

  /** Gives a reaction, or takes it back. @param {number} seq @param {string} emoji @param {boolean} on @returns {string} its cid */
  react(seq, emoji, on) {
    return this.#push({ op: 'react', target: seq, targetGen: this.log.gen, emoji, on });
  }

  /** Tries a failed item again. @param {string} cid */
  retry(cid) {
    this.outbox.retry(cid, this.#line.newCid(), this.#line.clock.now());
    this.pump();
  }

  /** Drops an item that failed or was never tried. @param {string} cid */
  discard(cid) {
    this.outbox.discard(cid);
    this.pump();
  }

  /**
   * Fetches what the room said at some place, and puts it into the log. Waits for the connection if there
   * is none.
   *
   * @param {Place & {limit?: number}} place one of `before`, `after`, `around` (a seq) and `at` (a time)
   * @returns {Promise<{events: any[], oldest: number, head: number, more: boolean}>} rejected with `Refused`
   */
  history(place) {
    return this.#questions.ask(this.#line.newId(), place);
  }

  // ---- for the client ----

  askJoin() {
    this.#line.write({ op: 'join', room: this.asked, after: this.log.cursor ?? undefined });
  }

  /** @param {any} frame */
  onJoined(frame) {
    this.id = frame.room;
    this.name = frame.name ?? this.asked;
    this.online = frame.online ?? this.online;
    this.joined = true;
    this.#mending = false;
    this.error = undefined;
    const user = this.#line.me()?.id ?? '';
    this.log.iAm(user);
    for (const event of frame.events ?? []) this.outbox.settle(event);
    const change = this.log.join(frame);
    this.outbox.joined({ seq: this.log.seq, gen: this.log.gen, user });
    // A place in the old numbering is none in the new one.
    if (change.reset) this.#questions.fail('RESET');
    this.#line.emit('joined', { room: this });
    this.#logged(change);
    this.#questions.resume();
    this.pump();
  }

  /** @param {any} frame */
  onEvent(frame) {
    const change = this.log.event(frame);
    if (change.hole) {
      // The server promised no holes. Ask again from where we are, and pass over the rest until then.
      if (!this.#mending) this.askJoin();
      this.#mending = true;
      return;
    }
    this.outbox.settle(frame);
    this.#logged(change);
    this.pump();
  }

  /** @param {any} frame */
  onGap(frame) {
    this.#logged(this.log.gap(frame));
  }

  /** @param {any} frame */
  onAck(frame) {
    this.outbox.acked(frame, this.log.seq);
    this.pump();
  }

  /** @param {any} frame */
  onHistory(frame) {
    const question = this.#questions.answered(frame);
    if (!question) return;
    const { events = [], oldest, head, more = false } = frame;
    for (const event of events) this.outbox.settle(event);
    this.#logged(this.log.history(question.place, { events, oldest, head, more }));
    this.#outboxChanged();
    question.resolve({ events, oldest, head, more });
  }

  /** @param {any} frame */
  onRemoved(frame) {
    this.joined = false;
    this.error = { code: `REMOVED_${String(frame.why).toUpperCase()}`, message: frame.reason ?? '' };
    this.#questions.pause();
    this.#questions.fail('CLOSED');
    this.#line.emit('removed', { ...frame, room: this });
  }

  /** @param {any} frame an `error` that names this room @returns {boolean} whether it was understood */
  onError(frame) {
    if (frame.id !== undefined && this.#questions.refused(frame)) return true;
    if (frame.cid !== undefined) {
      this.outbox.refused(frame, this.#line.clock.now());
      this.pump();
      return true;
    }
    const joining = !this.joined || this.#mending;
    if (isTemporary(frame.code)) {
      if (!joining) return true;
      this.#line.clock.clearTimeout(this.#joinTimer);
      this.#joinTimer = this.#line.clock.setTimeout(() => this.askJoin(), frame.retry_after_ms ?? 1_000);
      return true;
    }
    if (!joining) return false;
    this.joined = false;
    this.#mending = false;
    this.error = { code: frame.code, message: frame.message ?? '' };
    this.#questions.fail(frame.code);
    this.#line.emit('roomError', { room: this, ...this.error });
    return true;
  }

  /** The connection is gone: what was on its way may or may not have arrived. */
  onDown() {
    this.stop();
    this.joined = false;
    this.#mending = false;
    this.outbox.disconnected();
  }

  /** Lets every timer go. */
  stop() {
    this.#line.clock.clearTimeout(this.#timer);
    this.#line.clock.clearTimeout(this.#joinTimer);
    this.#questions.pause();
  }

  /** Nobody will answer any more. */
  giveUp() {
    this.#questions.fail('CLOSED');
  }

  /** Sends what may go out now, and comes back when more may. */
  pump() {
    const { clock, me, frameBytes } = this.#line;
    if (!this.#line.online() || !this.joined || this.#mending) {
      this.expire();
      return;
    }
    clock.clearTimeout(this.#timer);
    const now = clock.now();
    const user = me()?.id ?? '';
    for (;;) {
      const { item, again } = this.outbox.next(now);
      if (again !== undefined) this.#timer = clock.setTimeout(() => this.pump(), again - now);
      if (!item) break;
      this.outbox.attempt(item, { seq: this.log.seq, gen: this.log.gen, user, now });
      const text = JSON.stringify(frameOf(item, this.asked));
      if (new TextEncoder().encode(text).length > frameBytes()) {
        this.outbox.fail(item.cid, 'TEXT_TOO_LONG');
        continue;
      }
      this.#line.writeText(text);
      // The next one waits for the answer; `next` says when to stop waiting.
    }
    this.#outboxChanged();
  }

  /** Without a connection messages wait, but not for ever. */
  expire() {
    const { clock } = this.#line;
    clock.clearTimeout(this.#timer);
    const now = clock.now();
    const again = this.outbox.expire(now);
    if (again !== undefined) this.#timer = clock.setTimeout(() => this.expire(), again - now);
    this.#outboxChanged();
  }

  /** @param {import('./outbox.js').Body} body @returns {string} */
  #push(body) {
    const cid = this.#line.newCid();
    this.outbox.push(cid, body, this.#line.clock.now());
    this.pump();
    return cid;
  }

  /** @param {Change} change */
  #logged(change) {
    const { reset, added, inserted, changed, removed } = change;
    if (reset || added.length || inserted.length || changed.length || removed.length) {
      this.#line.emit('log', { room: this, change });
    }
  }

  #outboxChanged() {
    this.#line.save(this.outbox.save());
    this.#line.emit('outbox', { room: this });
  }
}
