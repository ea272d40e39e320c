import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ME, TS, message, setup } from './setup.mjs';

test('hello carries what is known, and null for a room never seen', () => {
  const t = setup({ token: 'old', lang: 'zh-CN', client: 'test/1' });
  t.client.join('general');
  t.client.connect();
  assert.deepEqual(t.socket.protocols, ['parlor.v1.json']);
  t.socket.accept();
  assert.deepEqual(t.socket.sent, [
    { op: 'hello', token: 'old', lang: 'zh-CN', client: 'test/1', rooms: { general: null } },
  ]);
  t.welcome({ token: 'new' });
  assert.deepEqual(t.seen.filter(([type]) => type === 'token'), [['token', 'new']]);
});

test('a room joined while connected is asked for at once', () => {
  const t = setup();
  t.online();
  t.client.join('other');
  assert.deepEqual(t.socket.of('join'), [{ op: 'join', room: 'other' }]);
});

test('a reconnect resumes by cursor and shows nothing twice', () => {
  const t = setup();
  const room = t.online(0);
  t.joined({ gen: '0', head: 0 });
  t.socket.push({ op: 'event', room: 'general', gen: 'g1', ...message(1, 'one') });
  t.socket.push({ op: 'event', room: 'general', ...message(2, 'two') });
  t.socket.drop();
  t.clock.advance(30_000);
  t.socket.accept();
  assert.deepEqual(t.socket.of('hello')[0].rooms, { general: 'g1.2' });
  t.welcome();
  t.joined({ head: 3, events: [message(2, 'two'), message(3, 'three')] });
  t.socket.push({ op: 'event', room: 'general', ...message(3, 'three') });
  assert.deepEqual(t.texts(room), ['one', 'two', 'three']);
});

test('a missing event makes the client join again from its cursor', () => {
  const t = setup();
  const room = t.online(10);
  t.socket.push({ op: 'event', room: 'general', ...message(12, 'twelve') });
  t.socket.push({ op: 'event', room: 'general', ...message(13, 'thirteen') });
  assert.deepEqual(t.socket.of('join'), [{ op: 'join', room: 'general', after: 'g1.10' }]);
  assert.deepEqual(t.texts(room), []);
  t.joined({ head: 13, events: [11, 12, 13].map((n) => message(n, `m${n}`)) });
  assert.deepEqual(t.texts(room), ['m11', 'm12', 'm13']);
});

test('a gap keeps what is there and leaves a mark; a reset forgets', () => {
  const t = setup();
  const room = t.online(0);
  t.socket.push({ op: 'event', room: 'general', ...message(1, 'one') });
  t.socket.drop();
  t.back({ head: 900, gap: { from: 2, to: 899 }, events: [message(900, 'late')] });
  assert.deepEqual(t.texts(room), ['one', 'gap 2-899', 'late']);
  t.socket.push({ op: 'gap', room: 'general', from: 901, to: 905 });
  t.socket.push({ op: 'event', room: 'general', ...message(906, 'later') });
  assert.deepEqual(t.texts(room), ['one', 'gap 2-899', 'late', 'gap 901-905', 'later']);
  t.socket.drop();
  t.back({ gen: 'g2', head: 1, gap: { reset: true }, events: [message(1, 'anew')] });
  assert.deepEqual(t.texts(room), ['anew']);
  assert.equal(room.log.cursor, 'g2.1');
});

test('edits and deletions change the message they name', () => {
  const t = setup();
  const room = t.online(0);
  const event = (frame) => t.socket.push({ op: 'event', room: 'general', ts: TS, from: ME, ...frame });
  event(message(1, 'helo'));
  event(message(2, 'secret'));
  event({ seq: 3, kind: 'edit', target: 1, text: 'hello' });
  event({ seq: 4, kind: 'delete', target: 2 });
  event({ seq: 5, kind: 'edit', target: 2, text: 'secret again' });
  assert.deepEqual(t.texts(room), ['hello', '']);
  assert.equal(room.log.entries[1].deleted, true);
});

test('a message keeps cid and since through every retry', () => {
  const t = setup();
  const room = t.online(10);
  room.send('hi');
  assert.deepEqual(t.socket.of('send'), [{ op: 'send', room: 'general', cid: 'cid1', text: 'hi', since: 10 }]);
  t.socket.push({ op: 'event', room: 'general', ...message(11, 'other') });
  t.socket.drop();
  t.back({ head: 12, events: [message(12, 'more')] });
  assert.deepEqual(t.socket.of('send'), [{ op: 'send', room: 'general', cid: 'cid1', text: 'hi', since: 10 }]);
  t.socket.push({ op: 'ack', room: 'general', cid: 'cid1', seq: 13, ts: TS });
  assert.equal(room.outbox.items[0].state, 'sent');
  t.socket.push({ op: 'event', room: 'general', ...message(13, 'hi', { from: ME, cid: 'cid1' }) });
  assert.deepEqual(room.outbox.items, []);
});

test('an event that comes before its ack, or instead of it, settles the message', () => {
  const t = setup();
  const room = t.online(10);
  room.send('hi');
  t.socket.push({ op: 'event', room: 'general', ...message(11, 'hi', { from: ME, cid: 'cid1' }) });
  t.socket.push({ op: 'ack', room: 'general', cid: 'cid1', seq: 11, ts: TS });
  assert.deepEqual(room.outbox.items, []);
  room.send('again');
  t.socket.drop();
  t.back({ head: 12, events: [message(12, 'again', { from: ME, cid: 'cid2' })] });
  assert.deepEqual(room.outbox.items, []);
  assert.deepEqual(t.socket.of('send'), []);
});

test('messages go out one at a time, so that a refusal cannot change their order', () => {
  const t = setup();
  const room = t.online();
  room.send('one');
  room.send('two');
  assert.deepEqual(t.socket.of('send').map((f) => f.text), ['one']);
  t.socket.push({ op: 'error', room: 'general', cid: 'cid1', code: 'RATE_LIMITED', message: '', retry_after_ms: 700 });
  t.clock.advance(699);
  assert.equal(t.socket.of('send').length, 1);
  t.clock.advance(1);
  assert.deepEqual(t.socket.of('send').map((f) => f.cid), ['cid1', 'cid1']);
  t.socket.push({ op: 'ack', room: 'general', cid: 'cid1', seq: 11, ts: TS });
  assert.deepEqual(t.socket.of('send').map((f) => f.text), ['one', 'one', 'two']);
});

for (const code of ['SLOW_MODE', 'UNAVAILABLE']) {
  test(`${code} is tried again for ten minutes, then given back`, () => {
    const t = setup();
    const room = t.online();
    room.send('hi');
    for (let i = 0; i < 61; i += 1) {
      t.socket.push({ op: 'error', room: 'general', cid: 'cid1', code, message: '', retry_after_ms: 10_000 });
      t.clock.advance(10_000);
      t.socket.push({ op: 'pong' });
    }
    assert.equal(t.socket.of('send').length, 60);
    assert.equal(room.outbox.items[0].state, 'failed');
    assert.equal(room.outbox.items[0].code, 'TIMED_OUT');
    room.retry('cid1');
    assert.deepEqual(t.socket.of('send').at(-1), { op: 'send', room: 'general', cid: 'cid1', text: 'hi', since: 10 });
  });
}

for (const code of ['TEXT_INVALID', 'FILTERED', 'A_CODE_OF_THE_FUTURE']) {
  test(`${code} fails the message and lets the next one go`, () => {
    const t = setup();
    const room = t.online();
    room.send('bad');
    room.send('good');
    t.socket.push({ op: 'error', room: 'general', cid: 'cid1', code, message: 'no' });
    assert.equal(room.outbox.find('cid1').state, 'failed');
    assert.deepEqual(t.socket.of('send').map((f) => f.text), ['bad', 'good']);
    room.discard('cid1');
    assert.equal(room.outbox.find('cid1'), undefined);
  });
}

test('a message whose cid has expired gets a new one only when its author says so', () => {
  const t = setup();
  const room = t.online();
  room.send('hi');
  t.socket.push({ op: 'error', room: 'general', cid: 'cid1', code: 'CID_EXPIRED', message: '' });
  t.clock.advance(20_000);
  assert.deepEqual(t.socket.of('send').map((f) => f.cid), ['cid1']);
  room.retry('cid1');
  assert.deepEqual(t.socket.of('send').map((f) => f.cid), ['cid1', 'cid2']);
});

test('what was typed offline goes out after the join, with the since of then', () => {
  const t = setup();
  const room = t.online(10);
  t.socket.drop();
  room.send('offline');
  t.back({ head: 11, events: [message(11, 'missed')] });
  assert.deepEqual(t.socket.of('send'), [{ op: 'send', room: 'general', cid: 'cid1', text: 'offline', since: 11 }]);
});

test('a message never tried can be taken back, one on its way cannot', () => {
  const t = setup();
  const room = t.online(10);
  room.send('on its way');
  room.send('behind it');
  t.socket.drop();
  room.discard('cid1');
  room.discard('cid2');
  assert.deepEqual(room.outbox.items.map((i) => i.cid), ['cid1']);
});

test('a room one is removed from says why and is left alone', () => {
  const t = setup();
  const room = t.online();
  t.socket.push({ op: 'removed', room: 'general', why: 'kick', reason: 'spam' });
  assert.deepEqual(room.error, { code: 'REMOVED_KICK', message: 'spam' });
  room.send('hi');
  assert.deepEqual(t.socket.of('send'), []);
});

test('nobody waits for a connection longer than ten minutes', () => {
  const t = setup();
  const room = t.client.join('general');
  room.send('hi');
  t.clock.advance(10 * 60_000);
  assert.equal(room.outbox.items[0].state, 'failed');
  assert.equal(t.saved.get('general')[0].state, 'failed');
});

test('a reload keeps the outbox: same cid, same since', () => {
  const before = setup();
  before.online(10).send('hi');
  const t = setup({ loadOutbox: () => before.saved.get('general') });
  t.online(20);
  assert.deepEqual(t.socket.of('send'), [{ op: 'send', room: 'general', cid: 'cid1', text: 'hi', since: 10 }]);
});

test('a saved outbox that makes no sense is left behind', () => {
  const t = setup({ loadOutbox: () => [null, 7, { cid: 'x' }, { cid: 'y', text: 'ok', at: 0, state: 'failed' }] });
  assert.deepEqual(t.client.join('general').outbox.items.map((i) => i.cid), ['y']);
});

test('a room whose numbers began anew is searched from its first event', () => {
  const t = setup();
  const room = t.online(10);
  room.send('hi');
  t.socket.drop();
  t.back({ gen: 'g2', head: 3, gap: { reset: true }, events: [message(3, 'x')] });
  assert.equal(t.socket.of('send')[0].since, 0);
});

test('another user never repeats what the first one may have sent', () => {
  const t = setup();
  const room = t.online(10);
  room.send('hi');
  t.socket.drop();
  t.clock.advance(30_000);
  t.socket.accept();
  t.welcome({ user: { id: 'u_new', nick: 'Ann' } });
  t.joined({ head: 10 });
  assert.deepEqual(t.socket.of('send'), []);
  assert.equal(room.outbox.items[0].code, 'OTHER_USER');
});

test('the wait doubles with full jitter, the first one too, up to 30 s', () => {
  const t = setup();
  t.client.connect();
  const waits = [];
  for (let i = 0; i < 9; i += 1) {
    t.socket.drop();
    waits.push(t.client.status.retryAt - t.clock.now());
    t.clock.advance(waits.at(-1));
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  assert.equal(t.sockets.length, 10);
});

test('a connection that held starts the back-off anew, a short one does not', () => {
  const t = setup();
  t.online();
  t.socket.drop();
  t.clock.advance(250);
  t.socket.accept();
  t.welcome();
  t.socket.drop();
  assert.equal(t.client.status.retryAt - t.clock.now(), 500);
  t.clock.advance(500);
  t.socket.accept();
  t.welcome();
  t.clock.advance(5000);
  t.socket.drop();
  assert.equal(t.client.status.retryAt - t.clock.now(), 250);
});

test('the wait ends when the network is back or the person asks', () => {
  const t = setup();
  t.online();
  t.socket.drop();
  t.client.reconnectNow();
  assert.equal(t.sockets.length, 2);
  t.clock.advance(250);
  assert.equal(t.sockets.length, 2);
});

test('a drain delay is waited out before the back-off', () => {
  const t = setup();
  t.online();
  t.socket.push({ op: 'drain', delay_ms: 4000 });
  t.clock.advance(1000);
  t.socket.drop(1012);
  assert.equal(t.client.status.retryAt - t.clock.now(), 3250);
});

test('a server that stops answering is noticed and left', () => {
  const t = setup();
  t.online();
  t.clock.advance(20_000);
  t.socket.push({ op: 'presence', room: 'general', online: 3 });
  t.clock.advance(24_999);
  assert.equal(t.socket.of('ping').length, 0);
  t.clock.advance(1);
  assert.equal(t.socket.of('ping').length, 1);
  t.socket.push({ op: 'pong', t: 0 });
  t.clock.advance(25_000);
  const dead = t.socket;
  t.clock.advance(10_000);
  assert.equal(dead.closedWith, 4009);
  assert.equal(t.state(), 'waiting');
  dead.push({ op: 'presence', room: 'general', online: 9 });
  assert.equal(t.client.join('general').online, 3);
});

test('a server that accepts and never welcomes is left', () => {
  const t = setup();
  t.client.connect();
  t.socket.accept();
  t.clock.advance(15_000);
  assert.equal(t.state(), 'waiting');
});

for (const code of [1000, 1002, 1007, 4001, 4002, 4010, 4011, 4012]) {
  test(`close ${code} is final`, () => {
    const t = setup();
    t.online();
    t.socket.drop(code, 'why');
    assert.deepEqual(t.client.status, { state: 'closed', code, reason: 'why' });
    t.clock.advance(3_600_000);
    assert.equal(t.sockets.length, 1);
  });
}

for (const code of [1001, 1006, 1011, 1012, 4000, 4003, 4009, 4999]) {
  test(`close ${code} is followed by a reconnect`, () => {
    const t = setup();
    t.online();
    t.socket.drop(code);
    t.clock.advance(500);
    assert.equal(t.sockets.length, 2);
  });
}

test('close 4008 comes back later, 4013 at once but not twice in a row', () => {
  const t = setup();
  t.online();
  t.socket.drop(4008);
  assert.ok(t.client.status.retryAt - t.clock.now() >= 10_000);
  const u = setup();
  u.online();
  u.socket.drop(4013);
  assert.equal(u.client.status.retryAt - u.clock.now(), 0);
  u.clock.advance(0);
  u.socket.drop(4013);
  assert.equal(u.client.status.retryAt - u.clock.now(), 500);
});

test('close 1009 fails the message on its way and never repeats it', () => {
  const t = setup();
  const room = t.online();
  room.send('big');
  room.send('small');
  t.socket.drop(1009);
  assert.equal(room.outbox.find('cid1').code, 'TEXT_TOO_LONG');
  t.back({ head: 10 });
  assert.deepEqual(t.socket.of('send').map((f) => f.text), ['small']);
});

test('a frame over the limit is not even tried', () => {
  const t = setup();
  const room = t.online();
  room.send('字'.repeat(6000));
  room.send('ok');
  assert.deepEqual(t.socket.of('send').map((f) => f.text), ['ok']);
  assert.equal(room.outbox.find('cid1').code, 'TEXT_TOO_LONG');
});

test('a refused token is forgotten and tried once more as a new guest of the same name', () => {
  const t = setup({ token: 'bad', nick: 'Ann' });
  t.client.connect();
  t.socket.accept();
  t.socket.drop(4004);
  assert.deepEqual(t.seen.filter(([type]) => type === 'token'), [['token', undefined]]);
  t.clock.advance(500);
  t.socket.accept();
  const [hello] = t.socket.of('hello');
  assert.equal('token' in hello, false);
  assert.equal(hello.nick, 'Ann');
  t.socket.drop(4004);
  assert.equal(t.state(), 'closed');
});

test('an expired token in a long connection is renewed the same way', () => {
  const t = setup();
  t.online();
  t.socket.drop(4005);
  t.clock.advance(500);
  t.socket.accept();
  assert.equal(t.socket.of('hello')[0].nick, 'Ann');
  assert.equal('token' in t.socket.of('hello')[0], false);
});

test('a nick chosen online is asked for at once, one chosen offline with the next hello', () => {
  const t = setup();
  t.online();
  t.client.setNick('Anna');
  assert.deepEqual(t.socket.of('nick'), [{ op: 'nick', nick: 'Anna' }]);
  t.socket.push({ op: 'user', id: 'u_me', nick: 'Anna' });
  t.socket.push({ op: 'token', token: 'tok2' });
  assert.equal(t.client.me.nick, 'Anna');
  t.socket.drop();
  t.client.setNick('Anne');
  t.clock.advance(500);
  t.socket.accept();
  assert.equal(t.socket.of('hello')[0].nick, 'Anne');
  assert.equal(t.socket.of('hello')[0].token, 'tok2');
});

test('a refused nick is told and not asked for again', () => {
  const t = setup();
  t.online();
  t.client.setNick('admin');
  t.socket.push({ op: 'error', code: 'NICK_TAKEN', message: 'reserved' });
  assert.deepEqual(t.seen.at(-1), ['nickError', { code: 'NICK_TAKEN', message: 'reserved' }]);
  t.socket.drop();
  t.clock.advance(500);
  t.socket.accept();
  assert.equal('nick' in t.socket.of('hello')[0], false);
});

test('a room that cannot be joined says why and is not asked for again', () => {
  const t = setup();
  const room = t.client.join('a.b');
  t.client.connect();
  t.socket.accept();
  t.welcome();
  t.socket.push({ op: 'error', room: 'a.b', code: 'ROOM_INVALID', message: 'no' });
  assert.equal(room.error.code, 'ROOM_INVALID');
  t.socket.drop();
  t.clock.advance(500);
  t.socket.accept();
  assert.deepEqual(t.socket.of('hello')[0].rooms, {});
});

test('a join refused for now is asked again, whatever is typed meanwhile', () => {
  const t = setup();
  const room = t.client.join('general');
  t.client.connect();
  t.socket.accept();
  t.welcome();
  t.socket.push({ op: 'error', room: 'general', code: 'UNAVAILABLE', message: '', retry_after_ms: 2000 });
  room.send('hi');
  t.clock.advance(2000);
  assert.deepEqual(t.socket.of('join'), [{ op: 'join', room: 'general' }]);
});

test('frames that cannot be read and ops of the future are left alone', () => {
  const t = setup();
  t.online();
  for (const frame of ['', 'null', '7', '[]', '{"op":"confetti","room":"general"}', '{"op":"event","room":"nowhere","seq":1}']) {
    t.socket.push(frame);
  }
  assert.equal(t.state(), 'online');
});

test('a client that was closed stays closed', () => {
  const t = setup();
  t.online();
  t.client.close();
  assert.equal(t.socket.closedWith, 1000);
  t.clock.advance(3_600_000);
  assert.equal(t.sockets.length, 1);
});
