// How the pages look: pictures for people in test-results/, and axe for what a machine can judge.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import axe from 'axe-core';
import { Browser, RESULTS, Server, nick, say, saySeen, shows, until } from './harness.mjs';

const WIDE = { viewport: { width: 1280, height: 760 } };
const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Some talk, in two scripts and both directions. */
async function talk(browser, server, room) {
  const [ann, wei] = [await browser.enter(server, room), await browser.enter(server, room)];
  await nick(ann, 'Ann');
  await nick(wei, '伟');
  await saySeen(ann, 'The gateway now drains without losing anyone.');
  await saySeen(ann, 'Numbers in release-7.');
  await saySeen(wei, '太好了!我这边断网两分钟,回来一条都没少。');
  await saySeen(wei, '顺序也对。');
  await saySeen(wei, 'مرحبا بالجميع (in one room)');
  await saySeen(ann, 'On it.');
  await Promise.all([ann, wei].map((page) => page.context().close()));
}

test('look', { timeout: 180_000 }, async (t) => {
  await mkdir(RESULTS, { recursive: true });
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  await talk(browser, server, 'general');
  await talk(browser, server, '聊天室');

  const picture = (page, name) => page.screenshot({ path: join(RESULTS, `${name}.png`) });
  const room = async (name, options) => {
    const page = await browser.enter(server, name, options);
    await shows(page, 'On it.');
    return page;
  };
  await t.test('pictures of both pages', async () => {
    for (const [name, options] of [
      ['wide', WIDE],
      ['wide-dark', { ...WIDE, colorScheme: 'dark' }],
      ['phone', PHONE],
      ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
      ['wide-zh', { ...WIDE, locale: 'zh-CN' }],
    ]) {
      const page = await room(name.endsWith('zh') ? '聊天室' : 'general', options);
      await picture(page, `room-${name}`);
      await page.context().close();
      const index = await browser.open(server.url('/chat/'), options);
      await picture(index, `index-${name}`);
      await index.context().close();
    }
  });

  /** Every page in every look, with everything in sight that can go wrong with a message. */
  const audited = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, options] of [['wide', WIDE], ['phone', PHONE]]) {
      // The policy would, rightly, not let a stranger's script run; axe is one.
      const look = { ...options, colorScheme, bypassCSP: true };
      const page = await room('general', look);
      await say(page, 'bad \u0007 bell');
      await page.locator('#outbox .failed.message').waitFor();
      audited.push({ name: `${size}-${colorScheme}`, look, page });
    }
  }

  for (const { name, look, page } of audited) {
    await t.test(`axe finds nothing: ${name}`, async () => {
      await audit(page);
      await page.locator('#me').click();
      await until('the dialog', () => page.locator('#nick-dialog').isVisible());
      await picture(page, `nick-${name}`);
      await audit(page);
      await page.keyboard.press('Escape');
      const index = await browser.open(server.url('/chat/'), look);
      await index.keyboard.press('Enter');
      await audit(index);
      await index.context().close();
    });
  }

  await server.kill();
  for (const { name, page } of audited) {
    await t.test(`axe finds nothing without a server: ${name}`, async () => {
      await until('loss in words', () => page.locator('#bar').isVisible());
      await say(page, 'It works, sending a picture of the log.');
      await page.locator('#outbox .pending').waitFor();
      await picture(page, `lost-${name}`);
      await audit(page);
    });
  }
});

async function audit(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map((v) => `${v.id}: ${v.help} ${v.nodes.map((n) => n.html).join(' ')}`);
  assert.deepEqual(found, []);
}
