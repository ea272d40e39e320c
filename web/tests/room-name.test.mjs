import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRoomName, roomFromPath, roomPath } from '../client/room-name.js';

test('names the server takes pass, others are told apart', () => {
  for (const name of ['general', 'General', '聊天室', 'release-7', 'a_b', '二〇二六', 'café', '字'.repeat(64), 'ＡＢＣ']) {
    assert.equal(checkRoomName(name), 'ok', name);
  }
  for (const name of ['', '  ', '\t']) assert.equal(checkRoomName(name), 'empty', JSON.stringify(name));
  for (const name of ['a.b', '*', '>', 'a/b', 'a b', '-', 'a\u0000', 'a\u200db', '.', '..']) {
    assert.equal(checkRoomName(name), 'invalid', JSON.stringify(name));
  }
  assert.equal(checkRoomName('字'.repeat(65)), 'long');
});

test('a path names its room, with or without the last slash', () => {
  for (const name of ['general', '聊天室', 'a b', '100%', 'a/b']) {
    assert.equal(roomFromPath(roomPath(name)), name);
  }
  assert.equal(roomFromPath('/chat/general'), 'general');
});

test('a path that names no room is null', () => {
  for (const path of ['/chat/', '/chat', '/', '/chat/%E4%B8/', '/chat/%zz/', '/chat/a/b/']) {
    assert.equal(roomFromPath(path), null, path);
  }
});
