// A client on fakes, and the frames a healthy server would answer it with.

import { Parlor } from '../client/parlor.js';
import { FakeClock, fakeWebSocket } from './fakes.mjs';

export const ME = { id: 'u_me', nick: 'Ann', guest: true };
export const TS = '2026-11-23T07:00:00.000Z';

export function message(seq, text, extra = {}) {
  return { seq, ts: TS, kind: 'message', from: { id: 'u_bo', nick: 'Bo' }, cid: `c${seq}`, text, ...extra };
}

/** A client, its fakes, and the frames a healthy server would answer with. */
export function setup(options = {}) {
  const clock = new FakeClock();
  const { FakeWebSocket, sockets } = fakeWebSocket();
  const seen = [];
  const saved = new Map();
  let cids = 0;
  const client = new Parlor({
    url: 'ws://parlor.test/ws',
    WebSocket: FakeWebSocket,
    clock,
    random: () => 0.5,
    newCid: () => `cid${++cids}`,
    saveOutbox: (room, items) => saved.set(room, structuredClone(items)),
    ...options,
  });
  for (const type of ['status', 'token', 'log', 'roomError', 'nickError', 'removed']) {
    client.on(type, (event) => seen.push([type, event]));
  }
  const t = {
    client,
    clock,
    sockets,
    seen,
    saved,
    get socket() {
      return sockets.at(-1);
    },
    welcome(extra = {}) {
      t.socket.push({ op: 'welcome', v: 1, session: 's', user: ME, token: 'tok', server_time: TS, ping_ms: 25000, limits: {}, ...extra });
    },
    joined(extra = {}) {
      t.socket.push({ op: 'joined', room: 'general', asked: 'general', name: 'general', gen: 'g1', head: 0, oldest: 1, events: [], settings: {}, you: {}, online: 1, ...extra });
    },
    /** Connects and joins `general` at `head` with nothing to show. */
    online(head = 10) {
      const room = client.join('general');
      client.connect();
      t.socket.accept();
      t.welcome();
      t.joined({ head });
      return room;
    },
    /** Comes back after a loss. */
    back(joined) {
      t.clock.advance(30_000);
      t.socket.accept();
      t.welcome();
      t.joined(joined);
    },
    texts: (room) => room.log.entries.map((e) => (e.type === 'gap' ? `gap ${e.from}-${e.to}` : e.text)),
    state: () => client.status.state,
  };
  return t;
}
