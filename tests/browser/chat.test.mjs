// What people do on the pages, against the real server.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, Server, connected, log, nick, say, saySeen, shows, texts, until } from './harness.mjs';

test('chat', { timeout: 300_000 }, async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);

  /** A case of its own, whose windows must stay without problems. */
  const scene = (name, run) =>
    t.test(name, async () => {
      const pages = [];
      const enter = async (...args) => {
        const page = await browser.enter(server, ...args);
        pages.push(page);
        return page;
      };
      const open = async (path, options) => {
        const page = await browser.open(server.url(path), options);
        pages.push(page);
        return page;
      };
      await run({ enter, open });
      for (const page of pages) {
        assert.deepEqual(page.problems, []);
        await page.context().close();
      }
    });

  await scene('two windows talk in one room, a third in another sees nothing of it', async ({ enter }) => {
    const [ann, bo, other] = [await enter('general'), await enter('general'), await enter('elsewhere')];
    await nick(ann, 'Ann');
    await nick(bo, 'Bo');
    await say(ann, 'hello');
    await shows(bo, 'hello');
    await say(bo, 'hi Ann');
    await shows(ann, 'hi Ann');
    await shows(bo, 'hi Ann');
    const expected = '[Notice] Welcome to the general room. Please be civil!\nAnn: hello\nBo: hi Ann';
    assert.equal(await log(ann), expected);
    assert.equal(await log(bo), expected);
    await saySeen(other, 'anybody?');
    assert.deepEqual(await texts(other), ['anybody?']);
  });

  await scene('a room and a text in Chinese', async ({ open, enter }) => {
    const ann = await open('/chat/');
    await ann.locator('#room-name-input').fill('聊天室');
    await ann.locator('#room-name-submit').click();
    await ann.waitForURL(`**/chat/${encodeURIComponent('聊天室')}/`);
    await connected(ann);
    const bo = await enter('聊天室', { locale: 'zh-CN' });
    await say(ann, '你好，世界');
    await shows(bo, '你好，世界');
    assert.equal((await log(bo)).split('\n')[0], '[公告]欢迎来到聊天室讨论群。请文明发言!');
    assert.equal(await bo.locator('#room-name').textContent(), '聊天室');
  });

  await scene('the pages speak Chinese to those who ask for it', async ({ open }) => {
    const page = await open('/', { locale: 'zh-TW' });
    assert.equal(new URL(page.url()).pathname, '/chat/');
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN');
    assert.equal(await page.locator('h1').textContent(), '进入聊天室');
  });

  await scene('a message is one line of the value and verbatim on the screen', async ({ enter }) => {
    const page = await enter('lines');
    const input = page.locator('#chat-message-input');
    await input.pressSequentially('one');
    await page.keyboard.press('Shift+Enter');
    await input.pressSequentially('two');
    await page.keyboard.press('Enter');
    await shows(page, 'one two');
    assert.equal(await page.locator('#chat-log .text').textContent(), 'one\ntwo');
    assert.equal(await input.inputValue(), '');
  });

  await scene('markup is text', async ({ enter }) => {
    const page = await enter('markup');
    const evil = `<img src=x onerror="document.title='owned'"><script>alert(1)</script>&amp;`;
    await saySeen(page, evil);
    assert.equal(await page.locator('#chat-log .text').textContent(), evil);
    assert.equal(await page.locator('#chat-log img, #chat-log script').count(), 0);
    assert.notEqual(await page.title(), 'owned');
  });

  await t.test('the policy is in force', async () => {
    const page = await browser.enter(server, 'policy');
    const tried = await page.evaluate(async () => {
      const inline = document.createElement('style');
      inline.textContent = 'body { visibility: hidden }';
      document.head.append(inline);
      try {
        document.body.innerHTML = '<p>markup</p>';
      } catch (error) {
        return [error.name, getComputedStyle(document.body).visibility];
      }
      return ['nothing', ''];
    });
    assert.deepEqual(tried, ['TypeError', 'visible']);
    // The other cases rely on this: a violation never goes unnoticed.
    await until('noticed', () => page.problems.some((problem) => problem.startsWith('console: policy:')));
    await page.context().close();
  });

  await scene('an empty or blank message is not sent', async ({ enter }) => {
    const page = await enter('blank');
    await say(page, '   ');
    await page.locator('#chat-message-submit').click();
    await saySeen(page, 'something');
    assert.deepEqual(await texts(page), ['something']);
  });

  await scene('what the server refuses says so and can be discarded', async ({ enter }) => {
    const page = await enter('refused');
    await say(page, 'bad \u0007 bell');
    const failed = page.locator('#outbox .failed.message');
    await failed.waitFor();
    assert.match(await failed.textContent(), /Not sent: it contains characters/);
    await saySeen(page, 'good');
    await failed.getByRole('button', { name: 'discard' }).click();
    await until('discarded', async () => (await failed.count()) === 0);
    assert.deepEqual(await texts(page), ['good']);
  });

  await scene('Enter that ends a composition does not send', async ({ enter }) => {
    const page = await enter('ime');
    const input = page.locator('#chat-message-input');
    await input.focus();
    const ime = await page.context().newCDPSession(page);
    const enterKey = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 229 };
    // Chromium and Firefox: the key first, then the end of the composition.
    await ime.send('Input.imeSetComposition', { text: 'ni', selectionStart: 2, selectionEnd: 2 });
    await ime.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...enterKey });
    await ime.send('Input.insertText', { text: '你' });
    await ime.send('Input.dispatchKeyEvent', { type: 'keyUp', ...enterKey });
    assert.equal(await input.inputValue(), '你');
    // Safari: the end of the composition first, both in one task.
    const prevented = await input.evaluate((field) => {
      const fire = (event) => field.dispatchEvent(event);
      fire(new CompositionEvent('compositionstart', { bubbles: true }));
      fire(new CompositionEvent('compositionend', { bubbles: true, data: '你' }));
      return !fire(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
    });
    assert.equal(prevented, false);
    assert.equal(await input.inputValue(), '你');
    assert.deepEqual(await texts(page), []);
    await page.keyboard.press('Enter');
    await shows(page, '你');
    assert.deepEqual(await texts(page), ['你']);
  });

  await scene('everything can be done with the keyboard', async ({ open }) => {
    const page = await open('/chat/');
    const focused = () => page.evaluate(() => document.activeElement?.id);
    await until('focus', async () => (await focused()) === 'room-name-input');
    await page.keyboard.press('Enter');
    assert.match(await page.locator('#room-name-error').textContent(), /Type the name/);
    await page.keyboard.type('keys');
    assert.equal(await page.locator('#room-name-error').textContent(), '');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/chat/keys/');
    await connected(page);
    await until('focus', async () => (await focused()) === 'chat-message-input');
    await page.keyboard.type('by keyboard');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'chat-message-submit');
    await page.keyboard.press('Enter');
    await shows(page, 'by keyboard');
    await until('focus', async () => (await focused()) === 'chat-message-input');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'more');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await focused(), 'scroller');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await focused(), 'me');
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(ring, 'solid');
    await page.keyboard.press('Enter');
    assert.equal(await focused(), 'nick-input');
    await page.keyboard.type('Kim');
    await page.keyboard.press('Enter');
    await until('named Kim', async () => (await page.locator('#me-nick').textContent()) === 'Kim');
    await until('focus', async () => (await focused()) === 'chat-message-input');
    await page.keyboard.type('me again');
    await page.keyboard.press('Enter');
    await until('the new name', async () => (await log(page)).endsWith('\nKim: me again'));
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    await until('focus', async () => (await focused()) === 'chat-message-input');
  });

  await scene('a name that is reserved is refused in words', async ({ enter }) => {
    const page = await enter('names');
    await page.locator('#me').click();
    await page.locator('#nick-input').fill('admin');
    await page.keyboard.press('Enter');
    await until('the reason', async () => /reserved/.test(await page.locator('#nick-error').textContent()));
  });

  await scene('names that cannot be are refused in words, before and behind the address', async ({ open }) => {
    const index = await open('/chat/');
    for (const [name, words] of [['a.b', /letters, digits/], ['a b', /letters, digits/], ['x'.repeat(65), /at most 64/]]) {
      await index.locator('#room-name-input').fill(name);
      await index.keyboard.press('Enter');
      assert.match(await index.locator('#room-name-error').textContent(), words);
    }
    const invalid = await open('/chat/a.b/');
    await until('the reason', async () => /not a possible/.test(await invalid.locator('#bar').textContent()));
    assert.equal(await invalid.locator('#chat-message-input').isDisabled(), true);
  });

  await scene('a reload keeps name and messages', async ({ enter }) => {
    const page = await enter('reload');
    await nick(page, 'Ann');
    await saySeen(page, 'before');
    await page.reload();
    await connected(page);
    await saySeen(page, 'after');
    assert.match(await log(page), /\nAnn: before\nAnn: after$/);
  });

  await scene('the view follows at the end and stays put above it', async ({ enter }) => {
    const reader = await enter('scroll', { viewport: { width: 390, height: 400 } });
    const writer = await enter('scroll');
    const scroller = reader.locator('#scroller');
    const distance = () => scroller.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
    await say(writer, Array.from({ length: 40 }, (_, n) => `line ${n}`).join('\n'));
    await until('followed', async () => (await texts(reader)).length === 1 && (await distance()) < 2);
    await scroller.evaluate((e) => e.scrollTo(0, 50));
    await until('scrolled', async () => (await distance()) > 100);
    await saySeen(writer, 'news');
    await until('the pill', () => reader.locator('#jump').isVisible());
    assert.equal(await scroller.evaluate((e) => e.scrollTop), 50);
    await reader.locator('#jump').click();
    await until('at the end', async () => (await distance()) < 2);
    assert.equal(await reader.locator('#jump').isVisible(), false);
  });

  await scene('on a phone nothing is wider than the screen', async ({ enter, open }) => {
    const phone = { viewport: { width: 320, height: 568 }, isMobile: true, hasTouch: true };
    const room = await enter('w'.repeat(64), phone);
    await saySeen(room, 'w'.repeat(300));
    for (const page of [room, await open('/chat/', phone)]) {
      const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= screen, `${content} > ${screen}`);
    }
    const box = await room.locator('#chat-message-submit').boundingBox();
    assert.ok(box.x + box.width <= 320 && box.y + box.height <= 568);
  });
});

test('kill -9 and restart: the page comes back by itself, nothing is lost or doubled', { timeout: 120_000 }, async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const [ann, bo] = [await browser.enter(server, '重启'), await browser.enter(server, '重启')];
  const before = Array.from({ length: 53 }, (_, n) => `message ${n}`);
  // Several people, for each may send only so fast; where that is too fast, the page waits by itself.
  const people = [ann, bo];
  while (people.length < 6) people.push(await browser.enter(server, '重启'));
  for (const [n, text] of before.entries()) await say(people[n % people.length], text);
  await until('all there', async () => (await texts(ann)).length === 53 && (await texts(bo)).length === 53);
  assert.deepEqual((await texts(ann)).toSorted(), before.toSorted());

  await server.kill();
  for (const page of [ann, bo]) {
    await until('loss in words', async () => /Connection lost/.test(await page.locator('#bar').textContent()));
  }
  await say(ann, 'typed while it was down');
  assert.match(await ann.locator('#outbox').textContent(), /waiting for the connection/);
  await bo.reload().catch(() => {}); // there is nobody to load it from
  await server.start();

  await connected(ann);
  await shows(ann, 'typed while it was down');
  const all = await texts(ann);
  assert.equal(all.length, 54);
  assert.equal(new Set(all).size, 54);
  assert.equal(await ann.locator('#outbox .message').count(), 0);

  const late = await browser.enter(server, '重启');
  assert.deepEqual(await texts(late), all.slice(-50));
  const other = ann.problems.filter((problem) => !/WebSocket connection to .* failed/.test(problem));
  assert.deepEqual(other, []);
});

test('a message that is not sent yet survives a reload and is sent once', { timeout: 120_000 }, async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const page = await browser.enter(server, 'pending');
  await saySeen(page, 'first');
  // The frame goes out and no answer comes back: the page cannot know whether it arrived.
  const other = await browser.enter(server, 'pending');
  const cdp = await page.context().newCDPSession(page);
  await page.evaluate(() => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
      send.call(this, text);
      this.onmessage = null;
    };
  });
  await say(page, 'second');
  await shows(other, 'second');
  assert.equal(await page.locator('#outbox .pending').count(), 1);
  await cdp.detach();
  await page.reload();
  await connected(page);
  await until('settled', async () => (await page.locator('#outbox .message').count()) === 0);
  assert.deepEqual(await texts(page), ['first', 'second']);
  assert.deepEqual(await texts(other), ['first', 'second']);
});
