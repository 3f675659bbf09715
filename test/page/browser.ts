/** A real Chromium of this machine, driven by playwright-core, which brings none. */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where it is; undefined where there is none. */
export function chromiumPath(): string | undefined {
  return PLACES.find((path) => existsSync(path));
}

/** Why a test is skipped. */
export const NO_CHROMIUM = `no Chromium in ${PLACES.join(', ')}: apt-get install chromium`;

export function launch(executablePath: string): Promise<Browser> {
  // Its sandbox does not start as root; what it opens is ours.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args });
}

/** A page, and everything that it complained of. It may ask for what is below `own`. */
export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
  own = url,
): Promise<{ readonly page: Page; readonly complaints: string[] }> {
  const page = await browser.newPage(options);
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(own) && !request.url().startsWith('data:'))
      complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return { page, complaints };
}
