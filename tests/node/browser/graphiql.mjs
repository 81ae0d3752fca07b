// The page `/graphiql` as a person uses it.

/** The longest that anything on the page may take. */
const WAIT_MS = 15_000;

/** A page in a window of its own, which notes what it asks for elsewhere and what goes wrong in it. */
export async function openPage(browser, url, { dark = false } = {}) {
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 }, colorScheme: dark ? "dark" : "light" });
  context.setDefaultTimeout(WAIT_MS);
  const notes = { elsewhere: [], errors: [], bytes: 0, requests: [], frames: [] };
  const { host } = new URL(url);
  await context.route("**/*", (route) => {
    const asked = new URL(route.request().url());
    if (asked.host === host || asked.protocol === "data:") return route.continue();
    notes.elsewhere.push(asked.href);
    return route.abort();
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => notes.errors.push(error.message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) notes.errors.push(message.text());
  });
  page.on("request", (request) => notes.requests.push(request));
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== host) notes.elsewhere.push(socket.url());
    socket.on("framesent", ({ payload }) => notes.frames.push(JSON.parse(payload)));
  });
  return { page, notes, close: () => context.close() };
}

/** Opens GraphiQL and waits until it can be used: the editors are there, and the schema has come. */
export async function openGraphiql(browser, url, { path = "/graphiql", ...options } = {}) {
  const opened = await openPage(browser, url, options);
  const introspected = opened.page.waitForResponse((response) => response.request().postData()?.includes("IntrospectionQuery"));
  await opened.page.goto(url + path);
  await introspected;
  await opened.page.locator(".graphiql-query-editor .view-lines").waitFor();
  await opened.page.locator(".graphiql-response .view-lines").waitFor({ state: "attached" });
  return opened;
}

/** The names of the tabs. */
export async function tabNames(page) {
  return page.getByRole("tab").allInnerTexts();
}

export async function chooseTab(page, name) {
  await page.getByRole("tab", { name, exact: true }).click();
  await shows(page.locator(".graphiql-query-editor"), name);
}

/** Starts what the editor holds, or stops a subscription that runs. */
export async function press(page) {
  await page.locator(".graphiql-execute-button").click();
}

/** Waits until the answer shows a text. */
export async function answerShows(page, text, waitMs = WAIT_MS) {
  await shows(page.locator(".graphiql-response"), text, waitMs);
}

/** Pastes into an editor, in the place of what it holds. To what is typed it would add closing brackets. */
export async function paste(page, editor, text) {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.evaluate((text) => navigator.clipboard.writeText(text), text);
  await page.locator(`${editor} .view-lines`).click();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.press("ControlOrMeta+V");
  await shows(page.locator(editor), text);
}

/** Waits until an editor shows a text. */
export async function shows(editor, text, waitMs = WAIT_MS) {
  let seen = "";
  const met = async () => {
    // The editor shows spaces as such that do not break.
    seen = (await editor.locator(".view-lines").innerText()).replaceAll("\u00a0", " ");
    return seen.includes(text);
  };
  await until(met, () => `waited for "${text}", there is:\n${seen}`, waitMs);
}

/** Waits until a condition is met, and gives what it gave then. */
export async function until(met, complaint, waitMs = WAIT_MS) {
  const deadline = Date.now() + waitMs;
  for (;;) {
    const given = await met();
    if (given) return given;
    if (Date.now() > deadline) throw new Error(complaint());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
