// The Parlor client: one socket, many rooms, and everything that makes a chat survive a bad network.
//
// This is the way in: who we are, which rooms we want, and which frame goes to whom. The socket and its
// reconnects are `Connection`, a room is `Room`. It never touches the DOM and has no dependency, so it
// runs wherever there is a WebSocket.

import { Connection } from './connection.js';
import { Room } from './room.js';

export { seqOf } from './entries.js';
export { canDiscard } from './outbox.js';
export { checkRoomName, roomFromPath, roomPath } from './room-name.js';

/**
 * @typedef {import('./connection.js').Clock} Clock
 * @typedef {import('./connection.js').Status} Status
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
 * @typedef {{id: string, nick: string, guest?: boolean}} User
 *
 * Events, each with one argument:
 * @typedef {object} Events
 * @property {Status} status the connection changed
 * @property {User} me who we are: after each welcome and each change of nick
 * @property {string | undefined} token to keep, or to forget
 * @property {Record<string, any>} limits
 * @property {{room: Room}} joined
 * @property {{room: Room, change: import('./entries.js').Change}} log entries came, changed or went
 * @property {{room: Room}} outbox
 * @property {{room: Room, code: string, message: string}} roomError the room cannot be joined
 * @property {{room: Room, why: string, reason?: string, until?: string}} removed
 * @property {{room: Room}} online the number of people changed
 * @property {{id: string, nick: string}} user somebody's nick changed
 * @property {{code: string, message: string}} nickError
 * @property {{room?: Room, level: string, text: string}} notice not kept in history
 * @property {{code: string, message: string}} error anything else the server refused
 */

export class Parlor {
  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#clock = options.clock ?? {
      now: () => Date.now(),
      setTimeout: (fn, ms) => globalThis.setTimeout(fn, ms),
      clearTimeout: (id) => globalThis.clearTimeout(id),
    };
    this.#token = options.token;
    this.#nick = options.nick;
    const owner = {
      opened: () => this.#hello(),
      received: (/** @type {any} */ frame) => this.#received(frame),
      down: (/** @type {number} */ code) => this.#down(code),
      renew: () => this.#renew(),
      status: (/** @type {Status} */ status) => this.#statusChanged(status),
    };
    const { WebSocket, random = Math.random } = options;
    this.#connection = new Connection(options.url, owner, { WebSocket, clock: this.#clock, random });
  }

  #options;
  #clock;
  #connection;
  /** @type {string | undefined} */
  #token;
  /** The nick the person chose, until the server has taken it. @type {string | undefined} */
  #nick;
  /** A `nick` frame is on its way. */
  #nickAsked = false;
  /** @type {Map<string, Room>} by the name asked for */
  #rooms = new Map();
  /** @type {Map<string, Set<(event: any) => void>>} */
  #listeners = new Map();
  /** @type {User | undefined} */
  #me = undefined;
  #frameBytes = 16_384;
  #lastId = 0;

  /** @returns {Status} */
  get status() {
    return this.#connection.status;
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
    this.#connection.connect();
  }

  /** Comes back at once instead of at the end of the wait: "try now", or the `online` event. */
  reconnectNow() {
    this.#connection.reconnectNow();
  }

  /** Asks whether the server is still there, for example when a laptop wakes. */
  probe() {
    this.#connection.probe();
  }

  /** Leaves for good. */
  close() {
    this.#connection.close();
  }

  /**
   * @param {string} name
   * @returns {Room}
   */
  join(name) {
    const known = this.#rooms.get(name);
    if (known) return known;
    const room = new Room(name, this.#options.loadOutbox?.(name) ?? [], {
      clock: this.#clock,
      online: () => this.#connection.online,
      me: () => this.#me,
      frameBytes: () => this.#frameBytes,
      write: (frame) => this.#connection.write(frame),
      writeText: (text) => this.#connection.writeText(text),
      newCid: this.#options.newCid ?? randomCid,
      newId: () => (this.#lastId += 1),
      emit: (type, event) => this.#emit(type, event),
      save: (items) => this.#options.saveOutbox?.(name, items),
    });
    this.#rooms.set(name, room);
    if (this.#connection.online) room.askJoin();
    room.expire();
    return room;
  }

  /** @param {Room} room */
  leave(room) {
    if (!this.#rooms.delete(room.asked)) return;
    room.stop();
    room.giveUp();
    if (room.joined) this.#connection.write({ op: 'leave', room: room.asked });
  }

  /** Asks for another nick; `me` or `nickError` follows, after the next welcome if offline. @param {string} nick */
  setNick(nick) {
    this.#nick = nick;
    if (!this.#connection.online) return;
    this.#nickAsked = true;
    this.#connection.write({ op: 'nick', nick });
  }

  // ---- the connection's owner ----

  #hello() {
    /** @type {Record<string, string | null>} */
    const rooms = {};
    for (const room of this.#rooms.values()) {
      if (!room.error) rooms[room.asked] = room.log.cursor;
    }
    this.#connection.write({
      op: 'hello',
      token: this.#token,
      nick: this.#nick,
      client: this.#options.client,
      lang: this.#options.lang,
      rooms,
    });
  }

  /** @param {number} code */
  #down(code) {
    if (code === 1009) this.#failLargest();
    this.#nickAsked = false;
    for (const room of this.#rooms.values()) room.onDown();
  }

  #renew() {
    if (this.#token === undefined) return false;
    this.#nick ??= this.#me?.nick; // a new guest may keep the old name
    this.#setToken(undefined);
    return true;
  }

  /** @param {Status} status */
  #statusChanged(status) {
    this.#emit('status', status);
    for (const room of this.#rooms.values()) {
      if (status.state === 'closed') room.giveUp();
      if (status.state === 'closed' || status.state === 'waiting') room.expire();
    }
  }

  /** @param {any} frame */
  #received(frame) {
    switch (frame.op) {
      case 'welcome':
        return this.#welcome(frame);
      case 'joined':
        return (this.#rooms.get(frame.asked) ?? this.#byId(frame.room))?.onJoined(frame);
      case 'error':
        return this.#refused(frame);
      case 'drain':
        return this.#connection.drain(frame.delay_ms ?? 0);
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
        return room.onEvent(frame);
      case 'ack':
        return room.onAck(frame);
      case 'gap':
        return room.onGap(frame);
      case 'history':
        return room.onHistory(frame);
      case 'presence':
        room.online = frame.online;
        return this.#emit('online', { room });
      case 'removed':
        return room.onRemoved(frame);
      default:
        return undefined; // unknown ops are for later clients
    }
  }

  /** @param {any} frame */
  #welcome(frame) {
    this.#me = frame.user;
    this.#frameBytes = frame.limits?.frame ?? this.#frameBytes;
    if (frame.token !== undefined) this.#setToken(frame.token);
    this.#connection.welcomed(frame.ping_ms);
    if (frame.limits) this.#emit('limits', frame.limits);
    this.#emit('me', frame.user);
    // `hello` carried the wish; the token may have won over it, or it was refused (an error follows).
    if (this.#nick === frame.user.nick) this.#nick = undefined;
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
    if (room?.onError(frame)) return;
    if (this.#nickAsked || frame.code === 'NICK_INVALID' || frame.code === 'NICK_TAKEN') {
      this.#nickAsked = false;
      this.#nick = undefined;
      this.#emit('nickError', error);
    } else {
      this.#emit('error', error);
    }
  }

  /** Close 1009 does not say which frame was too big; the one with the largest text is it. */
  #failLargest() {
    let largest;
    for (const room of this.#rooms.values()) {
      const item = room.outbox.inFlight;
      if (!item) continue;
      const length = item.text?.length ?? 0;
      if (!largest || length > largest.length) largest = { room, item, length };
    }
    largest?.room.outbox.fail(largest.item.cid, 'TEXT_TOO_LONG');
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

/** 18 random bytes as 24 of `[A-Za-z0-9_-]`. `crypto.randomUUID` would need a secure context. */
function randomCid() {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}
