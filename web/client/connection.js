// One socket at a time, and when to have the next one: connecting, back-off, signs of life, drain. What
// is said over it is its owner's; of frames it knows only the one that asks whether anybody is there.

import { backoffMs, laterMs, verdict } from './retry.js';

const SUBPROTOCOL = 'parlor.v1.json';
/** From the first SYN to `welcome`, in ms. */
const WELCOME_MS = 15_000;
/** From `ping` to any frame, in ms. */
const PONG_MS = 10_000;
/** Idle time before we ask whether the server lives, until `welcome.ping_ms` says better. */
const PING_MS = 25_000;
/** A connection that held this long starts the back-off anew, in ms. */
const STABLE_MS = 5_000;
/** The close code used for a server that stopped answering (PROTOCOL rule 10: dead peer). */
const DEAD = 4009;
/** The close code a browser reports for a lost connection. */
const LOST = 1006;

/**
 * @typedef {object} Clock
 * @property {() => number} now ms since 1970
 * @property {(fn: () => void, ms: number) => any} setTimeout
 * @property {(id: any) => void} clearTimeout
 *
 * @typedef {'idle' | 'connecting' | 'online' | 'waiting' | 'closed'} State
 * @typedef {object} Status
 * @property {State} state
 * @property {number} [retryAt] with `waiting`: ms since 1970
 * @property {number} [code] of the close that led here
 * @property {string} [reason] the server's words for it
 *
 * What a connection tells its owner.
 * @typedef {object} Owner
 * @property {() => void} opened say hello
 * @property {(frame: any) => void} received
 * @property {(code: number) => void} down what was on its way may or may not have arrived
 * @property {(code: number) => boolean} renew the sign-in was refused; false: there is no other to try
 * @property {(status: Status) => void} status after `down`, if that was why
 */

export class Connection {
  /**
   * @param {string} url
   * @param {Owner} owner
   * @param {{WebSocket?: any, clock: Clock, random: () => number}} means
   */
  constructor(url, owner, means) {
    this.#url = url;
    this.#owner = owner;
    this.#means = means;
    this.#clock = means.clock;
  }

  #url;
  #owner;
  #means;
  #clock;
  /** @type {any} */
  #socket = undefined;
  /** @type {Status} */
  #status = { state: 'idle' };
  #attempt = 0;
  #pingMs = PING_MS;
  /** Earliest time to come back, from a `drain` frame. */
  #drainUntil = 0;
  /** A token was refused and the connection since has not worked. */
  #renewed = false;
  /** @type {any} */
  #connectTimer = undefined;
  /** @type {any} */
  #lifeTimer = undefined;
  /** @type {any} */
  #stableTimer = undefined;

  /** @returns {Status} */
  get status() {
    return this.#status;
  }

  get online() {
    return this.#status.state === 'online';
  }

  /** Connects, unless connected or about to be. After a close for good it starts anew. */
  connect() {
    if (this.#status.state !== 'idle' && this.#status.state !== 'closed') return;
    this.#attempt = 0;
    this.#renewed = false;
    this.#open();
  }

  /** Comes back at once instead of at the end of the wait. */
  reconnectNow() {
    if (this.#status.state === 'waiting') this.#open();
    else this.probe();
  }

  /** Asks whether the server is still there. */
  probe() {
    if (this.online) this.#ping();
  }

  /** Leaves for good. */
  close() {
    this.#drop(1000);
    this.#setStatus({ state: 'closed', code: 1000 });
  }

  /** @param {Record<string, any>} frame */
  write(frame) {
    this.writeText(JSON.stringify(frame));
  }

  /** @param {string} text of a frame */
  writeText(text) {
    if (this.#socket?.readyState === 1) this.#socket.send(text);
  }

  /** The server took us in. @param {number} [pingMs] */
  welcomed(pingMs = PING_MS) {
    this.#pingMs = pingMs;
    this.#renewed = false;
    this.#life(this.#pingMs, () => this.#ping());
    this.#stableTimer = this.#clock.setTimeout(() => {
      this.#attempt = 0;
    }, STABLE_MS);
    this.#setStatus({ state: 'online' });
  }

  /** The server is about to go, and wants us back no earlier than this. @param {number} delayMs */
  drain(delayMs) {
    this.#drainUntil = this.#clock.now() + delayMs;
  }

  #open() {
    this.#clock.clearTimeout(this.#connectTimer);
    const WebSocket = this.#means.WebSocket ?? globalThis.WebSocket;
    const socket = new WebSocket(this.#url, [SUBPROTOCOL]);
    this.#socket = socket;
    // A socket that was given up may still speak; only the present one is listened to.
    const current = (/** @type {(event: any) => void} */ fn) => (/** @type {any} */ event) => {
      if (this.#socket === socket) fn(event);
    };
    socket.onopen = current(() => this.#owner.opened());
    socket.onmessage = current((event) => this.#received(event.data));
    socket.onclose = current((event) => this.#closed(event.code || LOST, event.reason));
    socket.onerror = () => {}; // a close always follows
    this.#life(WELCOME_MS, () => this.#closed(LOST));
    this.#setStatus({ ...this.#status, state: 'connecting', retryAt: undefined });
  }

  /** @param {any} data */
  #received(data) {
    const frame = parse(data);
    if (!frame) return;
    if (this.online) this.#life(this.#pingMs, () => this.#ping());
    this.#owner.received(frame);
  }

  /** @param {number} code @param {string} [reason] */
  #closed(code, reason) {
    this.#drop(code);
    let what = verdict(code);
    if (what === 'renew') {
      if (this.#renewed || !this.#owner.renew(code)) what = 'stop';
      this.#renewed = true;
    }
    const cause = { code, reason: reason || undefined };
    if (what === 'stop') {
      this.#setStatus({ state: 'closed', ...cause });
      return;
    }
    const { random } = this.#means;
    const now = this.#clock.now();
    let wait = what === 'later' ? laterMs(this.#attempt, random) : backoffMs(this.#attempt, random);
    // At once, but only once: a server that cuts us again and again is given time.
    if (what === 'now' && this.#attempt === 0) wait = 0;
    wait += Math.max(0, this.#drainUntil - now);
    this.#drainUntil = 0;
    this.#attempt += 1;
    this.#connectTimer = this.#clock.setTimeout(() => this.#open(), wait);
    this.#setStatus({ state: 'waiting', retryAt: now + wait, ...cause });
  }

  /** Lets the socket go without waiting for it: a dead peer never confirms a close. @param {number} code */
  #drop(code) {
    for (const timer of [this.#connectTimer, this.#lifeTimer, this.#stableTimer]) {
      this.#clock.clearTimeout(timer);
    }
    const socket = this.#socket;
    this.#socket = undefined;
    this.#owner.down(code);
    // A browser may send 1000 and 3000–4999 only.
    if (socket && socket.readyState <= 1) socket.close(code === DEAD ? DEAD : 1000);
  }

  /** @param {Status} status */
  #setStatus(status) {
    this.#status = status;
    this.#owner.status(status);
  }

  /** The next sign of life is due in `ms`. @param {number} ms @param {() => void} otherwise */
  #life(ms, otherwise) {
    this.#clock.clearTimeout(this.#lifeTimer);
    this.#lifeTimer = this.#clock.setTimeout(otherwise, ms);
  }

  #ping() {
    this.write({ op: 'ping', t: this.#clock.now() });
    this.#life(PONG_MS, () => this.#closed(DEAD));
  }
}

/** A frame we cannot read is left alone. @param {any} data @returns {any} */
function parse(data) {
  try {
    const frame = JSON.parse(data);
    return frame !== null && typeof frame === 'object' ? frame : undefined;
  } catch {
    return undefined;
  }
}
