// The Parlor client: one socket, many rooms, and everything that makes a chat survive a bad network.
//
// It owns the socket, the reconnects and the order in which frames go out. What a room has received
// lives in `RoomLog`, what it still has to send in `Outbox`. It never touches the DOM and has no
// dependency, so it runs wherever there is a WebSocket.

import { RoomLog } from './log.js';
import { Outbox } from './outbox.js';
import { backoffMs, isTemporary, laterMs, verdict } from './retry.js';

export { canDiscard } from './outbox.js';
export { checkRoomName, roomFromPath, roomPath } from './room-name.js';

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
 * @typedef {object} Options
 * @property {string} url of the WebSocket, `wss://host/ws`
 * @property {any} [WebSocket] the constructor; the platform's own if absent
 * @property {string} [token] from an earlier `token` event
 * @property {string} [nick] wished for; used for a new guest
 * @property {string} [lang] for the server's messages
 * @property {string} [client] name and version, for the operator
 * @property {(room: string) => any[]} [loadOutbox] what was not sent before a reload
 * @property {(room: string, items: any[]) => void} [saveOutbox]
 * @property {Clock} [clock]
 * @property {() => number} [random] in [0, 1)
 * @property {() => string} [newCid]
 *
 * @typedef {'idle' | 'connecting' | 'online' | 'waiting' | 'closed'} State
 * @typedef {object} Status
 * @property {State} state
 * @property {number} [retryAt] with `waiting`: ms since 1970
 * @property {number} [code] of the close that led here
 * @property {string} [reason] the server's words for it
 *
 * @typedef {{id: string, nick: string, guest?: boolean}} User
 *
 * Events, each with one argument:
 * @typedef {object} Events
 * @property {Status} status the connection changed
 * @property {User} me who we are: after each welcome and each change of nick
 * @property {string | undefined} token to keep, or to forget
 * @property {Record<string, any>} limits
 * @property {{room: Room}} joined
 * @property {{room: Room, change: import('./log.js').Change}} log entries came, changed or went
 * @property {{room: Room}} outbox
 * @property {{room: Room, code: string, message: string}} roomError the room cannot be joined
 * @property {{room: Room, why: string, reason?: string, until?: string}} removed
 * @property {{room: Room}} online the number of people changed
 * @property {{id: string, nick: string}} user somebody's nick changed
 * @property {{code: string, message: string}} nickError
 * @property {{room?: Room, level: string, text: string}} notice not kept in history
 * @property {{code: string, message: string}} error anything else the server refused
 */

/** One room of a client. Read it freely; only the client changes it. */
export class Room {
  /** @param {string} asked @param {any[]} outbox */
  constructor(asked, outbox) {
    /** The name as it was asked for. */
    this.asked = asked;
    /** The server's id for it, once joined. @type {string | undefined} */
    this.id = undefined;
    /** What to call it. */
    this.name = asked;
    this.log = new RoomLog();
    this.outbox = new Outbox(outbox);
    /** Joined on the present connection. */
    this.joined = false;
    /** @type {number | undefined} */
    this.online = undefined;
    /** Why it cannot be had. @type {{code: string, message: string} | undefined} */
    this.error = undefined;
    /** A join is under way because an event was missing. */
    this.mending = false;
    /** Wakes the outbox. @type {any} */
    this.timer = undefined;
    /** Asks again after a temporary refusal. @type {any} */
    this.joinTimer = undefined;
  }
}

export class Parlor {
  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#clock = options.clock ?? {
      now: () => Date.now(),
      setTimeout: (fn, ms) => globalThis.setTimeout(fn, ms),
      clearTimeout: (id) => globalThis.clearTimeout(id),
    };
    this.#random = options.random ?? Math.random;
    this.#newCid = options.newCid ?? randomCid;
    this.#token = options.token;
    this.#nick = options.nick;
  }

  #options;
  #clock;
  #random;
  #newCid;
  /** @type {string | undefined} */
  #token;
  /** The nick the person chose, until the server has taken it. @type {string | undefined} */
  #nick;
  /** @type {Map<string, Room>} by the name asked for */
  #rooms = new Map();
  /** @type {Map<string, Set<(event: any) => void>>} */
  #listeners = new Map();
  /** @type {any} */
  #socket = undefined;
  /** @type {Status} */
  #status = { state: 'idle' };
  /** @type {User | undefined} */
  #me = undefined;
  #attempt = 0;
  #pingMs = PING_MS;
  #frameBytes = 16_384;
  /** Earliest time to come back, from a `drain` frame. */
  #drainUntil = 0;
  /** A token was refused and the connection since has not worked. */
  #renewed = false;
  /** A `nick` frame is on its way. */
  #nickAsked = false;
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

  /** @returns {User | undefined} */
  get me() {
    return this.#me;
  }

  /**
   * @template {keyof Events} K
   * @param {K} type
   * @param {(event: Events[K]) => void} listener
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    const set = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, set.add(listener));
    return () => set.delete(listener);
  }

  /** Connects, unless connected or about to be. After a close for good it starts anew. */
  connect() {
    if (this.#status.state !== 'idle' && this.#status.state !== 'closed') return;
    this.#attempt = 0;
    this.#renewed = false;
    this.#open();
  }

  /** Comes back at once instead of at the end of the wait: "try now", or the `online` event. */
  reconnectNow() {
    if (this.#status.state === 'waiting') this.#open();
    else this.probe();
  }

  /** Asks whether the server is still there, for example when a laptop wakes. */
  probe() {
    if (this.#status.state === 'online') this.#ping();
  }

  /** Leaves for good. */
  close() {
    this.#drop(1000);
    this.#stop({ state: 'closed', code: 1000 });
  }

  /**
   * @param {string} name
   * @returns {Room}
   */
  join(name) {
    const known = this.#rooms.get(name);
    if (known) return known;
    const room = new Room(name, this.#options.loadOutbox?.(name) ?? []);
    this.#rooms.set(name, room);
    if (this.#status.state === 'online') this.#askJoin(room);
    this.#expire(room);
    return room;
  }

  /** @param {Room} room */
  leave(room) {
    if (!this.#rooms.delete(room.asked)) return;
    this.#clock.clearTimeout(room.timer);
    this.#clock.clearTimeout(room.joinTimer);
    if (room.joined) this.#write({ op: 'leave', room: room.asked });
  }

  /**
   * Queues a message; it goes out as soon as it can, once.
   *
   * @param {Room} room
   * @param {string} text
   * @returns {string} its cid
   */
  send(room, text) {
    const cid = this.#newCid();
    room.outbox.push(cid, text, this.#clock.now());
    this.#pump(room);
    return cid;
  }

  /** Tries a failed message again. @param {Room} room @param {string} cid */
  retry(room, cid) {
    room.outbox.retry(cid, this.#newCid(), this.#clock.now());
    this.#pump(room);
  }

  /** Drops a message that failed or was never tried. @param {Room} room @param {string} cid */
  discard(room, cid) {
    room.outbox.discard(cid);
    this.#pump(room);
  }

  /** Asks for another nick; `me` or `nickError` follows, after the next welcome if offline. @param {string} nick */
  setNick(nick) {
    this.#nick = nick;
    if (this.#status.state === 'online') this.#askNick();
  }

  // ---- connection ----

  #open() {
    this.#clock.clearTimeout(this.#connectTimer);
    const WebSocket = this.#options.WebSocket ?? globalThis.WebSocket;
    const socket = new WebSocket(this.#options.url, [SUBPROTOCOL]);
    this.#socket = socket;
    // A socket that was given up may still speak; only the present one is listened to.
    const current = (/** @type {(event: any) => void} */ fn) => (/** @type {any} */ event) => {
      if (this.#socket === socket) fn(event);
    };
    socket.onopen = current(() => this.#hello());
    socket.onmessage = current((event) => this.#received(event.data));
    socket.onclose = current((event) => this.#closed(event.code || LOST, event.reason));
    socket.onerror = () => {}; // a close always follows
    this.#life(WELCOME_MS, () => this.#closed(LOST));
    this.#setStatus({ ...this.#status, state: 'connecting', retryAt: undefined });
  }

  #hello() {
    /** @type {Record<string, string | null>} */
    const rooms = {};
    for (const room of this.#rooms.values()) {
      if (!room.error) rooms[room.asked] = room.log.cursor;
    }
    this.#write({
      op: 'hello',
      token: this.#token,
      nick: this.#nick,
      client: this.#options.client,
      lang: this.#options.lang,
      rooms,
    });
  }

  /** @param {number} code @param {string} [reason] */
  #closed(code, reason) {
    const tooBig = code === 1009;
    if (tooBig) this.#failLargest();
    this.#drop(code);
    let what = verdict(code);
    if (what === 'renew' && (this.#renewed || this.#token === undefined)) what = 'stop';
    const cause = { code, reason: reason || undefined };
    if (what === 'stop') {
      this.#stop({ state: 'closed', ...cause });
      return;
    }
    if (what === 'renew') {
      this.#renewed = true;
      this.#nick ??= this.#me?.nick; // a new guest may keep the old name
      this.#setToken(undefined);
    }
    const now = this.#clock.now();
    let wait = what === 'later' ? laterMs(this.#attempt, this.#random) : backoffMs(this.#attempt, this.#random);
    // At once, but only once: a server that cuts us again and again is given time.
    if (what === 'now' && this.#attempt === 0) wait = 0;
    wait += Math.max(0, this.#drainUntil - now);
    this.#drainUntil = 0;
    this.#attempt += 1;
    this.#connectTimer = this.#clock.setTimeout(() => this.#open(), wait);
    this.#setStatus({ state: 'waiting', retryAt: now + wait, ...cause });
    for (const room of this.#rooms.values()) this.#expire(room);
  }

  /** Lets the socket go without waiting for it: a dead peer never confirms a close. @param {number} code */
  #drop(code) {
    for (const timer of [this.#connectTimer, this.#lifeTimer, this.#stableTimer]) {
      this.#clock.clearTimeout(timer);
    }
    const socket = this.#socket;
    this.#socket = undefined;
    this.#nickAsked = false;
    for (const room of this.#rooms.values()) {
      this.#clock.clearTimeout(room.timer);
      this.#clock.clearTimeout(room.joinTimer);
      room.joined = false;
      room.mending = false;
      room.outbox.disconnected();
    }
    // A browser may send 1000 and 3000–4999 only.
    if (socket && socket.readyState <= 1) socket.close(code === DEAD ? DEAD : 1000);
  }

  /** @param {Status} status */
  #stop(status) {
    this.#setStatus(status);
    for (const room of this.#rooms.values()) this.#expire(room);
  }

  /** @param {Status} status */
  #setStatus(status) {
    this.#status = status;
    this.#emit('status', status);
  }

  /** The next sign of life is due in `ms`. @param {number} ms @param {() => void} otherwise */
  #life(ms, otherwise) {
    this.#clock.clearTimeout(this.#lifeTimer);
    this.#lifeTimer = this.#clock.setTimeout(otherwise, ms);
  }

  #ping() {
    this.#write({ op: 'ping', t: this.#clock.now() });
    this.#life(PONG_MS, () => this.#closed(DEAD));
  }

  /** @param {Record<string, any>} frame @returns {void} */
  #write(frame) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  // ---- frames ----

  /** @param {any} data */
  #received(data) {
    const frame = parse(data);
    if (!frame) return;
    if (this.#status.state === 'online') this.#life(this.#pingMs, () => this.#ping());
    switch (frame.op) {
      case 'welcome':
        return this.#welcome(frame);
      case 'joined':
        return this.#joined(frame);
      case 'error':
        return this.#refused(frame);
      case 'drain':
        this.#drainUntil = this.#clock.now() + (frame.delay_ms ?? 0);
        return undefined;
      case 'token':
        this.#nickAsked = false;
        return this.#setToken(frame.token);
      case 'user':
        return this.#user(frame);
      case 'notice':
        return this.#emit('notice', { ...frame, room: this.#byId(frame.room) });
      default:
    }
    const room = this.#byId(frame.room);
    if (!room) return undefined;
    switch (frame.op) {
      case 'event':
        return this.#event(room, frame);
      case 'ack':
        room.outbox.acked(frame, room.log.seq);
        return this.#pump(room);
      case 'gap':
        return this.#logged(room, room.log.gap(frame));
      case 'presence':
        room.online = frame.online;
        return this.#emit('online', { room });
      case 'removed':
        room.joined = false;
        room.error = { code: `REMOVED_${String(frame.why).toUpperCase()}`, message: frame.reason ?? '' };
        return this.#emit('removed', { ...frame, room });
      default:
        return undefined; // unknown ops are for later clients
    }
  }

  /** @param {any} frame */
  #welcome(frame) {
    this.#me = frame.user;
    this.#pingMs = frame.ping_ms ?? PING_MS;
    this.#frameBytes = frame.limits?.frame ?? this.#frameBytes;
    this.#renewed = false;
    if (frame.token !== undefined) this.#setToken(frame.token);
    this.#life(this.#pingMs, () => this.#ping());
    this.#stableTimer = this.#clock.setTimeout(() => {
      this.#attempt = 0;
    }, STABLE_MS);
    this.#setStatus({ state: 'online' });
    if (frame.limits) this.#emit('limits', frame.limits);
    this.#emit('me', frame.user);
    // `hello` carried the wish; the token may have won over it, or it was refused (an error follows).
    if (this.#nick === frame.user.nick) this.#nick = undefined;
  }

  /** @param {any} frame */
  #joined(frame) {
    const room = this.#rooms.get(frame.asked) ?? this.#byId(frame.room);
    if (!room) return;
    room.id = frame.room;
    room.name = frame.name ?? room.asked;
    room.online = frame.online ?? room.online;
    room.joined = true;
    room.mending = false;
    room.error = undefined;
    for (const event of frame.events ?? []) room.outbox.settle(event);
    const change = room.log.join(frame);
    room.outbox.joined({ seq: room.log.seq, gen: room.log.gen, user: this.#me?.id ?? '' });
    this.#emit('joined', { room });
    this.#logged(room, change);
    this.#pump(room);
  }

  /** @param {Room} room @param {any} frame */
  #event(room, frame) {
    const change = room.log.event(frame);
    if (change.hole) {
      // The server promised no holes. Ask again from where we are, and pass over the rest until then.
      if (!room.mending) this.#askJoin(room);
      room.mending = true;
      return;
    }
    room.outbox.settle(frame);
    this.#logged(room, change);
    this.#pump(room);
  }

  /** @param {any} frame */
  #user(frame) {
    if (frame.id === this.#me?.id) {
      this.#nickAsked = false;
      this.#me = { ...this.#me, id: frame.id, nick: frame.nick };
      if (this.#nick === frame.nick) this.#nick = undefined;
      this.#emit('me', this.#me);
    }
    this.#emit('user', { id: frame.id, nick: frame.nick });
  }

  /** @param {any} frame */
  #refused(frame) {
    const error = { code: frame.code, message: frame.message ?? '' };
    const room = this.#rooms.get(frame.room) ?? this.#byId(frame.room);
    if (room && frame.cid !== undefined) {
      room.outbox.refused(frame, this.#clock.now());
      this.#pump(room);
    } else if (room && isTemporary(frame.code)) {
      if (room.joined && !room.mending) return;
      this.#clock.clearTimeout(room.joinTimer);
      room.joinTimer = this.#clock.setTimeout(() => this.#askJoin(room), frame.retry_after_ms ?? 1_000);
    } else if (room && (!room.joined || room.mending)) {
      room.joined = false;
      room.mending = false;
      room.error = error;
      this.#emit('roomError', { room, ...error });
    } else if (this.#nickAsked || frame.code === 'NICK_INVALID' || frame.code === 'NICK_TAKEN') {
      this.#nickAsked = false;
      this.#nick = undefined;
      this.#emit('nickError', error);
    } else {
      this.#emit('error', error);
    }
  }

  // ---- asking ----

  /** @param {Room} room */
  #askJoin(room) {
    this.#write({ op: 'join', room: room.asked, after: room.log.cursor ?? undefined });
  }

  #askNick() {
    this.#nickAsked = true;
    this.#write({ op: 'nick', nick: this.#nick });
  }

  /** Sends what may go out now, and comes back when more may. @param {Room} room */
  #pump(room) {
    const online = this.#status.state === 'online' && room.joined && !room.mending;
    if (!online) {
      this.#expire(room);
      return;
    }
    this.#clock.clearTimeout(room.timer);
    const now = this.#clock.now();
    const me = this.#me;
    for (;;) {
      const { item, again } = room.outbox.next(now);
      if (again !== undefined) room.timer = this.#clock.setTimeout(() => this.#pump(room), again - now);
      if (!item || !me) break;
      room.outbox.attempt(item, { seq: room.log.seq, gen: room.log.gen, user: me.id, now });
      const frame = JSON.stringify({
        op: 'send',
        room: room.asked,
        cid: item.cid,
        text: item.text,
        since: item.since,
      });
      if (new TextEncoder().encode(frame).length > this.#frameBytes) {
        room.outbox.fail(item.cid, 'TEXT_TOO_LONG');
        continue;
      }
      this.#socket.send(frame);
      // The next one waits for the answer; `next` says when to stop waiting.
    }
    this.#outboxChanged(room);
  }

  /** Without a connection messages wait, but not for ever. @param {Room} room */
  #expire(room) {
    this.#clock.clearTimeout(room.timer);
    const now = this.#clock.now();
    const again = room.outbox.expire(now);
    if (again !== undefined) room.timer = this.#clock.setTimeout(() => this.#expire(room), again - now);
    this.#outboxChanged(room);
  }

  /** Close 1009 does not say which message was too big; the largest on its way is the one. */
  #failLargest() {
    let largest;
    for (const room of this.#rooms.values()) {
      const item = room.outbox.inFlight;
      if (item && (!largest || item.text.length > largest.item.text.length)) largest = { room, item };
    }
    largest?.room.outbox.fail(largest.item.cid, 'TEXT_TOO_LONG');
  }

  // ---- telling ----

  /** @param {Room} room @param {import('./log.js').Change} change */
  #logged(room, change) {
    if (change.reset || change.added.length || change.changed.length || change.dropped.length) {
      this.#emit('log', { room, change });
    }
  }

  /** @param {Room} room */
  #outboxChanged(room) {
    this.#options.saveOutbox?.(room.asked, room.outbox.save());
    this.#emit('outbox', { room });
  }

  /** @param {string | undefined} token */
  #setToken(token) {
    this.#token = token;
    this.#emit('token', token);
  }

  /** @param {string | undefined} id @returns {Room | undefined} */
  #byId(id) {
    if (id === undefined) return undefined;
    for (const room of this.#rooms.values()) if (room.id === id) return room;
    return undefined;
  }

  /**
   * @template {keyof Events} K
   * @param {K} type
   * @param {Events[K]} event
   */
  #emit(type, event) {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
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

/** 18 random bytes as 24 of `[A-Za-z0-9_-]`. `crypto.randomUUID` would need a secure context. */
function randomCid() {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}
